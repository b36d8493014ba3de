#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "kadoro/base/result.hpp"
#include "kadoro/io/context.hpp"

// Which backends a program has is decided where it is built. Two decisions in one program must not look like one
// function.
#if defined(KADORO_WITH_URING)
#define KADORO_OPEN_ABI with_uring
#else
#define KADORO_OPEN_ABI without_uring
#endif

namespace kadoro::inline KADORO_ABI::io {

/// Which implementation of `io::context`.
enum class backend_choice {
  automatic,  ///< io_uring where it can be had, else Asio
  asio,
  uring
};

/// `auto`, `asio` or `uring`. Nothing for any other text.
KADORO_DECL std::optional<backend_choice> parse_backend_choice(std::string_view text) noexcept;

struct open_options {
  /// Empty: what the environment variable KADORO_IO says, and if it says nothing, `automatic`.
  std::optional<backend_choice> backend;

  /// How long a loop may look for work, at most, before it sleeps. Looking costs a core and saves a wake-up, which
  /// costs ten times a packet; where no packet is near, the loop soon stops looking. Zero: never.
  duration spin_max{};
};

inline namespace KADORO_OPEN_ABI {

/// The context for real programs on this machine. `backend_details` says which it is, and why it is no other. Errors:
/// `invalid_argument` for a KADORO_IO that means nothing; `io_failure`, with the cause, where io_uring was asked for
/// and cannot be had, and where not even Asio can: in a process without descriptors.
KADORO_DECL result<std::unique_ptr<context>> open(open_options const& wanted = {});

}  // namespace KADORO_OPEN_ABI
}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/system/impl/open.ipp"
#endif
