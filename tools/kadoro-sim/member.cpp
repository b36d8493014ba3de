#include "member.hpp"

#include <algorithm>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/content.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

std::string provided_key(std::uint64_t n) {
  return std::string(as_text(kad::multihash::identity(as_bytes("provided/" + std::to_string(n))).value().bytes()));
}

bool is_provided(std::string_view key) noexcept {
  static constexpr std::size_t before = 2;  // function and length
  return key.size() > before && key.substr(before).starts_with("provided/");
}

kad::multihash hash_of_provided(std::string_view key) { return kad::multihash::from_bytes(as_bytes(key)).value(); }

/// One operation of a member: keeps others off its key, and is counted until it ends, however it ends.
class member::operation {
 public:
  operation(member& of, std::string key) : member_(of), key_(std::move(key)) {
    member_.busy_keys_.insert(key_);
    ++member_.operations_;
  }
  operation(operation const&) = delete;
  operation& operator=(operation const&) = delete;
  ~operation() {
    member_.busy_keys_.erase(key_);
    --member_.operations_;
  }

  /// Nobody waits longer than this for an answer, whatever is wrong with the world.
  void ended(char const* what, std::size_t steps) const {
    static constexpr duration longest = 60s;
    duration const took = member_.world_.now() - begun_;
    bool const undisturbed = member_.disturbed_at_ < begun_;
    if (!undisturbed) return;
    member_.oracle_.expect(took <= longest && steps <= kad::trace::max_steps, check::lookup_bounded, [&] {
      return std::string(what) + " of '" + key_ + "' by " + member_.id_.short_string() + " took " +
             std::to_string(std::chrono::duration<double>(took).count()) + " s and " + std::to_string(steps) + " steps";
    });
  }

 private:
  member& member_;
  std::string key_;
  time_point begun_ = member_.world_.now();
};

member::member(io::sim::world& world, plan const& of, oracle& judge, options how)
    : world_(world), plan_(of), oracle_(judge), how_(std::move(how)), random_(of.seed * 1000 + how_.index) {}

member::~member() { crash(); }

kad::multiaddr member::address() const { return kad::multiaddr::datagram(how_.address, id_); }

kad::store_limits member::limits() const noexcept {
  kad::store_limits limits;
  if (how_.small_store) {
    limits.max_records = 4;
    limits.max_records_per_publisher = 2;
  }
  return limits;
}

// ---- life -----------------------------------------------------------------------------------------------------------

bool member::start(std::vector<kad::multiaddr> const& bootstrap) {
  crash();
  host_ = std::make_unique<io::sim::context>(world_, how_.address);
  host_->set_clock(how_.clock_offset, how_.clock_drift);
  if (how_.nat != nullptr) host_->set_nat(how_.nat);
  if (how_.fails_to_open > 0) {
    host_->fail_opens(1);
    --how_.fails_to_open;
  }
  if (!identity_) identity_ = crypto::identity::generate(host_->random());
  id_ = peer_id::of_ed25519(identity_->public_key());
  met_.clear();

  kad::node_options o;
  o.listen = how_.address;
  o.mode = how_.mode;
  for (kad::multiaddr const& seed : bootstrap)
    if (seed.peer() != id_) o.bootstrap.push_back(seed);
  o.replicas = plan_.replicas;
  o.swarm_key = how_.swarm_key;
  o.table.k = plan_.k;
  o.storage = &disk_;
  if (how_.has_database) o.database = &database_;
  o.store = limits();
  o.transport = [this](io::context& context, transport::peer_book& book, crypto::identity const& self,
                       kad::node_options const& from) -> result<std::unique_ptr<transport::transport>> {
    auto opened = how_.make_transport(context, book, self, from);
    if (!opened) return fail(opened.error());
    witness& eyes = *this;
    auto observed = std::make_unique<observed_transport>(std::move(*opened), eyes);
    transport_ = observed.get();
    return std::unique_ptr<transport::transport>(std::move(observed));
  };
  auto opened = kad::node::open(*host_, *identity_, o);
  if (!opened) {
    host_.reset();
    transport_ = nullptr;
    return false;
  }
  node_ = std::move(*opened);
  ++life_;
  oracle_.begin_life(id_, lies());
  if (how_.has_database) {
    auto const kept = node_->persistence();
    oracle_.expect(kept.now != kad::persistence_status::state::off, check::durable_is_kept,
                   [&] { return id_.short_string() + " cannot read its database: " + kept.why; });
    oracle_.on_reloaded(id_, node_->store(), host_->now());
  }
  if (how_.has_directory) {
    directory::directory_options d;
    d.cluster = "sim";
    d.total_shards = static_cast<std::uint32_t>(plan_.shards);
    d.lifetime = plan_.announced;
    directory_ = std::move(directory::swarm_directory::open(*node_, d).value());
  }
  state_ = state::running;
  host_->spawn(live(*this));
  return true;
}

