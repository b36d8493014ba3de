#pragma once

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/kad/get_result.hpp"
#include "kadoro/kad/record.hpp"
#include "kadoro/wire/message.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// The key of a content-addressed record: SHA-256 of its value, the 32 bytes themselves. As of every key, the place of
/// it in the key space is `key::of`.
inline crypto::digest content_key(bytes_view value) noexcept { return crypto::sha256(value); }

/// The answer to `node::get_content`. A copy whose hash is right is final: there is no newer one, and nobody else's.
class content_result {
 public:
  explicit content_result(get_result got) noexcept : got_(std::move(got)) {}

  get_outcome outcome() const noexcept { return got_.outcome(); }
  bool found() const noexcept { return got_.found(); }
  /// Empty unless it was found; what was found may be empty, too.
  bytes_view value() const noexcept { return found() ? bytes_view(got_.records().front().value.value) : bytes_view(); }
  /// Of its life, by the most generous holder that was heard.
  duration remaining() const noexcept { return found() ? got_.records().front().remaining : duration::zero(); }
  std::size_t answered() const noexcept { return got_.answered(); }
  /// It was not found, and too few of the closest have answered to be sure.
  bool unconfirmed() const noexcept { return got_.unconfirmed(); }
  /// Copies that were seen and do not count: expired, with a wrong hash, or rejected by a validator.
  std::size_t invalid() const noexcept { return got_.invalid(); }
  trace steps() const { return got_.steps(); }
  /// One sentence that tells the true cause.
  std::string explain() const { return got_.explain(); }
  /// The same as a `get_result`.
  get_result const& details() const noexcept { return got_; }

  /// A copy of its own, as of now, that nothing changes any more: it may go to another thread.
  content_result snapshot() const { return content_result(got_.snapshot()); }

 private:
  get_result got_;
};

/// Makes a content-addressed record, whose key must be `content_key(value)`; the lifetime is rounded down to
/// milliseconds.
KADORO_DECL record make_content(bytes_view key, bytes_view value, duration lifetime_max);

/// Whether what is on the wire is, or asks for, a content-addressed record.
inline bool is_content(wire::record const& w) noexcept {
  return (w.flags & record::flag_content) != 0 && w.signature.empty();
}

/// What a get_value carries as its record that wants content and nothing else.
inline wire::record content_question() noexcept {
  wire::record w;
  w.flags = record::flag_content;
  return w;
}

/// What a renew_content carries as its record: how long the content is to live from now on, if not longer already.
inline wire::record content_renewal(duration lifetime) noexcept {
  wire::record w = content_question();
  w.lifetime_ms = to_wire_ms(lifetime);
  return w;
}

/// Copies a content-addressed record. Its hash is not looked at. Fails with `malformed` for one that is over a limit,
/// whose key is no hash, or that has anything which only another kind of record can have.
KADORO_DECL result<record> content_from_wire(wire::record const& r, bytes_view key_if_absent);

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/content.ipp"
#endif
