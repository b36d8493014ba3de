// One libtorrent session that is nothing but a DHT node, driven by lines on its standard input as kadoro_node is.

#include <libtorrent/alert_types.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/hasher.hpp>
#include <libtorrent/kademlia/ed25519.hpp>
#include <libtorrent/kademlia/item.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "common/command.hpp"
#include "common/samples.hpp"

namespace {

namespace lt = libtorrent;
using bench::command;
using bench::json;
using bench::plan;
using bench::samples;

/// The pair of keys under which a tag's mutable items stand: the same in every process.
struct key_pair {
  explicit key_pair(std::string const& tag) {
    std::array<char, 32> seed{};
    for (std::size_t i = 0; i < tag.size(); ++i)
      seed[i % seed.size()] = static_cast<char>(seed[i % seed.size()] ^ tag[i]);
    std::tie(open, secret) = lt::dht::ed25519_create_keypair(seed);
  }
  lt::dht::public_key open;
  lt::dht::secret_key secret;
};

lt::entry entry_of(std::vector<std::uint8_t> const& value) {
  return lt::entry(std::string(value.begin(), value.end()));
}

lt::sha1_hash target_of(lt::entry const& value) {
  std::string encoded;
  lt::bencode(std::back_inserter(encoded), value);
  return lt::hasher(encoded).final();
}

/// Puts a mutable item of the next sequence, without caring for what is there.
void put_mutable(lt::session& node, key_pair const& keys, std::string const& salt, lt::entry const& value) {
  node.dht_put_item(
      keys.open.bytes,
      [keys, value](lt::entry& item, std::array<char, 64>& signature, std::int64_t& sequence, std::string const& with) {
        item = value;
        ++sequence;
        std::string encoded;
        lt::bencode(std::back_inserter(encoded), item);
        signature =
            lt::dht::sign_mutable_item(encoded, with, lt::dht::sequence_number(sequence), keys.open, keys.secret).bytes;
      },
      salt);
}

/// Operations that are under way together. What ended says an alert, with the time when it was made.
class batch {
 public:
  batch(lt::session& node, command const& line)
      : node_(node), what_(line), get_(line.word() == "get"), keys_(what_.tag), times_(what_.count) {
    for (std::size_t i = 0; i < what_.count; ++i) operations_.push_back(make(i));
  }

  json run() {
    times_.start();
    for (std::size_t i = 0; i < what_.in_flight; ++i) start_next();
    std::vector<lt::alert*> alerts;
    while (times_.done() < what_.count) {
      if (node_.wait_for_alert(std::chrono::seconds(30)) == nullptr)
        throw std::runtime_error("an operation does not end");
      node_.pop_alerts(&alerts);
      for (lt::alert* const each : alerts) hear(*each);
    }
    json out = times_.report();
    if (!get_) out["receipt"] = {{"stored", copies_}};
    return out;
  }

 private:
  struct one {
    lt::entry value;
    lt::sha1_hash target;    // of an immutable item
    std::string name;        // by which alerts tell: this hash, or the salt of a mutable item
    lt::time_point began{};  // on the clock of alerts
    bool found = false;
  };

  one make(std::size_t index) const {
    one op;
    op.value = entry_of(what_.value(index));
    op.target = target_of(op.value);
    op.name = what_.is_signed ? what_.key(index) : op.target.to_string();
    return op;
  }

  void start_next() {
    if (next_ == what_.count) return;
    one& op = operations_[next_++];
    under_way_[op.name] = &op;
    op.began = lt::clock_type::now();
    if (what_.is_signed) {
      if (get_)
        node_.dht_get_item(keys_.open.bytes, op.name);
      else
        put_mutable(node_, keys_, op.name, op.value);
    } else if (get_) {
      node_.dht_get_item(op.target);
    } else {
      node_.dht_put_item(op.value);
    }
  }