void member::crash() {
  if (!host_) return;
  disturbed();
  ended_at_ = world_.now();
  host_->crash();
  oracle_.end_life(id_);
  directory_.reset();
  node_.reset();
  transport_ = nullptr;
  host_.reset();
  publishes_.clear();
  contents_.clear();
  last_get_.clear();
  last_search_.clear();
  joined_ = announced_ = false;
  state_ = state::off;
}

void member::leave() {
  if (!running()) return;
  state_ = state::leaving;
  host_->spawn(end(*this, true));
}

void member::close() {
  if (!running()) return;
  state_ = state::leaving;
  host_->spawn(end(*this, false));
}

coro::task<void> member::end(member& m, bool withdraw) {
  if (m.directory_) {
    if (withdraw) {
      auto const gone = co_await m.directory_->withdraw();
      static_cast<void>(gone);
    }
    co_await m.directory_->close();
  }
  co_await m.node_->close();
  m.oracle_.end_life(m.id_);
  m.publishes_.clear();
  m.contents_.clear();
  m.ended_at_ = m.world_.now();
  m.state_ = state::left;
}

void member::lose_files() {
  oracle_.on_disk_lost(id_);
  identity_.reset();
  database_.entries().clear();
  lose_sequence();
}

void member::lose_sequence() {
  auto const removed = disk_.remove("sequence");
  static_cast<void>(removed);
  std::erase_if(database_.entries(), [](auto const& entry) { return entry.first.front() == 'b'; });  // its blobs
}

void member::set_liar(std::shared_ptr<liar> how) {
  liar_ = std::move(how);
  if (liar_ && running()) oracle_.end_life(id_);
}

// ---- what the oracle sees -------------------------------------------------------------------------------------------

bool member::on_request(peer_ref const& from, message const& request, message& answer, reply& how) {
  if (liar_) return liar_->on_request(from, request, answer, how);
  if (how_.old_version && (request.type == message_type::renew || request.type == message_type::replicate ||
                           request.type == message_type::renew_content)) {
    oracle_.injected(fault::old_version);
    answer.refusal = errc::refused_unsupported;
    how = reply::send;
    return true;
  }
  return false;
}

void member::on_served(peer_ref const& from, message const& request, message const& answer, reply how) {
  if (answer.refusal == errc::refused_full) oracle_.injected(fault::full_store);
  bool const write = request.type == message_type::put_value || request.type == message_type::replicate ||
                     request.type == message_type::renew || request.type == message_type::renew_content;
  if (write && running() && how_.mode == kad::peer_mode::server) judge_write(from);
  oracle_.on_served(id_, *node_, from, request, answer, how);
}

