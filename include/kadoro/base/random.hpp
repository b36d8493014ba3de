#pragma once

#include <array>
#include <cstdint>

#include "kadoro/base/bytes.hpp"

/// @file
/// Randomness: one interface, two sources, and distributions of our own (the standard library's differ by vendor).

namespace kadoro::inline KADORO_ABI {

/// Where random bytes come from. Real contexts use `system_random`, simulated ones `chacha20_random`; keys come only
/// from here. At most one call in a full expression: compilers order arguments differently.
class random_source {
 public:
  virtual ~random_source() = default;
  virtual void fill(bytes_span out) noexcept = 0;

  /// Uniform over all 64-bit values.
  KADORO_DECL std::uint64_t next() noexcept;
  /// Uniform in [0, bound), without modulo bias; 0 if `bound` is 0.
  KADORO_DECL std::uint64_t below(std::uint64_t bound) noexcept;
  /// Uniform in [0, 1), 53 bits.
  KADORO_DECL double unit() noexcept;
};

/// The operating system's CSPRNG, by libsodium.
class system_random final : public random_source {
 public:
  KADORO_DECL system_random();
  KADORO_DECL void fill(bytes_span out) noexcept override;
};

/// The ChaCha20 key stream of a seed (RFC 8439): the same seed gives the same bytes on every platform.
class chacha20_random final : public random_source {
 public:
  KADORO_DECL explicit chacha20_random(std::uint64_t seed) noexcept;
  KADORO_DECL void fill(bytes_span out) noexcept override;

 private:
  byte_array<32> key_{};
  byte_array<512> block_{};
  std::uint32_t counter_ = 0;
  std::size_t used_ = 512;
};

}  // namespace kadoro::inline KADORO_ABI

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/base/impl/random.ipp"
#endif
