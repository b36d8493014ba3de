#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>

#include "kadoro/directory/status.hpp"

namespace kadoro::inline KADORO_ABI::directory {

namespace detail {

/// `4.2 s`, `3 min 20 s`, `2 h 5 min`.
inline std::string for_people(duration d) {
  double const seconds = std::chrono::duration<double>(d).count();
  char text[64];
  if (seconds < 100)
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  else if (seconds < 3600)
    std::snprintf(text, sizeof text, "%lld min %lld s", static_cast<long long>(seconds) / 60,
                  static_cast<long long>(seconds) % 60);
  else
    std::snprintf(text, sizeof text, "%lld h %lld min", static_cast<long long>(seconds) / 3600,
                  static_cast<long long>(seconds) / 60 % 60);
  return text;
}

inline std::string share(std::size_t part, std::size_t whole) {
  return std::to_string(part) + " / " + std::to_string(whole) + " (" + std::to_string(part * 100 / whole) + "%)";
}

inline std::string_view state_of(holder_view const& h) noexcept {
  if (h.own) return h.loaded ? "★ LOCAL" : "★ LOCAL (not loaded)";
  if (h.suspect) return "? SUSPECT (does not answer)";
  if (!h.verified) return "… FOUND (not contacted yet)";
  return h.loaded ? "✓ ONLINE + LOADED" : "○ ONLINE (not loaded)";
}

inline std::int64_t ms(duration d) noexcept { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

struct totals {
  explicit totals(swarm_view const& v) {
    for (std::uint32_t i = 0; i < v.shards.size(); ++i) {
      known += v.shards[i].empty() ? 0u : 1u;
      covered += v.covered(i) ? 1u : 0u;
      loaded += v.loaded(i) ? 1u : 0u;
    }
  }
  std::size_t known = 0;    ///< shards that somebody is listed for
  std::size_t covered = 0;  ///< shards that somebody counts for
  std::size_t loaded = 0;
};

inline void append_holder(std::string& out, holder_view const& h, swarm_view const& swarm, std::uint32_t shard) {
  out += "    " + std::string(state_of(h)) + "  Peer ID: " + h.peer.to_string();
  auto const layers = h.details
                          ? h.details->layers
                          : layer_range::of(shard, static_cast<std::uint32_t>(swarm.shards.size()), swarm.total_layers);
  out += "  Layers: " + std::to_string(layers.start) + "-" + std::to_string(layers.end);
  out += "  known for " + for_people(h.age);
  if (!h.own) {
    out += h.heard ? ", heard " + for_people(*h.heard) + " ago" : ", never heard";
    if (!h.addresses.empty()) out += "  at " + h.addresses.front().to_string();
  }
  out += '\n';
}

}  // namespace detail

KADORO_DECL std::string_view to_string(kad::peer_mode mode) noexcept {
  switch (mode) {
    case kad::peer_mode::server: return "server";
    case kad::peer_mode::client: return "client";
    case kad::peer_mode::unknown: break;
  }
  return "unknown";
}

KADORO_DECL local_status local_status::of(kad::node& node, time_point started) {
  local_status s;
  s.peer = node.id();
  s.mode = node.mode();
  s.backend = node.context().backend();
  s.backend_details = node.context().backend_details();
  s.addresses = node.addresses();
  s.reachability = node.reachability();
  s.table_size = node.table().size();
  s.servers = node.servers();
  s.stored_records = node.store().size();
  s.uptime = node.context().now() - started;
  return s;
}

KADORO_DECL std::string status_text(swarm_view const& swarm, local_status const& local) {
  detail::totals const sum(swarm);
  std::size_t const n = swarm.shards.size();
  std::string t = "[STATUS] System Status Report - up " + detail::for_people(local.uptime) + "\n";
  t += "Local Node:\n";
  if (local.shard_id) t += "  Shard ID: " + std::to_string(*local.shard_id) + " / " + std::to_string(n - 1) + "\n";
  t += "  Peer ID: " + local.peer.to_string() + "\n";
  for (multiaddr const& a : local.addresses) t += "  Address: " + a.to_string() + "\n";
  t += "  Reachability: " + kad::to_string(local.reachability) + "\n";
  t += "  Mode: " + std::string(to_string(local.mode)) +
       "   Backend: " + (local.backend_details.empty() ? std::string(local.backend) : local.backend_details) + "\n";
  t += "  Routing Table: " + std::to_string(local.table_size) + " contacts, " + std::to_string(local.servers) +
       " answer   Stored Records: " + std::to_string(local.stored_records) + "\n";
  if (local.shard_id) {
    t += std::string("  Shard Loaded: ") + (local.shard_loaded ? "✓ YES" : "✗ NO") + "\n";
    if (!local.shard_file.empty()) t += "  Shard File: " + local.shard_file + "\n";
    t += "  Active Requests: " + std::to_string(local.active_requests) + "\n";
    t += "  Announced: " + (local.stored_on.empty() ? std::string("not yet") : local.stored_on) + "\n";
  }
  if (!local.last_error.empty()) t += "  Last Error: " + local.last_error + "\n";
  t += "Cluster Discovery:\n";
  t += "  Cluster: " + swarm.cluster + "   Model: " + swarm.model_name + "\n";
  t += "  Expected Shards: " + std::to_string(n) + "\n";
  t += "  Discovered Shards: " + std::to_string(sum.known) + " / " + std::to_string(n) + "\n";
  t += std::string("  Pipeline Complete: ") + (swarm.complete ? "✓ YES" : "✗ NO") + "\n";
  t += std::string("  Swarm Ready: ") + (swarm.ready ? "✓ YES" : "✗ NO") + "\n";
  t += "Shard Online Status:\n";
  for (std::uint32_t i = 0; i < n; ++i) {
    t += "  Shard " + std::to_string(i) + ":";
    if (swarm.shards[i].empty()) {
      auto const why = swarm.why_missing.find(i);
      t += " ✗ OFFLINE" + (why == swarm.why_missing.end() ? std::string() : "  " + why->second) + "\n";
      continue;
    }
    if (swarm.shards[i].size() > 1) t += " " + std::to_string(swarm.shards[i].size()) + " replicas";
    t += '\n';
    for (holder_view const& h : swarm.shards[i]) detail::append_holder(t, h, swarm, i);
  }
  t += "Summary:\n";
  t += "  Online Shards: " + detail::share(sum.covered, n) + "\n";
  t += "  Loaded Shards: " + detail::share(sum.loaded, n) + "\n";
  t += std::string("  Pipeline Ready: ") + (swarm.ready ? "✓ YES" : "✗ NO") + "\n";
  return t;
}

KADORO_DECL std::string status_json(swarm_view const& swarm, local_status const& local) {
  using nlohmann::json;
  detail::totals const sum(swarm);
  json shards = json::object();
  for (std::uint32_t i = 0; i < swarm.shards.size(); ++i) {
    json holders = json::array();
    json one = {{"discovered", !swarm.shards[i].empty()}, {"shard_loaded", swarm.loaded(i)}, {"is_local", false}};
    for (holder_view const& h : swarm.shards[i]) {
      // The one holder that old readers know: the first that counts, before anybody who does not.
      if (!one.contains("peer_id") || (h.counts() && !one["online"].get<bool>())) {
        one["peer_id"] = h.peer.to_string();
        one["online"] = h.counts();
      }
      if (h.own) one["is_local"] = true;
      json addresses = json::array();
      for (multiaddr const& a : h.addresses) addresses.push_back(a.to_string());
      json holder = {{"peer_id", h.peer.to_string()}, {"addresses", std::move(addresses)},
                     {"age_ms", detail::ms(h.age)},   {"heard_ms_ago", h.heard ? json(detail::ms(*h.heard)) : json()},
                     {"verified", h.verified},        {"suspect", h.suspect},
                     {"shard_loaded", h.loaded},      {"is_local", h.own}};
      if (h.details) holder["announcement"] = json::parse(h.details->to_json());
      holders.push_back(std::move(holder));
    }
    one["holders"] = std::move(holders);
    auto const why = swarm.why_missing.find(i);
    if (why != swarm.why_missing.end()) one["why_missing"] = why->second;
    shards[std::to_string(i)] = std::move(one);
  }
  json addresses = json::array();
  for (multiaddr const& a : local.addresses) addresses.push_back(a.to_string());
  kad::reachability const& r = local.reachability;
  json reachability = {{"verdict", kad::to_string(r.now)},
                       {"observed", r.observed ? json(r.observed->to_string()) : json()},
                       {"agreeing", r.agreeing},
                       {"dialled_back", r.dialled_back},
                       {"why", r.why}};
  json whole = {{"peer_id", local.peer.to_string()},
                {"shard_id", local.shard_id ? json(*local.shard_id) : json()},
                {"local_shard_loaded", local.shard_loaded},
                {"local_shard_path", local.shard_file.empty() ? json() : json(local.shard_file)},
                {"cluster", swarm.cluster},
                {"model_name", swarm.model_name},
                {"swarm_ready", swarm.ready},
                {"discovered_shards", sum.known},
                {"expected_shards", swarm.shards.size()},
                {"is_complete", swarm.complete},
                {"all_shards_loaded", sum.loaded == swarm.shards.size()},
                {"missing_shards", swarm.missing()},
                {"shard_statuses", std::move(shards)},
                {"active_requests", local.active_requests},
                {"mode", to_string(local.mode)},
                {"backend", local.backend},
                {"io_backend", local.backend_details},
                {"addresses", std::move(addresses)},
                {"reachability", std::move(reachability)},
                {"routing_table_size", local.table_size},
                {"servers", local.servers},
                {"stored_records", local.stored_records},
                {"announced", local.stored_on},
                {"last_error", local.last_error},
                {"uptime_ms", detail::ms(local.uptime)}};
  return whole.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace kadoro::inline KADORO_ABI::directory