/// Without a session, it may be a first flight that somebody has recorded; at an instant when nothing new has come in,
/// it is something that was read before.
void member::judge_write(peer_ref const& from) {
  static constexpr duration settled = 12s;  // so long ago a pause, or a time of slowness, began or ended
  oracle_.expect(met_.contains(from->id()), check::replay_teaches_nothing, [&] {
    return id_.short_string() + " lets " + from->id().short_string() + " write, who may be somewhere else";
  });
  if (plan_.transport == transport_kind::stream || world_.now() - disturbed_at_ < settled) return;
  // Where both ends dial, packets may come before the answer that says how to read them; then their copies are news.
  static constexpr duration on_the_way = 1s;
  if (world_.now() - met_[from->id()] < on_the_way) return;
  oracle_.expect(oracle_.news_now(how_.address, met_[from->id()]), check::replay_teaches_nothing,
                 [&] { return id_.short_string() + " writes what " + from->id().short_string() + " said before"; });
}

void member::on_confirmed(peer_ref const& who) {
  met_[who->id()] = world_.now();
  if (how_.on_confirmed) how_.on_confirmed(*this, who);
}

// ---- work -----------------------------------------------------------------------------------------------------------

coro::task<void> member::live(member& m) {
  for (;;) {
    auto const joined = co_await m.node_->join();
    if (joined) break;
    auto const slept = co_await coro::sleep_for(1s);
    if (!slept || m.state_ != state::running) co_return;
  }
  m.joined_ = true;
  while (m.directory_ && !m.announced_ && m.state_ == state::running) {
    auto what = m.directory_->describe(m.shard());
    what.capabilities.shard_loaded = true;
    auto const receipt = co_await m.directory_->announce(std::move(what));
    m.announced_ = receipt.has_value();
    if (m.announced_) break;
    auto const slept = co_await coro::sleep_for(1s);
    if (!slept) co_return;
  }
  if (!m.how_.works) co_return;
  coro::scope loops(*m.host_);
  loops.abandon();  // a power cut ends everything
  loops.spawn(write(m));
  loops.spawn(read(m));
  co_await loops.join();
}

std::string member::random_key() {
  if (plan_.provided > 0 && one_in(2, random_)) return provided_key(random_.below(plan_.provided));
  return "work/" + std::to_string(random_.below(plan_.keys));
}

/// One of a few, so that several put the same; some need more than one packet.
std::string member::random_content() {
  std::uint64_t const which = random_.below(plan_.keys);
  return "content " + std::to_string(which) + " " + std::string(which % 4 == 3 ? 3000 : 40 * which, 'x');
}

bool member::turns_to_content() {
  return plan_.transport == transport_kind::datagram && one_in(plan_.content, random_);
}

namespace {

std::string key_of(std::string const& content) { return std::string(as_text(kad::content_key(as_bytes(content)))); }

}  // namespace

kad::put_options member::put_options(kad::quorum quorum, bool read_back) const {
  kad::put_options o;
  o.quorum = quorum;
  o.lifetime = plan_.lifetime;
  o.read_back = read_back;
  o.durable = values_ % 4 == 1;
  return o;
}

coro::task<void> member::write(member& m) {
  while (m.working_) {
    duration const pause = around(2 * m.plan_.think, m.random_);
    auto const slept = co_await coro::sleep_for(pause);
    if (!slept || !m.working_ || m.state_ != state::running) break;
    bool const content = m.turns_to_content();
    std::string const value = content ? m.random_content() : "";
    std::string const key = content ? key_of(value) : m.random_key();
    if (m.busy_keys_.contains(key)) continue;
    if (m.contents_.contains(key) && one_in(4, m.random_)) {
      m.node_->release_content(as_bytes(key));
      m.contents_.erase(key);
      continue;
    }
    if (m.publishes_.contains(key) && one_in(4, m.random_)) {
      co_await withdraw_once(m, key);
      continue;
    }
    std::uint64_t const which = m.random_.below(6);
    auto const quorum = which == 0 ? kad::quorum::all() : which == 1 ? kad::quorum::one() : kad::quorum::majority();
    bool const read_back = one_in(8, m.random_);
    if (content) {
      co_await put_content_once(m, value, quorum, read_back);
      continue;
    }
    co_await put_once(m, key, quorum, read_back);
  }
}

