#pragma once

#include <string_view>

#include "kadoro/base/random.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/crypto/x25519.hpp"
#include "kadoro/io/storage.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

/// Who a node is: an Ed25519 key pair (RFC 8032). Kept across restarts; whoever has it is the node. Every copy wipes
/// its secrets when it goes.
class identity {
 public:
  KADORO_DECL static identity generate(random_source& random);
  KADORO_DECL static identity from_seed(byte_array<32> const& seed);

  /// Reads the blob `name`; if there is none, generates an identity and writes it there first. A blob that holds no
  /// identity is `malformed`, and never overwritten. Other errors are the storage's.
  KADORO_DECL static result<identity> load_or_create(io::storage& storage, std::string_view name,
                                                     random_source& random);

  /// The libp2p PrivateKey protobuf: type Ed25519, data = seed, then public key. Holds the secret: wipe it after use.
  KADORO_DECL bytes encode() const;

  /// The reverse; also takes the older form that carries the public key twice. Fails with `malformed` if the public
  /// key does not belong to the seed.
  KADORO_DECL static result<identity> decode(bytes_view data);

  identity(identity const&) noexcept = default;
  identity& operator=(identity const&) noexcept = default;
  ~identity() { wipe(secret_); }

  byte_array<32> const& public_key() const noexcept { return public_key_; }

  /// The static Diffie-Hellman pair that the two halves of the key map to (birational map of RFC 7748); a peer that
  /// knows only `public_key()` computes the same public half with `x25519_of`.
  x25519_pair const& x25519() const noexcept { return x25519_; }

  /// Deterministic: the same message gives the same signature.
  KADORO_DECL byte_array<64> sign(bytes_view message) const noexcept;

 private:
  identity() noexcept = default;

  byte_array<64> secret_{};  ///< seed, then public key, as libsodium wants it
  byte_array<32> public_key_{};
  x25519_pair x25519_;
};

/// False also for a signature that is not 64 bytes and for a public key that is no point of large order.
[[nodiscard]] KADORO_DECL bool verify(byte_array<32> const& public_key, bytes_view message,
                                      bytes_view signature) noexcept;

/// The X25519 public key of an Ed25519 public key. Fails with `malformed` if that is no point of large order.
KADORO_DECL result<byte_array<32>> x25519_of(byte_array<32> const& ed25519_public);

}  // namespace kadoro::inline KADORO_ABI::crypto

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/crypto/impl/identity.ipp"
#endif
