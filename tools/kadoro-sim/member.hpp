#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "kadoro/coro/scope.hpp"
#include "kadoro/directory/swarm_directory.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/database.hpp"
#include "kadoro/io/sim/storage.hpp"
#include "kadoro/kad/node.hpp"
#include "observed_transport.hpp"
#include "oracle.hpp"

namespace kadoro_sim {

/// The key of the `n`th content that members provide, a multihash; all others are longer, or begin otherwise.
std::string provided_key(std::uint64_t n);
bool is_provided(std::string_view key) noexcept;
kadoro::kad::multihash hash_of_provided(std::string_view key);

/// What a member that lies says instead of the truth.
class liar {
 public:
  virtual ~liar() = default;
  /// As `witness::on_request`.
  virtual bool on_request(peer_ref const& from, message const& request, message& answer, witness::reply& how) = 0;
};

/// One machine of the swarm over all its lives: its host, its disk, its identity, the node and the directory that run
/// on it, and the work that it does: puts, withdrawals, gets and lookups at random, all under the oracle's eyes.
class member final : private witness {
 public:
  struct options {
    std::size_t index = 0;
    kadoro::io::endpoint address;
    kadoro::kad::peer_mode mode = kadoro::kad::peer_mode::server;
    bool has_directory = false;
    bool seed = false;          ///< others bootstrap from it: it keeps its identity
    bool works = true;          ///< puts and gets
    bool has_database = false;  ///< what it holds survives its lives
    bool small_store = false;   ///< room for a few records only
    bool old_version = false;   ///< knows neither renew nor replicate
    kadoro::duration clock_offset{};
    double clock_drift = 0;
    kadoro::io::sim::nat* nat = nullptr;
    std::size_t fails_to_open = 0;  ///< so many starts fail for want of a socket
    std::optional<kadoro::byte_array<32>> swarm_key = {};
    kadoro::kad::transport_factory make_transport = {};
    std::function<void(member const&, peer_ref const&)> on_confirmed = {};
  };
  enum class state : std::uint8_t { off, running, leaving, left };

  member(kadoro::io::sim::world& world, plan const& of, oracle& judge, options how);
  ~member();
  member(member const&) = delete;
  member& operator=(member const&) = delete;

  /// Power on: opens the node and lets it join by `bootstrap`. False if the machine cannot (its disk fails, no
  /// sockets): try again later.
  bool start(std::vector<kadoro::kad::multiaddr> const& bootstrap);
  /// Power off. Not from inside the host's own code, as everything here.
  void crash();
  /// The user asks it to end: withdraws, closes, and is `left` some time later; then `crash` clears up.
  void leave();
  /// Closes without withdrawing, likewise.
  void close();
  /// The disk is lost: with its identity, or only the sequence of its records.
  void lose_files();
  void lose_sequence();

  state now() const noexcept { return state_; }
  bool running() const noexcept { return state_ == state::running; }
  /// Runs, keeps to the protocol, and serves others.
  bool correct_server() const noexcept { return running() && !lies() && how_.mode != kadoro::kad::peer_mode::client; }
  bool lies() const noexcept { return liar_ != nullptr; }
  /// From now on it lies; null: it keeps to the protocol again (which the oracle believes from its next life on).
  void set_liar(std::shared_ptr<liar> how);
  void set_working(bool on) noexcept { working_ = on; }

  options const& how() const noexcept { return how_; }
  /// How it will be from its next start on.
  options& will_be() noexcept { return how_; }
  kadoro::io::sim::context& host() noexcept { return *host_; }
  kadoro::io::sim::storage& disk() noexcept { return disk_; }
  kadoro::io::sim::database& database() noexcept { return database_; }
  kadoro::kad::node* node() noexcept { return node_.get(); }
  kadoro::directory::swarm_directory* directory() noexcept { return directory_.get(); }
  observed_transport* transport() noexcept { return transport_; }
  kadoro::crypto::identity const& identity() const noexcept { return *identity_; }
  peer_id const& id() const noexcept { return id_; }
  kadoro::kad::multiaddr address() const;
  std::uint32_t shard() const noexcept { return static_cast<std::uint32_t>(how_.index % plan_.shards); }
  bool joined() const noexcept { return joined_; }
  bool announced() const noexcept { return announced_; }
  /// Its lives are numbered from 1.
  std::uint64_t life() const noexcept { return life_; }
  /// When its last life ended, or its host was last paused.
  kadoro::time_point disturbed_at() const noexcept { return disturbed_at_; }
  /// When it last ended, in whatever way.
  kadoro::time_point ended_at() const noexcept { return ended_at_; }
  void disturbed() noexcept { disturbed_at_ = world_.now(); }