coro::task<void> member::read(member& m) {
  while (m.working_) {
    duration const pause = around(m.plan_.think, m.random_);
    auto const slept = co_await coro::sleep_for(pause);
    if (!slept || !m.working_ || m.state_ != state::running) break;
    bool const content = m.turns_to_content();
    std::string const key = content ? key_of(m.random_content()) : m.random_key();
    bool const majority = one_in(2, m.random_);
    if (!m.may_get(key)) continue;
    if (content) {
      co_await get_content_once(m, key, majority);
      continue;
    }
    co_await get_once(m, key, majority);
  }
}

/// Late answers to an earlier GET must not be taken for answers to this one.
bool member::may_get(std::string const& key) const {
  auto const last = last_get_.find(key);
  auto const last_search = last_search_.find(key);
  return !busy_keys_.contains(key) && (last == last_get_.end() || last->second.steps().elapsed()) &&
         (last_search == last_search_.end() || last_search->second.steps().elapsed());
}

namespace {

/// The oracle follows the operation as long as this lives.
class followed_put {
 public:
  followed_put(oracle& by, peer_id const& self, std::string const& key) : oracle_(by), self_(self) {
    watch.key = to_bytes(as_bytes(key));
    oracle_.begin_put(self_, watch);
  }
  followed_put(followed_put const&) = delete;
  followed_put& operator=(followed_put const&) = delete;
  ~followed_put() { oracle_.drop_put(self_, watch); }

  put_watch watch;

 private:
  oracle& oracle_;
  peer_id self_;
};

class followed_get {
 public:
  followed_get(oracle& by, peer_id const& self, std::string const& key, bool majority) : oracle_(by), self_(self) {
    watch.key = to_bytes(as_bytes(key));
    watch.majority = majority;
    oracle_.begin_get(self_, watch);
  }
  followed_get(followed_get const&) = delete;
  followed_get& operator=(followed_get const&) = delete;
  ~followed_get() { oracle_.drop_get(self_, watch); }

  get_watch watch;

 private:
  oracle& oracle_;
  peer_id self_;
};

}  // namespace

namespace {

/// Mostly 2 to 4 KiB, up to 16 KiB now and then.
std::uint64_t large_size(random_source& random) {
  return one_in(8, random) ? random.below(16 * 1024) : 2048 + random.below(2048);
}

}  // namespace

coro::task<void> member::put_once(member& m, std::string key, kad::quorum quorum, bool read_back) {
  operation const under_way(m, key);
  followed_put followed(m.oracle_, m.id_, key);
  std::string value = m.id_.short_string() + " " + std::to_string(++m.values_) + " ";
  value.append(m.plan_.large_values && one_in(8, m.random_) ? large_size(m.random_) : m.random_.below(400), 'x');
  auto const how = m.put_options(quorum, read_back);
  m.oracle_.on_put(m.id_, as_bytes(key));
  auto putting = is_provided(key) ? m.node_->provide(hash_of_provided(key), how)
                                  : m.node_->put(as_bytes(key), as_bytes(value), how);
  auto const receipt = co_await std::move(putting);
  if (!receipt) co_return;
  m.publishes_[key] = receipt->sequence();
  ++m.oracle_.tally().puts;
  auto const settled = co_await receipt->settled();
  if (!settled) co_return;
  m.publishes_[key] = receipt->sequence();
  m.oracle_.tally().puts_ok += receipt->ok() ? 1u : 0u;
  m.oracle_.end_put(m.id_, followed.watch, *receipt, quorum);
  under_way.ended("PUT", receipt->steps().steps().size());
}

