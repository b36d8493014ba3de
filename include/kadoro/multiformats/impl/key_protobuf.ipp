#pragma once

#include <protozero/basic_pbf_writer.hpp>
#include <protozero/buffer_fixed.hpp>
#include <protozero/pbf_reader.hpp>
#include <string>

#include "kadoro/multiformats/key_protobuf.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

KADORO_DECL bytes encode_key(key_type type, bytes_view data) {
  bytes out(3 + static_cast<std::size_t>(protozero::length_of_varint(data.size())) + data.size());
  protozero::fixed_size_buffer_adaptor buffer(reinterpret_cast<char*>(out.data()), out.size());
  protozero::basic_pbf_writer<protozero::fixed_size_buffer_adaptor> writer(buffer);
  writer.add_uint32(1, static_cast<std::uint32_t>(type));
  writer.add_bytes(2, reinterpret_cast<char const*>(data.data()), data.size());
  return out;
}

KADORO_DECL result<key_view> decode_key(bytes_view encoded) {
  if (encoded.size() > max_key_bytes)
    return fail(errc::too_large, "a key protobuf of " + std::to_string(encoded.size()) + " bytes");
  key_view key;
  try {
    protozero::pbf_reader reader(reinterpret_cast<char const*>(encoded.data()), encoded.size());
    while (reader.next()) {
      if (reader.tag_and_type() == protozero::tag_and_type(1, protozero::pbf_wire_type::varint)) {
        key.type = static_cast<key_type>(reader.get_uint32());
      } else if (reader.tag_and_type() == protozero::tag_and_type(2, protozero::pbf_wire_type::length_delimited)) {
        auto const view = reader.get_view();
        key.data = as_bytes({view.data(), view.size()});
      } else {
        reader.skip();
      }
    }
  } catch (protozero::exception const&) {
    return fail(errc::malformed, "a key that is no protobuf");
  }
  if (key.type > key_type::ecdsa)
    return fail(errc::malformed, "a key of unknown type " + std::to_string(static_cast<std::uint32_t>(key.type)));
  // Anything else in there, in another order, or repeated: the encoding would differ, and so would the peer id.
  if (!equal(encode_key(key.type, key.data), encoded))
    return fail(errc::malformed, "a key that is not encoded as the specification says");
  return key;
}

KADORO_DECL result<key_view> decode_public_key(bytes_view encoded) {
  auto key = decode_key(encoded);
  if (!key) return key;
  std::size_t const size = key->data.size();
  bool const right = key->type == key_type::ed25519     ? size == 32
                     : key->type == key_type::secp256k1 ? size == 33
                                                        : size > 0;
  if (!right)
    return fail(errc::malformed, "a public key of type " + std::to_string(static_cast<std::uint32_t>(key->type)) +
                                     " with " + std::to_string(size) + " bytes");
  return key;
}

}  // namespace kadoro::inline KADORO_ABI::multiformats
