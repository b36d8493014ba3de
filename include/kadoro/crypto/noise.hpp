#pragma once

#include <optional>

#include "kadoro/base/random.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/crypto/aead.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/crypto/x25519.hpp"

/// @file
/// The handshakes of the Noise Protocol Framework, revision 34: Noise_{IK,IKpsk1,XX}_25519_ChaChaPoly_SHA256.

namespace kadoro::inline KADORO_ABI::crypto {

enum class noise_pattern { ik, ikpsk1, xx };

/// What a finished handshake leaves behind: one key per direction, nonces from 0, no associated data.
struct noise_keys {
  aead_key send{};
  aead_key receive{};

  ~noise_keys() {
    wipe(send);
    wipe(receive);
  }
};

/// One side of one handshake. The two sides `write` and `read` in turn, the initiator first:
///
///     ik      -> e, es, s, ss          <- e, ee, se                 (the initiator knows the responder's static key)
///     ikpsk1  -> e, es, s, ss, psk     <- e, ee, se                 (likewise, and both know a secret)
///     xx      -> e                     <- e, ee, s, es     -> s, se
///
/// A message that fails changes nothing, so a forged datagram does not end a handshake: the true one may still come.
/// All secrets are wiped on destruction.
class noise_handshake {
 public:
  static constexpr std::size_t max_message_bytes = 65535;

  /// `remote_static` is needed by the initiator of ik and ikpsk1 and by nobody else; `psk` by ikpsk1 and by no other
  /// pattern. Everything is copied, but `random` must outlive the handshake.
  KADORO_DECL noise_handshake(noise_pattern pattern, bool initiator, bytes_view prologue,
                              x25519_pair const& local_static, byte_array<32> const* remote_static,
                              byte_array<32> const* psk, random_source& random);
  noise_handshake(noise_handshake const&) = default;
  noise_handshake& operator=(noise_handshake const&) = default;
  ~noise_handshake() { wipe(psk_); }

  /// Whether `write` comes next, as opposed to `read`; false once finished.
  KADORO_DECL bool writes_next() const noexcept;
  KADORO_DECL bool finished() const noexcept;

  /// How much longer the next message is than its payload.
  KADORO_DECL std::size_t overhead() const noexcept;

  /// Writes the next message, `payload.size() + overhead()` bytes, and returns its size. Precondition: `writes_next()`.
  /// `payload` and `out` must not overlap. Errors: `too_large` if it does not fit into `out` or into a Noise message;
  /// `malformed` if the remote public key is unusable.
  KADORO_DECL result<std::size_t> write(bytes_view payload, bytes_span out);

  /// Reads the next message and returns the size of its payload, `message.size() - overhead()`. Precondition: neither
  /// finished nor `writes_next()`. `message` and `payload_out` must not overlap. Errors: `malformed` if it is too short
  /// or not from somebody with the right keys; `too_large` if the payload does not fit. On error the content of
  /// `payload_out` is unspecified.
  KADORO_DECL result<std::size_t> read(bytes_view message, bytes_span payload_out);

  /// The other side's static key: null until a message has brought it.
  byte_array<32> const* remote_static() const noexcept { return state_.has_rs ? &state_.rs : nullptr; }

  /// The hash of everything so far; once finished, it is unique to this handshake (channel binding).
  digest const& hash() const noexcept { return state_.h; }

  /// Precondition: `finished()`.
  KADORO_DECL noise_keys split() const noexcept;

  /// Makes the handshake use this ephemeral pair, for test vectors: a pair that is used twice breaks all secrecy.
  KADORO_DECL void fix_ephemeral(x25519_pair const& pair);

 private:
  enum class token : std::uint8_t { end, e, s, ee, es, se, ss, psk };
  struct script;

  /// Everything that a message changes, in one place, so that it can be put back.
  struct state {
    digest ck{};
    digest h{};
    aead_key k{};
    bool has_k = false;
    std::uint64_t n = 0;
    x25519_pair e;
    byte_array<32> re{};
    byte_array<32> rs{};
    bool has_rs = false;
    std::size_t messages = 0;

    ~state() {
      wipe(ck);
      wipe(k);
    }
    KADORO_DECL void mix_hash(bytes_view data) noexcept;
    KADORO_DECL void mix_key(bytes_view input) noexcept;
    KADORO_DECL void mix_key_and_hash(bytes_view input) noexcept;
    KADORO_DECL void encrypt_and_hash(bytes_view plain, bytes_span out) noexcept;
    KADORO_DECL bool decrypt_and_hash(bytes_view sealed, bytes_span out) noexcept;
    std::size_t tag() const noexcept { return has_k ? tag_bytes : 0; }
  };

  KADORO_DECL static script const& script_of(noise_pattern pattern) noexcept;
  KADORO_DECL result<void> mix_dh(state& s, token t) const;

  script const* script_;
  bool initiator_;
  x25519_pair local_static_;
  byte_array<32> psk_{};
  random_source* random_;
  std::optional<x25519_pair> fixed_ephemeral_;
  state state_;
};

}  // namespace kadoro::inline KADORO_ABI::crypto

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/crypto/impl/noise.ipp"
#endif
