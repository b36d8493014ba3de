#pragma once

#include <limits>
#include <nlohmann/json.hpp>

#include "kadoro/directory/shard_announcement.hpp"

namespace kadoro::inline KADORO_ABI::directory {

namespace detail {

/// Reads the fields of an object, and remembers the first that is wrong.
class field_reader {
 public:
  field_reader(std::string_view what, bytes_view value)
      : what_(what), object_(nlohmann::json::parse(value.begin(), value.end(), nullptr, false)) {
    if (object_.is_discarded())
      reject("not JSON");
    else if (!object_.is_object())
      reject("not a JSON object");
  }
  field_reader(std::string_view what, nlohmann::json object) : what_(what), object_(std::move(object)) {
    if (!object_.is_object()) reject("not a JSON object");
  }

  void reject(std::string_view why) {
    if (ok()) problem_ = std::string(what_) + ": " + std::string(why);
  }
  bool ok() const noexcept { return problem_.empty(); }
  std::string const& problem() const noexcept { return problem_; }

  /// Null if the field is not there; a required one that is missing is a problem.
  nlohmann::json const* find(char const* name, bool required = false) {
    if (!ok()) return nullptr;
    auto const at = object_.find(name);
    if (at != object_.end()) return &*at;
    if (required) reject(std::string(name) + " is missing");
    return nullptr;
  }

  template <class Unsigned>
  bool read_number(char const* name, Unsigned& out, bool required = false) {
    auto const* const field = find(name, required);
    if (field == nullptr) return false;
    if (!field->is_number_unsigned() || field->get<std::uint64_t>() > std::numeric_limits<Unsigned>::max()) {
      reject(std::string(name) + " is no number from 0 to " + std::to_string(std::numeric_limits<Unsigned>::max()));
      return false;
    }
    out = static_cast<Unsigned>(field->get<std::uint64_t>());
    return true;
  }

  bool read_bool(char const* name, bool& out, bool required = false) {
    auto const* const field = find(name, required);
    if (field == nullptr) return false;
    if (!field->is_boolean()) {
      reject(std::string(name) + " is neither true nor false");
      return false;
    }
    out = field->get<bool>();
    return true;
  }

  bool read_text(char const* name, std::string& out, bool required = false) {
    auto const* const field = find(name, required);
    if (field == nullptr) return false;
    if (!field->is_string() || field->get_ref<std::string const&>().size() > multiaddr::max_bytes) {
      reject(std::string(name) + " is no short string");
      return false;
    }
    out = field->get<std::string>();
    return true;
  }

