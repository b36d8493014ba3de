#pragma once

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

/// @file
/// The PublicKey and PrivateKey messages of libp2p (specs, peer-ids): a type and data, the same shape for both, and one
/// encoding only, because a peer id is made of it.

namespace kadoro::inline KADORO_ABI::multiformats {

enum class key_type : std::uint32_t { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3 };

/// A decoded key; views the buffer that it came from.
struct key_view {
  key_type type = key_type::rsa;
  bytes_view data;
};

/// An RSA key of 8192 bits, private, in PKCS#1.
inline constexpr std::size_t max_key_bytes = 4800;

KADORO_DECL bytes encode_key(key_type type, bytes_view data);

/// Fails with `malformed` on anything but the one encoding of a key of a known type, with `too_large` beyond
/// `max_key_bytes`. Does not look into `data`.
KADORO_DECL result<key_view> decode_key(bytes_view encoded);

/// `decode_key`, and the size must be one that a public key of that type has.
KADORO_DECL result<key_view> decode_public_key(bytes_view encoded);

}  // namespace kadoro::inline KADORO_ABI::multiformats

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/key_protobuf.ipp"
#endif