  void hear(lt::alert& what) {
    if (auto const* put = lt::alert_cast<lt::dht_put_alert>(&what))
      stored(*put);
    else if (auto const* got = lt::alert_cast<lt::dht_immutable_item_alert>(&what))
      ended(got->target.to_string(), got->item.type() == lt::entry::string_t, what.timestamp());
    else if (auto const* item = lt::alert_cast<lt::dht_mutable_item_alert>(&what))
      hear_mutable(*item, what.timestamp());
  }

  void stored(lt::dht_put_alert const& put) {
    copies_ = put.num_success;
    ended(what_.is_signed ? put.salt : put.target.to_string(), put.num_success > 0, put.timestamp());
  }

  void hear_mutable(lt::dht_mutable_item_alert const& item, lt::time_point when) {
    auto const at = under_way_.find(item.salt);
    if (at == under_way_.end()) return;
    one& op = *at->second;
    bool const right = item.item == op.value;
    if (right && !op.found) {
      op.found = true;
      times_.add_first(op.began, when);
    }
    if (item.authoritative) ended(item.salt, right, when);
  }

  void ended(std::string const& name, bool good, lt::time_point when) {
    auto const at = under_way_.find(name);
    if (at == under_way_.end()) return;
    if (good)
      times_.add(at->second->began, when);
    else
      times_.fail(get_ ? "not found" : "not stored");
    under_way_.erase(at);
    start_next();
  }

  lt::session& node_;
  plan what_;
  bool get_;
  key_pair keys_;
  samples times_;
  std::vector<one> operations_;  // made before anything is timed
  std::size_t next_ = 0;
  int copies_ = 0;  // of what was put last
  std::map<std::string, one*> under_way_;
};

/// The shards of a swarm: one is announced here, all are asked for until they are seen. Mutable items of a pair of keys
/// that all share, one salt a shard.
class shard_search {
 public:
  shard_search(lt::session& node, std::size_t own, std::size_t total)
      : node_(node), own_(own), total_(total), keys_("shards") {
    seen_.insert(own);
  }

  /// Announced it is when as many nodes hold it as a majority of four replicas.
  static constexpr int copies = 3;

  void run() {
    put();
    std::vector<lt::alert*> alerts;
    auto ask_at = bench::clock::now();
    while (seen_.size() < total_ || !announced_) {
      if (bench::clock::now() >= ask_at) {
        for (std::size_t shard = 0; shard < total_; ++shard)
          if (seen_.count(shard) == 0 && asked_.insert(shard).second)
            node_.dht_get_item(keys_.open.bytes, std::to_string(shard));
        ask_at = bench::clock::now() + std::chrono::milliseconds(2);
      }
      if (node_.wait_for_alert(std::chrono::milliseconds(2)) == nullptr) continue;
      node_.pop_alerts(&alerts);
      for (lt::alert* const each : alerts) hear(*each);
    }
  }

 private:
  void put() { put_mutable(node_, keys_, std::to_string(own_), lt::entry(std::string(120, 'x'))); }

  void hear(lt::alert& what) {
    if (auto const* put_done = lt::alert_cast<lt::dht_put_alert>(&what)) {
      if (put_done->num_success < copies) return put();
      if (!announced_) bench::tell("announced");
      announced_ = true;
    } else if (auto const* item = lt::alert_cast<lt::dht_mutable_item_alert>(&what)) {
      auto const shard = static_cast<std::size_t>(std::stoul(item->salt));
      if (item->authoritative) asked_.erase(shard);
      if (item->item.type() != lt::entry::string_t || item->item.string().size() != 120) return;
      if (seen_.insert(shard).second && seen_.size() == total_) bench::tell("complete");
    }
  }

