#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <initializer_list>
#include <string_view>

#include "kadoro/crypto/noise.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

/// A pattern as the specification writes it: its name, whether the initiator knows the responder's static key before,
/// and the tokens of each message.
struct noise_handshake::script {
  static constexpr std::size_t max_tokens = 6;  // the last is always `end`

  std::string_view name;
  bool responder_known;
  bool psk;
  std::size_t count;
  std::array<std::array<token, max_tokens>, 3> messages;
};

KADORO_DECL noise_handshake::script const& noise_handshake::script_of(noise_pattern pattern) noexcept {
  using enum token;
  static constexpr script ik{"Noise_IK_25519_ChaChaPoly_SHA256", true, false, 2, {{{e, es, s, ss}, {e, ee, se}, {}}}};
  static constexpr script ikpsk1{
      "Noise_IKpsk1_25519_ChaChaPoly_SHA256", true, true, 2, {{{e, es, s, ss, psk}, {e, ee, se}, {}}}};
  static constexpr script xx{"Noise_XX_25519_ChaChaPoly_SHA256", false, false, 3, {{{e}, {e, ee, s, es}, {s, se}}}};
  switch (pattern) {
    case noise_pattern::ik: return ik;
    case noise_pattern::ikpsk1: return ikpsk1;
    case noise_pattern::xx: break;
  }
  return xx;
}

namespace detail {

/// HKDF of the Noise specification: `Count` outputs of 32 bytes.
template <std::size_t Count>
std::array<digest, Count> noise_hkdf(digest const& chaining_key, bytes_view input) noexcept {
  digest secret = hmac_sha256(chaining_key, input);
  std::array<digest, Count> out;
  byte_array<33> block;
  for (std::size_t i = 0; i < Count; ++i) {
    std::size_t const before = i == 0 ? 0 : 32;  // the first block follows nothing
    if (i > 0) std::copy_n(out[i - 1].begin(), 32, block.begin());
    block[before] = static_cast<std::uint8_t>(i + 1);
    out[i] = hmac_sha256(secret, bytes_view(block).first(before + 1));
  }
  wipe(secret);
  wipe(block);
  return out;
}

template <std::size_t Count>
void wipe_all(std::array<digest, Count>& secrets) noexcept {
  for (digest& secret : secrets) wipe(secret);
}

}  // namespace detail

KADORO_DECL void noise_handshake::state::mix_hash(bytes_view data) noexcept {
  h = sha256_hasher().update(h).update(data).finish();
}

KADORO_DECL void noise_handshake::state::mix_key(bytes_view input) noexcept {
  auto made = detail::noise_hkdf<2>(ck, input);
  ck = made[0];
  k = made[1];
  has_k = true;
  n = 0;
  detail::wipe_all(made);
}

KADORO_DECL void noise_handshake::state::mix_key_and_hash(bytes_view input) noexcept {
  auto made = detail::noise_hkdf<3>(ck, input);
  ck = made[0];
  mix_hash(made[1]);
  k = made[2];
  has_k = true;
  n = 0;
  detail::wipe_all(made);
}

KADORO_DECL void noise_handshake::state::encrypt_and_hash(bytes_view plain, bytes_span out) noexcept {
  if (has_k)
    seal(k, n++, h, plain, out);
  else
    std::copy(plain.begin(), plain.end(), out.begin());
  mix_hash(out);
}

KADORO_DECL bool noise_handshake::state::decrypt_and_hash(bytes_view sealed, bytes_span out) noexcept {
  if (!has_k)
    std::copy(sealed.begin(), sealed.end(), out.begin());
  else if (!open(k, n++, h, sealed, out))
    return false;
  mix_hash(sealed);
  return true;
}

KADORO_DECL noise_handshake::noise_handshake(noise_pattern pattern, bool initiator, bytes_view prologue,
                                             x25519_pair const& local_static, byte_array<32> const* remote_static,
                                             byte_array<32> const* psk, random_source& random)
    : script_(&script_of(pattern)), initiator_(initiator), local_static_(local_static), random_(&random) {
  assert((remote_static != nullptr) == (script_->responder_known && initiator));
  assert((psk != nullptr) == script_->psk);
  bytes_view const name = as_bytes(script_->name);
  if (name.size() <= state_.h.size())
    std::copy(name.begin(), name.end(), state_.h.begin());
  else
    state_.h = sha256(name);
  state_.ck = state_.h;
  state_.mix_hash(prologue);
  if (remote_static != nullptr) {
    state_.rs = *remote_static;
    state_.has_rs = true;
  }
  if (script_->responder_known) state_.mix_hash(initiator ? state_.rs : local_static_.public_key);
  if (psk != nullptr) psk_ = *psk;
}

KADORO_DECL bool noise_handshake::finished() const noexcept { return state_.messages == script_->count; }

KADORO_DECL bool noise_handshake::writes_next() const noexcept {
  return !finished() && (state_.messages % 2 == 0) == initiator_;
}

