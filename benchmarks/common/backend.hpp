#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include "kadoro/io/asio/context.hpp"

namespace bench {

/// The context that `io=` names.
inline std::unique_ptr<kadoro::io::asio::context> open_context(std::string const& backend) {
  if (backend != "asio") throw std::invalid_argument("no such backend in this build: " + backend);
  return std::make_unique<kadoro::io::asio::context>();
}

}  // namespace bench