  lt::session& node_;
  std::size_t own_;
  std::size_t total_;
  key_pair keys_;
  std::set<std::size_t> seen_;
  std::set<std::size_t> asked_;
  bool announced_ = false;
};

std::size_t peers_of(lt::session& node) {
  node.post_dht_stats();
  std::size_t nodes = 0;
  std::vector<lt::alert*> alerts;
  for (bool heard = false; !heard;) {
    if (node.wait_for_alert(std::chrono::seconds(5)) == nullptr) break;
    node.pop_alerts(&alerts);
    for (lt::alert* const each : alerts) {
      auto const* stats = lt::alert_cast<lt::dht_stats_alert>(each);
      if (stats == nullptr) continue;
      heard = true;
      for (auto const& bucket : stats->routing_table) nodes += static_cast<std::size_t>(bucket.num_nodes);
    }
  }
  return nodes;
}

/// Tells the node of others, as a program that knows some would; it pings them.
json meet(lt::session& node, command const& line) {
  std::istringstream in(line.text("nodes"));
  for (std::string one; std::getline(in, one, ',');) {
    auto const colon = one.rfind(':');
    node.add_dht_node({one.substr(0, colon), std::stoi(one.substr(colon + 1))});
  }
  return {{"peers", peers_of(node)}};
}

json answer(lt::session& node, command const& line) {
  if (line.word() == "meet") return meet(node, line);
  if (line.word() == "put" || line.word() == "get") return batch(node, line).run();
  if (line.word() == "state") return {{"peers", peers_of(node)}};
  if (line.word() == "usage") return bench::usage();
  return {{"error", "no such command: " + line.word()}};
}

/// Its best for this: 16 requests at a time, no limits, nothing of BitTorrent around it, no rules that make sense for
/// the addresses of the Internet only.
lt::settings_pack settings_for(std::string const& listen, std::string const& seed, bool client) {
  using pack = lt::settings_pack;
  pack s;
  s.set_str(pack::listen_interfaces, listen);
  s.set_str(pack::dht_bootstrap_nodes, seed);
  s.set_int(pack::alert_mask, lt::alert_category::dht | lt::alert_category::status);
  s.set_int(pack::alert_queue_size, 100000);
  s.set_bool(pack::enable_dht, true);
  for (int const off :
       {pack::enable_lsd, pack::enable_upnp, pack::enable_natpmp, pack::enable_incoming_tcp, pack::enable_outgoing_tcp,
        pack::validate_https_trackers, pack::dht_restrict_routing_ips, pack::dht_restrict_search_ips,
        pack::dht_prefer_verified_node_ids, pack::dht_enforce_node_id, pack::dht_ignore_dark_internet})
    s.set_bool(off, false);
  s.set_bool(pack::dht_read_only, client);  // others do not take it into their tables, and do not wait for it later
  s.set_int(pack::dht_search_branching, 16);
  s.set_int(pack::dht_upload_rate_limit, 1'000'000'000);
  s.set_int(pack::dht_block_ratelimit, 1'000'000);
  s.set_int(pack::dht_max_dht_items, 1'000'000);
  s.set_int(pack::recv_socket_buffer_size, 4 << 20);  // of its UDP socket, too: as kadoro's
  s.set_int(pack::send_socket_buffer_size, 4 << 20);
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  command const settings(argc, argv);
  bench::tell("started");
  // No TLS is spoken here, and to read the system's certificates takes longer than all the rest of the start.
  setenv("SSL_CERT_FILE", "/dev/null", 1);
  setenv("SSL_CERT_DIR", "/nonexistent", 1);
  lt::session node(lt::session_params(settings_for(settings.text("listen", "127.0.0.1:0"), settings.text("bootstrap"),
                                                   settings.text("mode") == "client")));
  std::string const listen = settings.text("listen", "127.0.0.1:0");
  while (node.listen_port() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  bench::say({{"address", listen.substr(0, listen.rfind(':')) + ":" + std::to_string(node.listen_port())},
              {"backend", std::string("libtorrent ") + lt::version()}});
  if (std::size_t const total = settings.number("shards"); total > 0)
    shard_search(node, settings.number("shard"), total).run();
  std::string line;
  while (std::getline(std::cin, line) && line != "quit") bench::say(answer(node, command(line)));
  std::cout.flush();
  std::_Exit(0);  // libtorrent says goodbye to trackers first, if it is let
}