  /// What it publishes now, by key: what a GET in calm must find. Only of puts whose receipt was ok. What it provides
  /// is among that.
  std::map<std::string, std::uint64_t> const& publishes() const noexcept { return publishes_; }
  /// Likewise its contents, by their keys.
  std::set<std::string> const& contents() const noexcept { return contents_; }
  kadoro::kad::store_limits limits() const noexcept;
  /// Operations begun and not ended.
  std::size_t operations() const noexcept { return operations_; }
  /// One of them is on this key: the oracle takes all answers about it for that one's.
  bool works_on(std::string const& key) const { return busy_keys_.contains(key); }

  // One operation each, judged. They end by themselves; run them on this member's host.
  static kadoro::coro::task<void> put_once(member& m, std::string key, kadoro::kad::quorum quorum, bool read_back);
  static kadoro::coro::task<void> withdraw_once(member& m, std::string key);
  static kadoro::coro::task<void> get_once(member& m, std::string key, bool majority);
  static kadoro::coro::task<void> put_content_once(member& m, std::string value, kadoro::kad::quorum quorum,
                                                   bool read_back);
  static kadoro::coro::task<void> find_providers_once(member& m, std::string key, bool majority);
  static kadoro::coro::task<void> get_content_once(member& m, std::string key, bool majority);

 private:
  std::uint64_t on_asked(peer_ref const& to, message const& what) override { return oracle_.on_asked(id_, to, what); }
  void on_answered(std::uint64_t number, kadoro::result<message> const& answer) override {
    oracle_.on_answered(number, answer);
  }
  void on_abandoned(std::uint64_t number) override { oracle_.on_abandoned(number); }
  bool on_request(peer_ref const& from, message const& request, message& answer, reply& how) override;
  void on_served(peer_ref const& from, message const& request, message const& answer, reply how) override;
  void on_confirmed(peer_ref const& who) override;
  void judge_write(peer_ref const& from);

  static kadoro::coro::task<void> live(member& m);
  static kadoro::coro::task<void> write(member& m);
  static kadoro::coro::task<void> read(member& m);
  static kadoro::coro::task<void> end(member& m, bool withdraw);
  kadoro::kad::put_options put_options(kadoro::kad::quorum quorum, bool read_back) const;
  std::string random_key();
  std::string random_content();
  bool turns_to_content();
  bool may_get(std::string const& key) const;
  class operation;

  kadoro::io::sim::world& world_;
  plan const& plan_;
  oracle& oracle_;
  options how_;
  state state_ = state::off;
  kadoro::chacha20_random random_;
  std::optional<kadoro::crypto::identity> identity_;
  peer_id id_;
  kadoro::io::sim::storage disk_;
  kadoro::io::sim::database database_;  ///< on the same disk
  std::shared_ptr<liar> liar_;
  bool working_ = true;
  bool joined_ = false;
  bool announced_ = false;
  kadoro::time_point disturbed_at_{};
  kadoro::time_point ended_at_{};
  std::map<std::string, std::uint64_t> publishes_;
  std::set<std::string> contents_;
  std::set<std::string> busy_keys_;
  std::map<std::string, kadoro::kad::get_result> last_get_;
  std::map<std::string, kadoro::kad::providers_result> last_search_;
  std::size_t operations_ = 0;
  std::uint64_t values_ = 0;
  std::uint64_t life_ = 0;
  std::map<peer_id, kadoro::time_point> met_;  ///< with whom it had a session in this life, and since when the latest

  std::unique_ptr<kadoro::io::sim::context> host_;
  std::unique_ptr<kadoro::kad::node> node_;
  observed_transport* transport_ = nullptr;  // of the node
  std::unique_ptr<kadoro::directory::swarm_directory> directory_;
};

}  // namespace kadoro_sim