KADORO_DECL void noise_handshake::fix_ephemeral(x25519_pair const& pair) { fixed_ephemeral_.emplace(pair); }

KADORO_DECL std::size_t noise_handshake::overhead() const noexcept {
  if (finished()) return 0;
  std::size_t size = 0;
  bool has_k = state_.has_k;
  for (token const t : script_->messages[state_.messages]) {
    if (t == token::end) break;
    if (t == token::e || t == token::s) size += 32;
    if (t == token::s && has_k) size += tag_bytes;
    has_k = has_k || (t != token::e && t != token::s) || (t == token::e && script_->psk);
  }
  return size + (has_k ? tag_bytes : 0);
}

KADORO_DECL result<void> noise_handshake::mix_dh(state& s, token t) const {
  // The first letter is the initiator's key, the second the responder's.
  bool const own_static = t == token::ss || t == (initiator_ ? token::se : token::es);
  bool const their_static = t == token::ss || t == (initiator_ ? token::es : token::se);
  auto shared = x25519(own_static ? local_static_.secret : s.e.secret, their_static ? s.rs : s.re);
  if (!shared) return fail(std::move(shared.error()));
  s.mix_key(*shared);
  wipe(*shared);
  return {};
}

KADORO_DECL result<std::size_t> noise_handshake::write(bytes_view payload, bytes_span out) {
  assert(writes_next());
  std::size_t const total = payload.size() + overhead();
  if (total > out.size() || total > max_message_bytes)
    return fail(errc::too_large, "a Noise message of " + std::to_string(total) + " bytes does not fit into " +
                                     std::to_string(std::min(out.size(), max_message_bytes)));
  state next = state_;
  std::size_t at = 0;
  for (token const t : script_->messages[next.messages]) {
    if (t == token::end) break;
    if (t == token::e) {
      next.e = fixed_ephemeral_ ? *fixed_ephemeral_ : generate_x25519(*random_);
      std::copy_n(next.e.public_key.begin(), 32, out.subspan(at).begin());
      at += 32;
      next.mix_hash(next.e.public_key);
      if (script_->psk) next.mix_key(next.e.public_key);
    } else if (t == token::s) {
      bytes_span const sealed = out.subspan(at, 32 + next.tag());
      next.encrypt_and_hash(local_static_.public_key, sealed);
      at += sealed.size();
    } else if (t == token::psk) {
      next.mix_key_and_hash(psk_);
    } else if (auto mixed = mix_dh(next, t); !mixed) {
      return fail(std::move(mixed.error()));
    }
  }
  next.encrypt_and_hash(payload, out.subspan(at, payload.size() + next.tag()));
  ++next.messages;
  state_ = next;
  return total;
}

KADORO_DECL result<std::size_t> noise_handshake::read(bytes_view message, bytes_span payload_out) {
  assert(!finished() && !writes_next());
  std::size_t const above = overhead();
  if (message.size() < above)
    return fail(errc::malformed, "a Noise message of " + std::to_string(message.size()) + " bytes where " +
                                     std::to_string(above) + " are the least");
  std::size_t const payload_bytes = message.size() - above;
  if (message.size() > max_message_bytes || payload_bytes > payload_out.size())
    return fail(errc::too_large, "a Noise payload of " + std::to_string(payload_bytes) + " bytes does not fit into " +
                                     std::to_string(payload_out.size()));
  state next = state_;
  for (token const t : script_->messages[next.messages]) {
    if (t == token::end) break;
    if (t == token::e) {
      std::copy_n(message.begin(), 32, next.re.begin());
      message = message.subspan(32);
      next.mix_hash(next.re);
      if (script_->psk) next.mix_key(next.re);
    } else if (t == token::s) {
      bytes_view const sealed = message.first(32 + next.tag());
      message = message.subspan(sealed.size());
      if (!next.decrypt_and_hash(sealed, next.rs))
        return fail(errc::malformed, "a Noise message whose static key does not open");
      next.has_rs = true;
    } else if (t == token::psk) {
      next.mix_key_and_hash(psk_);
    } else if (auto mixed = mix_dh(next, t); !mixed) {
      return fail(std::move(mixed.error()));
    }
  }
  if (!next.decrypt_and_hash(message, payload_out.first(payload_bytes)))
    return fail(errc::malformed, "a Noise message whose payload does not open");
  ++next.messages;
  state_ = next;
  return payload_bytes;
}

KADORO_DECL noise_keys noise_handshake::split() const noexcept {
  assert(finished());
  auto made = detail::noise_hkdf<2>(state_.ck, {});
  noise_keys keys;
  keys.send = made[initiator_ ? 0 : 1];
  keys.receive = made[initiator_ ? 1 : 0];
  detail::wipe_all(made);
  return keys;
}

}  // namespace kadoro::inline KADORO_ABI::crypto
