#pragma once

#include "kadoro/base/error.hpp"

namespace kadoro::inline KADORO_ABI {

namespace detail {

inline char const* describe(errc code) noexcept {
  switch (code) {
    case errc::timed_out: return "the deadline passed";
    case errc::cancelled: return "cancelled";
    case errc::closed: return "closed";
    case errc::no_answer: return "no answer: dead, unreachable, or it has another swarm key";
    case errc::unreachable: return "unreachable: no address to dial";
    case errc::wrong_identity: return "another identity answers at that address";
    case errc::refused: return "refused";
    case errc::refused_client_mode: return "refused: it runs in client mode and stores nothing";
    case errc::refused_stale: return "refused: it holds a higher sequence";
    case errc::refused_publisher: return "refused: only the publisher may do that";
    case errc::refused_signature: return "refused: wrong signature";
    case errc::refused_full: return "refused: its store is full";
    case errc::refused_too_large: return "refused: key or value too large";
    case errc::refused_rate: return "refused: rate limited";
    case errc::refused_unknown: return "refused: it holds no such record";
    case errc::refused_validator: return "refused: the validator of that key does not accept it";
    case errc::refused_hash: return "refused: the value is not what its key names";
    case errc::refused_unsupported: return "refused: it does not know that request";
    case errc::not_found: return "not found";
    case errc::malformed: return "malformed";
    case errc::bad_signature: return "wrong signature";
    case errc::too_large: return "too large";
    case errc::queue_full: return "queue full";
    case errc::store_full: return "store full";
    case errc::invalid_argument: return "invalid argument";
    case errc::address_in_use: return "address in use";
    case errc::io_failure: return "input/output failure";
    case errc::storage_full: return "no space left";
    case errc::corrupt: return "damaged data on disk";
    case errc::wrong_version: return "data on disk in another format";
    case errc::in_use: return "in use by another process";
    case errc::connection_refused: return "connection refused: nobody listens there";
    case errc::reset: return "connection reset";
    case errc::out_of_descriptors: return "too many open files";
  }
  return "unknown error";
}

inline char const* describe(condition value) noexcept {
  switch (value) {
    case condition::timeout: return "timeout";
    case condition::refused: return "refused";
    case condition::not_found: return "not found";
    case condition::unreachable: return "unreachable";
    case condition::no_answer: return "no answer";
    case condition::malformed: return "malformed";
    case condition::closed: return "closed";
    case condition::cancelled: return "cancelled";
    case condition::over_limit: return "over a limit";
  }
  return "unknown condition";
}

inline bool belongs(errc code, condition value) noexcept {
  switch (value) {
    case condition::timeout: return code == errc::timed_out;
    case condition::refused: return code >= errc::refused && code <= errc::refused_unsupported;
    case condition::not_found: return code == errc::not_found || code == errc::refused_unknown;
    case condition::unreachable:
      return code == errc::unreachable || code == errc::wrong_identity || code == errc::connection_refused;
    case condition::no_answer: return code == errc::no_answer;
    case condition::malformed:
      return code == errc::malformed || code == errc::bad_signature || code == errc::corrupt ||
             code == errc::wrong_version;
    case condition::closed: return code == errc::closed || code == errc::reset;
    case condition::cancelled: return code == errc::cancelled;
    case condition::over_limit:
      return code == errc::too_large || code == errc::queue_full || code == errc::store_full ||
             code == errc::storage_full || code == errc::refused_full || code == errc::refused_too_large ||
             code == errc::refused_rate || code == errc::out_of_descriptors;
  }
  return false;
}

class error_category_type final : public std::error_category {
 public:
  char const* name() const noexcept override { return "kadoro"; }
  std::string message(int value) const override { return describe(static_cast<errc>(value)); }
  bool equivalent(int value, std::error_condition const& other) const noexcept override {
    return other.category() == condition_category() &&
           belongs(static_cast<errc>(value), static_cast<condition>(other.value()));
  }
};

class condition_category_type final : public std::error_category {
 public:
  char const* name() const noexcept override { return "kadoro.condition"; }
  std::string message(int value) const override { return describe(static_cast<condition>(value)); }
};

}  // namespace detail

KADORO_DECL std::error_category const& error_category() noexcept {
  static detail::error_category_type const category;
  return category;
}

KADORO_DECL std::error_category const& condition_category() noexcept {
  static detail::condition_category_type const category;
  return category;
}

KADORO_DECL std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), error_category()}; }

KADORO_DECL std::error_condition make_error_condition(condition value) noexcept {
  return {static_cast<int>(value), condition_category()};
}

}  // namespace kadoro::inline KADORO_ABI
