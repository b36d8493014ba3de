#pragma once

#include <string>
#include <system_error>
#include <utility>

#include "kadoro/base/version.hpp"

/// @file
/// What can go wrong, as values: an exact code for programs, a condition to compare with, a sentence for people.

namespace kadoro::inline KADORO_ABI {

/// The exact cause. Compare with a `condition` unless the exact cause matters.
enum class errc {
  timed_out = 1,        ///< a deadline that the caller set has passed
  cancelled,            ///< the caller asked for cancellation
  closed,               ///< the object was closed, here or by the peer
  no_answer,            ///< every transmission went unanswered: dead, unreachable, or it has another swarm key
  unreachable,          ///< no address to dial, or the operating system refused to send
  wrong_identity,       ///< somebody else answers at that address
  refused,              ///< the peer refused and gave no more exact reason
  refused_client_mode,  ///< the peer runs in client mode and stores nothing
  refused_stale,        ///< the peer holds a higher sequence of this publisher
  refused_publisher,    ///< only the publisher itself may do that
  refused_signature,    ///< the signature does not match
  refused_full,         ///< the peer's store, or this publisher's share of it, is full
  refused_too_large,    ///< the peer's limit on a key or value is smaller
  refused_rate,         ///< too many requests
  refused_unknown,      ///< the peer holds no such record (the answer to a renew)
  refused_validator,    ///< the validator of the key's namespace does not accept the record
  refused_hash,         ///< the value is not the one that its key, a hash, names
  refused_unsupported,  ///< the peer does not know that request
  not_found,            ///< asked, and it is not there
  malformed,            ///< bytes that do not parse
  bad_signature,        ///< a signature that does not verify
  too_large,            ///< more than fits in a message or a limit
  queue_full,           ///< a bounded queue has no room
  store_full,           ///< the local store has no room
  invalid_argument,     ///< the caller's argument makes no sense
  address_in_use,       ///< another socket has that port
  io_failure,           ///< the operating system said no; the detail says what
  storage_full,         ///< the disk, or what a database may grow to, is full
  corrupt,              ///< what is on disk is damaged, or was never ours
  wrong_version,        ///< what is on disk was written in another format
  in_use,               ///< another process has the database open
  connection_refused,   ///< the host is there, but nobody listens at that port
  reset,                ///< the other end, or the network, ended the connection abruptly
  out_of_descriptors    ///< the process or the system has too many open files
};

/// What a caller reacts to. `error == condition::timeout` holds for every code that maps to it.
enum class condition {
  timeout = 1,
  refused,
  not_found,
  unreachable,
  no_answer,
  malformed,
  closed,
  cancelled,
  over_limit
};

KADORO_DECL std::error_category const& error_category() noexcept;
KADORO_DECL std::error_category const& condition_category() noexcept;
KADORO_DECL std::error_code make_error_code(errc code) noexcept;
KADORO_DECL std::error_condition make_error_condition(condition value) noexcept;

/// An error that tells the truth: the code, and in `detail` the key, the peer and what to do, where they are known.
/// An error without detail allocates nothing.
class error {
 public:
  error(errc code, std::string detail = {}) : code_(make_error_code(code)), detail_(std::move(detail)) {}
  explicit error(std::error_code code, std::string detail = {}) : code_(code), detail_(std::move(detail)) {}

  std::error_code code() const noexcept { return code_; }
  std::string const& detail() const noexcept { return detail_; }

  /// The detail if there is one, else the code's own sentence.
  std::string message() const { return detail_.empty() ? code_.message() : detail_; }

  friend bool operator==(error const& e, errc code) noexcept { return e.code_ == make_error_code(code); }
  friend bool operator==(error const& e, condition value) noexcept { return e.code_ == make_error_condition(value); }

 private:
  std::error_code code_;
  std::string detail_;
};

}  // namespace kadoro::inline KADORO_ABI

template <>
struct std::is_error_code_enum<kadoro::errc> : std::true_type {};
template <>
struct std::is_error_condition_enum<kadoro::condition> : std::true_type {};

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/base/impl/error.ipp"
#endif
