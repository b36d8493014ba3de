#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "kadoro/directory/shard_announcement.hpp"

using namespace kadoro;
using namespace kadoro::directory;
using nlohmann::json;

namespace {

peer_id peer(std::uint8_t n) {
  byte_array<32> key{};
  key[0] = n;
  return peer_id::of_ed25519(key);
}

shard_announcement sample() {
  shard_announcement a;
  a.peer = peer(1);
  a.shard_id = 7;
  a.total_shards = 8;
  a.layers = layer_range::of(7, 8, 33);
  a.address = multiaddr::datagram(io::endpoint::parse("192.0.2.1:4001").value(), peer(1));
  a.capabilities.cpu_cores = 4;
  a.capabilities.shard_loaded = true;
  return a;
}

/// Why this text is refused as the announcement of shard 7 by peer 1; empty if it is not.
std::string problem(json const& value) {
  std::string const text = value.dump();
  auto const read = shard_announcement::from_json(as_bytes(text), 7, peer(1));
  if (read) return {};
  CHECK(read.error() == errc::malformed);
  return read.error().message();
}

bool names(std::string const& text, std::string const& what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("shard announcement: the keys are those that the operators know") {
  CHECK(shard_key("llama-cluster", 3) == "/llama-cluster/llama-cluster/shard/3");
  CHECK(shards_key("lab") == "/llama-cluster/lab/shards");
}

TEST_CASE("shard announcement: layers are split evenly, and the last shard takes the rest") {
  CHECK(layer_range::of(0, 8, 32) == layer_range{0, 4});
  CHECK(layer_range::of(7, 8, 32) == layer_range{28, 32});
  CHECK(layer_range::of(6, 8, 35) == layer_range{24, 28});
  CHECK(layer_range::of(7, 8, 35) == layer_range{28, 35});
  CHECK(layer_range::of(0, 1, 5) == layer_range{0, 5});
}

TEST_CASE("shard announcement: what is written is read back") {
  shard_announcement a = sample();
  std::string text = a.to_json();
  auto read = shard_announcement::from_json(as_bytes(text), 7, peer(1));
  REQUIRE(read.has_value());
  CHECK(*read == a);

  a.capabilities.gpu_memory_mb = 24576;
  a.capabilities.gpu_compute_units = 128;
  text = a.to_json();
  read = shard_announcement::from_json(as_bytes(text), 7, peer(1));
  REQUIRE(read.has_value());
  CHECK(*read == a);
}

TEST_CASE("shard announcement: the fields have the names that the operators know, and nothing is invented") {
  json const value = json::parse(sample().to_json());
  CHECK(value["peer_id"] == peer(1).to_string());
  CHECK(value["shard_id"] == 7);
  CHECK(value["layer_start"] == 28);
  CHECK(value["layer_end"] == 33);
  CHECK(value["num_layers"] == 5);
  CHECK(value["has_embeddings"] == false);
  CHECK(value["has_output"] == true);
  CHECK(value["total_shards"] == 8);
  CHECK(value["version"] == 3);
  CHECK(value["quantization"] == "FP16");
  CHECK_FALSE(value.contains("timestamp"));
  CHECK(value["capabilities"].size() == 3);
  CHECK_FALSE(value["capabilities"].contains("reputation"));
}

TEST_CASE("shard announcement: optional fields may be missing, unknown ones are ignored") {
  json const least = {{"peer_id", peer(1).to_string()}, {"shard_id", 7}, {"total_shards", 8}, {"mood", "good"}};
  CHECK(problem(least) == "");
}

TEST_CASE("shard announcement: what contradicts itself is refused, with the reason") {
  json const good = json::parse(sample().to_json());
  CHECK(problem(good) == "");
  auto with = [&good](char const* field, json value) {
    json changed = good;
    changed[field] = std::move(value);
    return problem(changed);
  };
  CHECK(names(with("shard_id", 6), "the key is of shard 7"));
  CHECK(names(with("shard_id", 8), "does not exist"));
  CHECK(names(with("shard_id", -1), "shard_id"));
  CHECK(names(with("shard_id", "7"), "shard_id"));
  CHECK(names(with("shard_id", 7.5), "shard_id"));
  CHECK(names(with("total_shards", 0), "total_shards"));
  CHECK(names(with("total_shards", 5000), "total_shards"));
  CHECK(names(with("peer_id", peer(2).to_string()), "not the publisher's"));
  CHECK(names(with("peer_id", "nobody"), "not the publisher's"));
  CHECK(names(with("peer_id", 5), "peer_id"));
  CHECK(names(with("layer_start", 40), "layer_start"));
  CHECK(names(with("num_layers", 4), "num_layers"));
  CHECK(names(with("has_embeddings", true), "has_embeddings"));
  CHECK(names(with("has_output", false), "has_output"));
  CHECK(names(with("has_output", 1), "has_output"));
  CHECK(names(with("multiaddr", "/ip4/nonsense"), "multiaddr"));
  json const other = multiaddr::datagram(io::endpoint::parse("192.0.2.1:4001").value(), peer(2)).to_string();
  CHECK(names(with("multiaddr", other), "another peer"));
  CHECK(names(with("model_name", std::string(129, 'x')), "model_name"));
  CHECK(names(with("model_params_billions", "big"), "model_params_billions"));
  CHECK(names(with("capabilities", json::array()), "capabilities"));
  CHECK(names(with("capabilities", {{"cpu_cores", "four"}}), "cpu_cores"));
}

TEST_CASE("shard announcement: what is not JSON, or no object, is refused") {
  for (char const* text : {"", "{", "[]", "7", "\"x\"", "{\"shard_id\":7}", "{\"peer_id\":\"\xff\"}"}) {
    auto const read = shard_announcement::from_json(as_bytes(text), 7, peer(1));
    CHECK_FALSE(read.has_value());
    auto const mark = shard_mark::from_json(as_bytes(text));
    CHECK_FALSE(mark.has_value());
  }
}

TEST_CASE("shard mark: is small, and reads back") {
  shard_mark m;
  m.shard_id = 4095;
  m.total_shards = 4096;
  m.loaded = true;
  std::string const text = m.to_json();
  CHECK(text.size() <= 30);
  auto const read = shard_mark::from_json(as_bytes(text));
  REQUIRE(read.has_value());
  CHECK(*read == m);

  auto const plain = shard_mark::from_json(as_bytes(R"({"s":3,"n":8})"));
  REQUIRE(plain.has_value());
  CHECK_FALSE(plain->loaded);
  auto const outside = shard_mark::from_json(as_bytes(R"({"s":8,"n":8})"));
  CHECK_FALSE(outside.has_value());
}
