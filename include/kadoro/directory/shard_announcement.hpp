#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/multiformats/multiaddr.hpp"
#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro::inline KADORO_ABI::directory {

using multiformats::multiaddr;
using multiformats::peer_id;

inline constexpr std::uint32_t max_shards = 4096;

/// Which layers of a model a shard has: [start, end).
struct layer_range {
  std::uint32_t start = 0;
  std::uint32_t end = 0;

  /// Every shard has total_layers / total_shards layers, the last one has the rest too.
  static constexpr layer_range of(std::uint32_t shard, std::uint32_t total_shards,
                                  std::uint32_t total_layers) noexcept {
    std::uint32_t const each = total_layers / total_shards;
    std::uint32_t const start = shard * each;
    return {start, shard + 1 == total_shards ? total_layers : start + each};
  }
  friend bool operator==(layer_range const&, layer_range const&) noexcept = default;
};

/// What a holder can do. Only what is really known: a value that nobody measured is not in here.
struct shard_capabilities {
  std::uint32_t cpu_cores = 0;  ///< 0: not known
  bool shard_loaded = false;
  std::uint32_t active_requests = 0;
  std::optional<std::uint64_t> gpu_memory_mb;
  std::optional<std::uint32_t> gpu_compute_units;

  friend bool operator==(shard_capabilities const&, shard_capabilities const&) noexcept = default;
};

/// What a node says about the shard that it holds: the JSON value under `shard_key`. Knows no time: how old a record is
/// follows from what remains of its life.
struct shard_announcement {
  static constexpr std::uint32_t current_version = 3;  ///< 2 had a wall-clock timestamp
  static constexpr std::size_t max_text_bytes = 128;   ///< of model_name and quantization

  peer_id peer;
  std::uint32_t shard_id = 0;
  std::uint32_t total_shards = 1;
  layer_range layers;
  multiaddr address;  ///< where the holder can be reached; may be empty
  std::string model_name = "llama-8b";
  std::string quantization = "FP16";
  double model_params_billions = 7.0;
  std::uint32_t version = current_version;
  shard_capabilities capabilities;

  bool has_embeddings() const noexcept { return shard_id == 0; }
  bool has_output() const noexcept { return shard_id + 1 == total_shards; }

  /// One JSON object, about 500 bytes.
  KADORO_DECL std::string to_json() const;

  /// Reads what `publisher` said under the key of shard `shard_in_key`. `peer_id`, `shard_id` and `total_shards` must
  /// be there; other fields may be missing, unknown ones are ignored. `malformed`, with the field and the reason, if a
  /// field has the wrong type, or key, value and publisher contradict each other.
  KADORO_DECL static result<shard_announcement> from_json(bytes_view value, std::uint32_t shard_in_key,
                                                          peer_id const& publisher);

  friend bool operator==(shard_announcement const&, shard_announcement const&) = default;
};

/// The compact record under `shards_key`, so that those of many holders fit into one datagram:
/// `{"l":true,"n":8,"s":3}`.
struct shard_mark {
  std::uint32_t shard_id = 0;
  std::uint32_t total_shards = 1;
  bool loaded = false;

  KADORO_DECL std::string to_json() const;
  KADORO_DECL static result<shard_mark> from_json(bytes_view value);

  friend bool operator==(shard_mark const&, shard_mark const&) noexcept = default;
};

/// `/llama-cluster/{cluster}/shard/{shard_id}`: the announcements of all holders of one shard.
KADORO_DECL std::string shard_key(std::string_view cluster, std::uint32_t shard_id);
/// `/llama-cluster/{cluster}/shards`: the marks of all holders of all shards. The map survives the loss of any one key.
KADORO_DECL std::string shards_key(std::string_view cluster);

}  // namespace kadoro::inline KADORO_ABI::directory

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/directory/impl/shard_announcement.ipp"
#endif