coro::task<void> member::withdraw_once(member& m, std::string key) {
  operation const under_way(m, key);
  followed_put followed(m.oracle_, m.id_, key);
  auto const quorum = kad::quorum::majority();
  auto how = m.put_options(quorum, false);
  how.lifetime /= 3;  // the node knows better
  auto withdrawing =
      is_provided(key) ? m.node_->unprovide(hash_of_provided(key), how) : m.node_->withdraw(as_bytes(key), how);
  auto const receipt = co_await std::move(withdrawing);
  if (!receipt) co_return;
  m.publishes_.erase(key);
  m.oracle_.on_withdrawn(m.id_, as_bytes(key), receipt->sequence());
  auto const settled = co_await receipt->settled();
  if (!settled) co_return;
  m.oracle_.end_put(m.id_, followed.watch, *receipt, quorum);
  under_way.ended("withdrawal", receipt->steps().steps().size());
}

coro::task<void> member::get_once(member& m, std::string key, bool majority) {
  if (is_provided(key)) {
    co_await find_providers_once(m, std::move(key), majority);
    co_return;
  }
  operation const under_way(m, key);
  followed_get followed(m.oracle_, m.id_, key, majority);
  kad::get_options how;
  if (majority) how.quorum = kad::quorum::majority();
  auto const got = co_await m.node_->get(as_bytes(key), how);
  if (!got) co_return;
  m.last_get_.insert_or_assign(key, *got);
  ++m.oracle_.tally().gets;
  m.oracle_.tally().gets_found += got->found() ? 1u : 0u;
  m.oracle_.end_get(m.id_, followed.watch, *got);
  under_way.ended("GET", got->steps().steps().size());
}

coro::task<void> member::find_providers_once(member& m, std::string key, bool majority) {
  operation const under_way(m, key);
  followed_get followed(m.oracle_, m.id_, key, majority);
  kad::get_options how;
  if (majority) how.quorum = kad::quorum::majority();
  auto const got = co_await m.node_->get_providers(hash_of_provided(key), how);
  if (!got) co_return;
  m.last_search_.insert_or_assign(key, *got);
  ++m.oracle_.tally().gets;
  m.oracle_.tally().gets_found += got->found() ? 1u : 0u;
  m.oracle_.end_search(m.id_, followed.watch, *got);
  under_way.ended("search for providers", got->steps().steps().size());
}

coro::task<void> member::put_content_once(member& m, std::string value, kad::quorum quorum, bool read_back) {
  std::string const key = key_of(value);
  operation const under_way(m, key);
  followed_put followed(m.oracle_, m.id_, key);
  followed.watch.content = true;
  ++m.values_;
  auto const how = m.put_options(quorum, read_back);
  m.oracle_.on_content_put(m.id_, as_bytes(key));
  auto const receipt = co_await m.node_->put_content(as_bytes(value), how);
  if (!receipt) co_return;
  m.contents_.insert(key);
  ++m.oracle_.tally().puts;
  auto const settled = co_await receipt->settled();
  if (!settled) co_return;
  m.oracle_.tally().puts_ok += receipt->ok() ? 1u : 0u;
  m.oracle_.end_put(m.id_, followed.watch, *receipt, quorum);
  under_way.ended("PUT of content", receipt->steps().steps().size());
}

coro::task<void> member::get_content_once(member& m, std::string key, bool majority) {
  operation const under_way(m, key);
  followed_get followed(m.oracle_, m.id_, key, majority);
  kad::get_options how;
  if (majority) how.quorum = kad::quorum::majority();
  auto const got = co_await m.node_->get_content(as_bytes(key), how);
  if (!got) co_return;
  m.last_get_.insert_or_assign(key, got->details());
  ++m.oracle_.tally().gets;
  m.oracle_.tally().gets_found += got->found() ? 1u : 0u;
  m.oracle_.end_content_get(m.id_, followed.watch, *got);
  under_way.ended("GET of content", got->steps().steps().size());
}

}  // namespace kadoro_sim
