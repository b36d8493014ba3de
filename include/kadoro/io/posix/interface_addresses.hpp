#pragma once

#include <vector>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// The addresses of all interfaces that are up, port 0, in the system's order; none if it does not tell.
KADORO_DECL std::vector<endpoint> interface_addresses();

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/interface_addresses.ipp"
#endif
