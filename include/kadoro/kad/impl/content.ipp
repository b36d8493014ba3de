#pragma once

#include <algorithm>

#include "kadoro/kad/content.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL record make_content(bytes_view key, bytes_view value, duration lifetime_max) {
  record made;
  made.key = to_bytes(key);
  made.lifetime_max = std::chrono::floor<std::chrono::milliseconds>(lifetime_max);
  made.flags = record::flag_content;
  made.value = to_bytes(value);
  return made;
}

KADORO_DECL result<record> content_from_wire(wire::record const& r, bytes_view key_if_absent) {
  bytes_view const key = r.key.empty() ? key_if_absent : r.key;
  if (r.flags != record::flag_content || !r.signature.empty() || !r.publisher.empty() || r.sequence != 0 ||
      !r.value_hash.empty())
    return fail(errc::malformed, "a content-addressed record with something of a signed one");
  if (key.size() != crypto::digest().size())
    return fail(errc::malformed, "a content-addressed record whose key is no hash");
  record out;
  out.key = to_bytes(key);
  out.lifetime_max = std::chrono::milliseconds(r.lifetime_ms);
  out.flags = r.flags;
  out.value = to_bytes(bytes_view(r.value).first(std::min(r.value.size(), record::max_value_bytes + 1)));
  if (!out.within_limits()) return fail(errc::malformed, "a content-addressed record over 64 KiB or without a life");
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::kad
