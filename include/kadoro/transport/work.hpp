#pragma once

#include <cstddef>
#include <cstdint>

#include "kadoro/wire/message.hpp"

namespace kadoro::inline KADORO_ABI::transport {

/// Kinds of requests by what they cost whoever serves them: each has its own limit.
enum class work : std::uint8_t {
  read,   ///< looks something up, or changes a time
  write,  ///< has signatures verified, and what they sign kept
  watch,  ///< is a promise to tell
  count_
};

inline constexpr std::size_t work_kinds = static_cast<std::size_t>(work::count_);

constexpr work work_of(wire::message_type type) noexcept {
  switch (type) {
    case wire::message_type::put_value:
    case wire::message_type::replicate:
    case wire::message_type::add_provider:
    case wire::message_type::push: return work::write;
    case wire::message_type::watch: return work::watch;
    default: return work::read;
  }
}

}  // namespace kadoro::inline KADORO_ABI::transport
