#pragma once

#include <cstdint>
#include <optional>

#include "kadoro/base/result.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/kad/record.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// A record in a kept slot, and until when it lives.
struct kept_copy {
  record what;
  time_point expires{};
};

/// What a slot of a record store holds, taken out to be kept on disk; see `record_store` for what the parts are.
///
/// In a database it is two entries, because most changes are renewals: its records, which change with the sequence, and
/// its times, which are small. Times on disk are milliseconds since the machine's boot.
struct kept_slot {
  kadoro::bytes key;
  peer_id owner;
  bool relayed = false;
  bool own = false;
  std::optional<std::uint64_t> range;
  peer_id brought_by;  ///< of content: whose share it counts against
  std::optional<kept_copy> valid;
  std::optional<kept_copy> pending;
  std::optional<kept_copy> dormant;
  std::optional<record_header> remembered;
  time_point remember_until{};

  /// Where the two entries of a slot are: side by side, the times first.
  enum class part : std::uint8_t { times = 0, records = 1 };
  KADORO_DECL static kadoro::bytes entry_key(bytes_view key, peer_id const& owner, bool relayed, part which);

  /// Between the scheduler's clock and time since the boot.
  struct boot_scale {
    time_point now{};
    duration elapsed{};  ///< since the boot

    KADORO_DECL std::uint64_t to_ms(time_point when) const noexcept;
    KADORO_DECL time_point from_ms(std::uint64_t ms) const noexcept;
  };

  KADORO_DECL kadoro::bytes encode_records() const;
  KADORO_DECL kadoro::bytes encode_times(boot_scale const& scale) const;

  /// Reads a slot back. Fails with `corrupt`.
  KADORO_DECL static result<kept_slot> decode(bytes_view records_key, bytes_view records, bytes_view times,
                                              boot_scale const& scale);

  /// What is left of it when the machine has booted meanwhile and nobody knows how long that took: sequences are
  /// remembered, and signed records are kept, but sleep until their publisher renews them. `last_known` is when the
  /// times were last right. False if nothing is left.
  KADORO_DECL bool put_to_sleep(time_point last_known, time_point now);
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/kept_slot.ipp"
#endif