 private:
  std::string what_;
  nlohmann::json object_;
  std::string problem_;
};

/// Bytes that are no UTF-8 are replaced: a name is for people.
inline std::string dump(nlohmann::json const& what) {
  return what.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

inline void check_shard(field_reader& fields, std::uint32_t shard, std::uint32_t total) {
  if (!fields.ok()) return;
  if (total == 0 || total > max_shards)
    fields.reject("total_shards is " + std::to_string(total) + ", must be 1 to " + std::to_string(max_shards));
  else if (shard >= total)
    fields.reject("shard " + std::to_string(shard) + " of " + std::to_string(total) + " does not exist");
}

inline void read_capabilities(field_reader& outer, shard_capabilities& out) {
  nlohmann::json const* const object = outer.find("capabilities");
  if (object == nullptr) return;
  field_reader fields("capabilities", *object);
  fields.read_number("cpu_cores", out.cpu_cores);
  fields.read_bool("shard_loaded", out.shard_loaded);
  fields.read_number("active_requests", out.active_requests);
  std::uint64_t memory = 0;
  if (fields.read_number("gpu_memory_mb", memory)) out.gpu_memory_mb = memory;
  std::uint32_t units = 0;
  if (fields.read_number("gpu_compute_units", units)) out.gpu_compute_units = units;
  if (!fields.ok()) outer.reject(fields.problem());
}

}  // namespace detail

KADORO_DECL std::string shard_announcement::to_json() const {
  nlohmann::json able = {{"cpu_cores", capabilities.cpu_cores},
                         {"shard_loaded", capabilities.shard_loaded},
                         {"active_requests", capabilities.active_requests}};
  if (capabilities.gpu_memory_mb) able["gpu_memory_mb"] = *capabilities.gpu_memory_mb;
  if (capabilities.gpu_compute_units) able["gpu_compute_units"] = *capabilities.gpu_compute_units;
  nlohmann::json const whole = {{"peer_id", peer.to_string()},
                                {"shard_id", shard_id},
                                {"layer_start", layers.start},
                                {"layer_end", layers.end},
                                {"num_layers", layers.end - layers.start},
                                {"has_embeddings", has_embeddings()},
                                {"has_output", has_output()},
                                {"multiaddr", address.to_string()},
                                {"model_name", model_name},
                                {"total_shards", total_shards},
                                {"version", version},
                                {"quantization", quantization},
                                {"model_params_billions", model_params_billions},
                                {"capabilities", std::move(able)}};
  return detail::dump(whole);
}

KADORO_DECL result<shard_announcement> shard_announcement::from_json(bytes_view value, std::uint32_t shard_in_key,
                                                                     peer_id const& publisher) {
  detail::field_reader fields("announcement of shard " + std::to_string(shard_in_key) + " by " + publisher.to_string(),
                              value);
  shard_announcement a;
  std::string peer_text;
  fields.read_text("peer_id", peer_text, true);
  fields.read_number("shard_id", a.shard_id, true);
  fields.read_number("total_shards", a.total_shards, true);
  detail::check_shard(fields, a.shard_id, a.total_shards);
  if (fields.ok() && a.shard_id != shard_in_key)
    fields.reject("the key is of shard " + std::to_string(shard_in_key) + ", the value of shard " +
                  std::to_string(a.shard_id));
  a.peer = publisher;
  if (fields.ok() && peer_text != publisher.to_string()) {
    auto const named = peer_id::parse(peer_text);  // the same id may be written in another way
    if (!named || *named != publisher) fields.reject("peer_id is not the publisher's");
  }

  fields.read_number("layer_start", a.layers.start);
  fields.read_number("layer_end", a.layers.end);
  if (fields.ok() && a.layers.start > a.layers.end) fields.reject("layer_start is behind layer_end");
  std::uint32_t count = 0;
  if (fields.read_number("num_layers", count) && count != a.layers.end - a.layers.start)
    fields.reject("num_layers is not layer_end - layer_start");
  bool flag = false;
  if (fields.read_bool("has_embeddings", flag) && flag != a.has_embeddings())
    fields.reject("has_embeddings contradicts shard_id");
  if (fields.read_bool("has_output", flag) && flag != a.has_output()) fields.reject("has_output contradicts shard_id");

  std::string address_text;
  if (fields.read_text("multiaddr", address_text) && !address_text.empty()) {
    auto address = multiaddr::parse(address_text);
    if (!address)
      fields.reject("multiaddr: " + address.error().message());
    else if (address->peer() && *address->peer() != publisher)
      fields.reject("multiaddr leads to another peer");
    else
      a.address = std::move(*address);
  }
  fields.read_text("model_name", a.model_name);
  fields.read_text("quantization", a.quantization);
  if (fields.ok() && (a.model_name.size() > max_text_bytes || a.quantization.size() > max_text_bytes))
    fields.reject("model_name or quantization has more than " + std::to_string(max_text_bytes) + " bytes");
  if (auto const* const size = fields.find("model_params_billions")) {
    if (size->is_number())
      a.model_params_billions = size->get<double>();
    else
      fields.reject("model_params_billions is no number");
  }
  fields.read_number("version", a.version);
  detail::read_capabilities(fields, a.capabilities);
  if (!fields.ok()) return fail(errc::malformed, fields.problem());
  return a;
}

KADORO_DECL std::string shard_mark::to_json() const {
  return detail::dump({{"s", shard_id}, {"n", total_shards}, {"l", loaded}});
}

KADORO_DECL result<shard_mark> shard_mark::from_json(bytes_view value) {
  detail::field_reader fields("mark of a shard", value);
  shard_mark m;
  fields.read_number("s", m.shard_id, true);
  fields.read_number("n", m.total_shards, true);
  fields.read_bool("l", m.loaded);
  detail::check_shard(fields, m.shard_id, m.total_shards);
  if (!fields.ok()) return fail(errc::malformed, fields.problem());
  return m;
}

KADORO_DECL std::string shard_key(std::string_view cluster, std::uint32_t shard_id) {
  return "/llama-cluster/" + std::string(cluster) + "/shard/" + std::to_string(shard_id);
}

KADORO_DECL std::string shards_key(std::string_view cluster) {
  return "/llama-cluster/" + std::string(cluster) + "/shards";
}

}  // namespace kadoro::inline KADORO_ABI::directory
