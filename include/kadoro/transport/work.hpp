#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kadoro/wire/message.hpp"

namespace kadoro::inline KADORO_ABI::transport {

/// Kinds of requests by what they cost whoever serves them: each has its own limit.
enum class work : std::uint8_t {
  read,   ///< looks something up, or changes a time
  write,  ///< has a signature verified, and a record stored
  watch,  ///< is a promise to tell
  count_
};

inline constexpr std::size_t work_kinds = static_cast<std::size_t>(work::count_);

/// Nothing for what only answers a request of ours.
constexpr std::optional<work> work_of(wire::message_type type) noexcept {
  switch (type) {
    case wire::message_type::put_value:
    case wire::message_type::replicate:
    case wire::message_type::add_provider: return work::write;
    case wire::message_type::watch: return work::watch;
    case wire::message_type::push: return std::nullopt;
    default: return work::read;
  }
}

}  // namespace kadoro::inline KADORO_ABI::transport
