#pragma once

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "kadoro/io/system/open.hpp"

namespace bench {

/// The context that `io=` names (auto, asio, uring), which looks for work so long before it sleeps; without it there is
/// nothing to measure, and the program ends with 3.
inline std::unique_ptr<kadoro::io::context> open_context(std::string const& backend,
                                                         std::chrono::microseconds spin_max = {}) {
  kadoro::io::open_options wanted;
  wanted.backend = kadoro::io::parse_backend_choice(backend);
  wanted.spin_max = spin_max;
  if (!wanted.backend) {
    std::cerr << "no such backend: " << backend << std::endl;
    std::exit(3);
  }
  auto opened = kadoro::io::open(wanted);
  if (opened) return std::move(*opened);
  std::cerr << opened.error().message() << std::endl;
  std::exit(3);
}

}  // namespace bench
