#pragma once

#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

#include "kadoro/io/posix/udp_joining.hpp"
#include "kadoro/io/system/open.hpp"
#if defined(KADORO_WITH_URING)
#include "kadoro/io/uring/context.hpp"
#endif

// Asio last: it configures itself by macros that any standard header defines.
#include "kadoro/io/asio/context.hpp"

namespace kadoro::inline KADORO_ABI::io {

KADORO_DECL std::optional<backend_choice> parse_backend_choice(std::string_view text) noexcept {
  if (text == "auto") return backend_choice::automatic;
  if (text == "asio") return backend_choice::asio;
  if (text == "uring" || text == "io_uring") return backend_choice::uring;
  return std::nullopt;
}

inline namespace KADORO_OPEN_ABI {
namespace opening {  // not `detail`: that of the inline namespace would hide the one of io

inline result<std::unique_ptr<context>> open_asio(open_options const& wanted, std::string const& why) {
  try {
    auto made = std::make_unique<asio::context>(wanted.spin_max);
    made->set_backend_details("asio: " + why + "; " + posix::udp_joining::probe().text());
    return std::unique_ptr<context>(std::move(made));
  } catch (std::system_error const& e) {  // of asio: this process may have no more descriptors
    return fail(errc::io_failure, "asio: " + std::string(e.what()) + " (" + why + ")");
  }
}

inline result<std::unique_ptr<context>> open_uring([[maybe_unused]] open_options const& wanted) {
#if defined(KADORO_WITH_URING)
  uring::options options;
  options.spin_max = wanted.spin_max;
  auto made = uring::context::open(options);
  if (!made) return fail(made.error());
  return std::unique_ptr<context>(std::move(*made));
#else
  return fail(errc::io_failure, "io_uring: this program was built without liburing (Debian: liburing-dev)");
#endif
}

}  // namespace opening

KADORO_DECL result<std::unique_ptr<context>> open(open_options const& wanted) {
  backend_choice choice = wanted.backend.value_or(backend_choice::automatic);
  std::string asked = "asked for";
  char const* const environment = std::getenv("KADORO_IO");
  if (!wanted.backend && environment != nullptr && *environment != '\0') {
    auto const parsed = parse_backend_choice(environment);
    asked = "asked for by KADORO_IO=" + std::string(environment);
    if (!parsed) return fail(errc::invalid_argument, "KADORO_IO=" + std::string(environment) + ": asio, uring or auto");
    choice = *parsed;
  }
  if (choice == backend_choice::asio) return opening::open_asio(wanted, asked);
  auto made = opening::open_uring(wanted);
  if (made) {
    if (choice == backend_choice::automatic) asked = "the best that can be had";
    (*made)->set_backend_details((*made)->backend_details() + "; " + asked);
    return made;
  }
  if (choice == backend_choice::uring)
    return fail(
        error(made.error().code(), made.error().message() + " (" + asked + ", so it is not replaced by another)"));
  return opening::open_asio(wanted, made.error().message());
}

}  // namespace KADORO_OPEN_ABI
}  // namespace kadoro::inline KADORO_ABI::io
