#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kadoro/base/block_pool.hpp"
#include "kadoro/base/version.hpp"

/// @file
/// Byte ranges: `bytes` owns, `bytes_view` and `bytes_span` do not.

namespace kadoro::inline KADORO_ABI {

using bytes_view = std::span<std::uint8_t const>;
using bytes_span = std::span<std::uint8_t>;

/// A vector of bytes from the pool. Its copies are made with memcpy: libstdc++ copies byte by byte where the allocator
/// is not its own.
class bytes : public pooled_vector<std::uint8_t> {
 public:
  using vector::vector;
  bytes() noexcept = default;
  bytes(bytes const& other) : bytes(bytes_view(other)) {}
  bytes(bytes&&) noexcept = default;
  ~bytes() = default;
  bytes& operator=(bytes const& other) {
    assign(bytes_view(other));
    return *this;
  }
  bytes& operator=(bytes&&) noexcept = default;
  bytes& operator=(std::initializer_list<std::uint8_t> of) {
    assign(of);
    return *this;
  }

  /// A copy.
  explicit bytes(bytes_view of) : vector(of.size()) {
    if (!of.empty()) std::memcpy(data(), of.data(), of.size());
  }

  using vector::assign;
  /// Becomes a copy; `of` may be a part of this.
  void assign(bytes_view of) {
    if (capacity() < of.size()) {
      *this = bytes(of);
      return;
    }
    if (size() < of.size()) resize(of.size());
    if (!of.empty()) std::memmove(data(), of.data(), of.size());
    resize(of.size());
  }

  /// Puts a copy behind what is there. `of` lies elsewhere.
  void append(bytes_view of) {
    std::size_t const before = size();
    if (capacity() - before < of.size()) {
      bytes larger;
      larger.reserve(std::max(before + of.size(), 2 * capacity()));
      larger.assign(*this);
      *this = std::move(larger);
    }
    resize(before + of.size());
    if (!of.empty()) std::memcpy(data() + before, of.data(), of.size());
  }
};

template <std::size_t Size>
using byte_array = std::array<std::uint8_t, Size>;

inline bytes_view as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<std::uint8_t const*>(text.data()), text.size()};
}

inline std::string_view as_text(bytes_view data) noexcept {
  return {reinterpret_cast<char const*>(data.data()), data.size()};
}

inline bytes to_bytes(bytes_view data) { return bytes(data); }

inline bool equal(bytes_view a, bytes_view b) noexcept {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

/// Lexicographic, as unsigned bytes; a prefix orders before what it begins.
KADORO_DECL int compare(bytes_view a, bytes_view b) noexcept;

/// For ordered containers of byte ranges.
struct bytes_less {
  using is_transparent = void;
  bool operator()(bytes_view a, bytes_view b) const noexcept { return compare(a, b) < 0; }
};

/// Lower-case hexadecimal, two digits a byte.
KADORO_DECL std::string to_hex(bytes_view data);

/// The reverse of `to_hex`, either case. False, and `out` untouched, on an odd length or a character that is no digit.
KADORO_DECL bool from_hex(std::string_view text, bytes& out);

/// From the order of this machine to big-endian, and back: one instruction, which compilers do not find by themselves
/// in a loop over the bytes.
template <class Unsigned>
constexpr Unsigned big_endian(Unsigned value) noexcept {
  if constexpr (std::endian::native == std::endian::big || sizeof value == 1) return value;
  if constexpr (sizeof value == 2) return static_cast<Unsigned>(__builtin_bswap16(value));
  if constexpr (sizeof value == 4) return static_cast<Unsigned>(__builtin_bswap32(value));
  if constexpr (sizeof value == 8) return static_cast<Unsigned>(__builtin_bswap64(value));
}

/// Big-endian stores and loads, as network formats want them.
template <class Unsigned>
void store_be(std::uint8_t* out, Unsigned value) noexcept {
  value = big_endian(value);
  std::memcpy(out, &value, sizeof value);
}

template <class Unsigned>
Unsigned load_be(std::uint8_t const* in) noexcept {
  Unsigned value;
  std::memcpy(&value, in, sizeof value);
  return big_endian(value);
}

}  // namespace kadoro::inline KADORO_ABI

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/base/impl/bytes.ipp"
#endif
