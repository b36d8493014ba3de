#pragma once

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "kadoro/io/asio/context.hpp"

namespace bench {

/// The context that `io=` names; without it there is nothing to measure, and the program ends with 3.
inline std::unique_ptr<kadoro::io::asio::context> open_context(std::string const& backend) {
  if (backend != "asio") {
    std::cerr << "no such backend in this build: " << backend << std::endl;
    std::exit(3);
  }
  return std::make_unique<kadoro::io::asio::context>();
}

}  // namespace bench
