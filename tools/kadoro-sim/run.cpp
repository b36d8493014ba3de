#include "run.hpp"

#include <algorithm>

#include "adversary.hpp"
#include "chaos.hpp"
#include "kadoro/coro/frame_pool.hpp"
#include "kadoro/kad/key.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"
#include "malice.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

constexpr duration slice = 100ms;       // between two looks at whether the run is over
constexpr std::size_t seeds = 2;        // members that others bootstrap from
constexpr duration gone_after = 10s;    // whoever is gone counts nowhere after that
constexpr std::size_t max_probes = 64;  // GETs in calm

io::endpoint address_of(std::size_t index) {
  return io::endpoint::v4({10, 1, static_cast<std::uint8_t>(index >> 8), static_cast<std::uint8_t>(index + 1)}, 4001);
}

/// At its first address, one that it moved to, or behind a NAT; the adversary has other ranges.
bool of_member(io::endpoint const& at) noexcept {
  std::uint8_t const range = at.address()[1];
  return range == 1 || range == 2 || range == 9;
}

coro::task<void> find(kad::node& n, bytes key, std::optional<std::vector<peer_id>>& found) {
  auto const closest = co_await n.find_closest(key);
  found.emplace();
  if (!closest) co_return;
  for (peer_ref const& p : *closest) found->push_back(p->id());
}

struct probe {
  member* by = nullptr;
  std::string key;
  peer_id publisher;
  std::uint64_t sequence = 0;
  bool again = false;  // it is the second try
  bool content = false;
  bool unsigned_ok = false;  // foreign peers keep one record per key, which need not be this one
  bool done = false;
  bool found = false;
  std::string said;
};

/// A GET that waits long for dead peers may outlive the copies that it heard at first; then one more shows it.
coro::task<void> ask(probe& p, duration lifetime) {
  kad::get_options how;
  how.quorum = kad::quorum::majority();
  bool again = true;
  while (again) {
    time_point const begun = p.by->host().now();
    if (p.content) {
      auto const got = co_await p.by->node()->get_content(as_bytes(p.key), how);
      p.said = got ? got->explain() : got.error().message();
      p.found = got && got->found();
      break;
    }
    auto const got = co_await p.by->node()->get(as_bytes(p.key), how);
    p.said = got ? got->explain() : got.error().message();
    if (!got) break;
    p.found = p.unsigned_ok && got->found();
    for (kad::found_record const& f : got->records())
      p.found = p.found || (f.value.publisher == p.publisher && f.value.sequence >= p.sequence);
    again = !p.found && !p.again && p.by->host().now() - begun > lifetime / 4;
    p.again = again;
  }
  p.done = true;
}

struct calm_put {
  member* by = nullptr;
  std::string key;
  std::optional<kad::put_receipt> receipt;
  bool ended = false;
  bool left_out = false;
};

coro::task<void> put(calm_put& p, duration lifetime) {
  kad::put_options how;
  how.quorum = kad::quorum::all();
  how.lifetime = lifetime;
  auto const receipt = co_await p.by->node()->put(as_bytes(p.key), as_bytes("calm"), how);
  p.ended = !receipt;
  if (!receipt) co_return;
  auto const settled = co_await receipt->settled();
  if (settled) p.receipt = *receipt;
  p.ended = true;
}

/// What a directory knows of a holder that it does not count.
std::string how_known(std::vector<directory::holder_view> const& holders, peer_id const& who) {
  for (directory::holder_view const& h : holders)
    if (h.peer == who) return h.suspect ? " (a suspect)" : " (not contacted yet)";
  return " (unknown)";
}

/// The `n` of `all` closest to `key`, without `self`.
std::vector<peer_id> closest_of(std::vector<peer_id> all, kad::key const& key, peer_id const& self, std::size_t n) {
  std::erase(all, self);
  std::sort(all.begin(), all.end(),
            [&key](peer_id const& a, peer_id const& b) { return key.closer(kad::key::of(a), kad::key::of(b)); });
  if (all.size() > n) all.resize(n);
  return all;
}

}  // namespace

run::run(plan const& of, run_options how)
    : plan_(of),
      how_(how),
      world_(of.seed),
      random_(of.seed ^ 0x72756eu),
      oracle_(world_, plan_, verdict_),
      chaos_(std::make_unique<chaos>(*this)),
      adversary_(std::make_unique<adversary>(*this)) {
  verdict_.seed = plan_.seed;
  verdict_.nodes = plan_.nodes;
  world_.set_observer(this);
}

run::~run() {
  adversary_.reset();
  members_.clear();
  world_.set_observer(nullptr);
}

void run::later(duration delay, std::function<void()> what) { agenda_.emplace(world_.now() + delay, std::move(what)); }

void run::note(std::string_view kind, std::string_view text) {
  if (how_.observer != nullptr) how_.observer->on_event(world_.now(), world_.events(), kind, text);
}

void run::on_datagram(time_point now, io::endpoint const& from, io::endpoint const& to, bytes_view data,
                      io::sim::fate what) {
  if (how_.observer != nullptr) how_.observer->on_datagram(now, world_.events(), from, to, data, what);
  if (trouble_ && what == io::sim::fate::departed && of_member(from)) ++verdict_.storm_datagrams;
  adversary_->on_datagram(from, to, data, what);
}

std::optional<byte_array<32>> run::swarm_key() const {
  if (!plan_.secret) return std::nullopt;
  byte_array<32> key{};
  store_be(key.data(), plan_.seed);
  return key;
}

std::vector<kad::multiaddr> run::bootstrap() const {
  std::vector<kad::multiaddr> out;
  for (std::size_t i = 0; i < seeds; ++i)
    if (!members_[i]->id().empty()) out.push_back(members_[i]->address());
  return out;
}

bool run::over() const noexcept {
  return oracle_.broken() || (how_.until_event > 0 && world_.events() > how_.until_event);
}

void run::advance(duration length) {
  time_point const end = world_.now() + length;
  while (!over() && world_.now() < end) {
    time_point next = std::min(end, world_.now() + slice);
    if (!agenda_.empty()) next = std::min(next, std::max(world_.now(), agenda_.begin()->first));
    world_.run_until(next);
    while (!over() && !agenda_.empty() && agenda_.begin()->first <= world_.now()) {
      auto const what = std::move(agenda_.begin()->second);
      agenda_.erase(agenda_.begin());
      what();
    }
  }
}

bool run::advance_until(std::function<bool()> const& done, duration limit) {
  time_point const end = world_.now() + limit;
  while (!over() && !done() && world_.now() < end) advance(slice);
  return done();
}

void run::start(member& m) {
  if (m.start(bootstrap())) {
    note("start", std::to_string(m.how().index) + " is " + m.id().to_string());
    return;
  }
  later(1s, [this, &m] {
    if (m.now() == member::state::off) start(m);
  });
}

// ---- the course of a run --------------------------------------------------------------------------------------------

verdict run::go() {
  std::uint64_t const frames = coro::frame_pool::statistics().live();
  chaos_->prepare();
  while (members_.size() < plan_.nodes) add_member(members_.size() < plan_.directories);
  adversary_->prepare();
  start(*members_[0]);
  for (std::size_t i = 1; i < members_.size(); ++i) {
    duration const delay = std::chrono::milliseconds(random_.below(2000));
    later(delay, [this, i] { start(*members_[i]); });
  }
  look_around();
  advance(5s);

  trouble_ = true;
  chaos_->begin();
  adversary_->begin();
  advance(plan_.length);
  trouble_ = false;
  chaos_->end();
  adversary_->end();
  if (!over()) calm();
  if (!over()) close_all(frames);

  verdict_.events = world_.events();
  verdict_.datagrams = world_.counters().sent;
  verdict_.simulated_s = oracle_.seconds(world_.now());
  verdict_.trace_hash = world_.trace_hash();
  return verdict_;
}

void run::add_member(bool has_directory) {
  member::options o;
  o.index = members_.size();
  o.address = address_of(o.index);
  o.seed = o.index < seeds;
  o.has_directory = has_directory;
  o.has_database = (plan_.seed + o.index) % 2 == 0;
  o.swarm_key = swarm_key();
  o.make_transport = transport_of(plan_);
  o.on_confirmed = [this](member const& at, peer_ref const& who) {
    if (adversary_) adversary_->on_confirmed(at, who);  // not while everybody closes
  };
  chaos_->shape(o);
  members_.push_back(std::make_unique<member>(world_, plan_, oracle_, std::move(o)));
}

/// Once a second: who counts where, and how large everything is.
void run::look_around() {
  watch_views();
  check_bounds();
  later(1s, [this] { look_around(); });
}

void run::watch_views() {
  for (auto const& m : members_) {
    bool const lives = m->now() == member::state::running || m->now() == member::state::leaving;
    time_point& last = last_alive_[m->id()];
    last = lives ? world_.now() : std::max(last, m->ended_at());
  }
  for (auto const& m : members_) {
    if (!m->running() || m->lies() || m->directory() == nullptr) continue;
    if (world_.now() - m->disturbed_at() < gone_after) continue;
    auto const view = m->directory()->view();
    bool found = true;  // each shard, somewhere
    bool held = true;   // each shard, by somebody who counts
    for (auto const& holders : view.shards) {
      found = found && std::any_of(holders.begin(), holders.end(), [](auto const& h) { return h.found(); });
      held = held && std::any_of(holders.begin(), holders.end(), [](auto const& h) { return h.counts(); });
      for (directory::holder_view const& h : holders) {
        if (h.own || !h.counts()) continue;
        auto const seen = last_alive_.find(h.peer);
        bool const honest = seen != last_alive_.end() && world_.now() - seen->second <= gone_after;
        if (!oracle_.expect(honest, check::readiness_honest, [&] {
              return m->id().short_string() + " still counts " + h.peer.short_string() +
                     ", which is gone for more than " + std::to_string(gone_after / 1s) + " s";
            }))
          return;
      }
    }
    bool const honest = (found || !view.complete) && (held || !view.ready);
    if (!oracle_.expect(honest, check::readiness_honest, [&] {
          return m->id().short_string() + " says " + (view.ready ? "ready" : "complete") + ", though nobody " +
                 (view.ready ? "counts" : "is found") + " for one of the shards";
        }))
      return;
  }
}

void run::check_bounds() {
  for (auto const& m : members_) {
    if (!m->running()) continue;
    kad::node& n = *m->node();
    kad::store_limits const limits = m->limits();
    auto const* const datagrams = dynamic_cast<transport::datagram::datagram_transport*>(&m->transport()->inner());
    std::size_t const sessions = datagrams == nullptr ? 0 : datagrams->sessions();
    bool const bounded = n.store().size() <= limits.max_records + m->publishes().size() + m->contents().size() + 8 &&
                         n.store().backlog() <= limits.verify_backlog &&
                         sessions <= transport::datagram::datagram_transport::max_sessions &&
                         n.table().size() <= plan_.k * 256;
    if (!oracle_.expect(bounded, check::within_bounds, [&] {
          return m->id().short_string() + ": " + std::to_string(n.store().size()) + " records, backlog " +
                 std::to_string(n.store().backlog()) + ", " + std::to_string(sessions) + " sessions";
        }))
      return;
    check_ranges(*m);
  }
}

/// However many names somebody has in one range of addresses, and however much it sends: it gets the places of one, and
/// takes nobody else's.
void run::check_ranges(member& m) {
  kad::table_options const limits;
  std::map<int, std::size_t> in_bucket;
  std::size_t in_table = 0;
  bool flooder = false;
  m.node()->table().for_each([&](kad::contact const& c) {
    auto const& addresses = c.peer->addresses();
    auto const where = addresses.empty() ? std::nullopt : addresses.front().where.udp_endpoint();
    if (!where) return;
    flooder = flooder || realm_of(*where) == realm::flooder;
    if (realm_of(*where) != realm::sybils) return;
    ++in_bucket[m.node()->table().bucket_of(c.id)];
    ++in_table;
  });
  bool const few = in_table <= limits.max_per_range_in_table &&
                   std::all_of(in_bucket.begin(), in_bucket.end(), [&limits](auto const& bucket) {
                     return bucket.second <= limits.max_per_range_in_bucket;
                   });
  oracle_.expect(few && !flooder, check::within_bounds, [&] {
    return m.id().short_string() + " has " + std::to_string(in_table) + " contacts of one address range" +
           (flooder ? ", and one who has only flooded it" : "");
  });

  auto const* const datagrams = dynamic_cast<transport::datagram::datagram_transport*>(&m.transport()->inner());
  if (datagrams == nullptr) return;
  auto const refused = static_cast<std::size_t>(transport::datagram::drop::rate_limited);
  auto const& limited = datagrams->counts().dropped[refused];
  oracle_.expect(limited.count == 0 || !of_member(limited.last_from), check::within_bounds, [&] {
    return m.id().short_string() + " refuses a first flight of a member, " + limited.last_from.to_string() +
           ", because others flood it";
  });
}

// ---- after the faults -----------------------------------------------------------------------------------------------

void run::calm() {
  note("phase", "calm");
  for (auto const& m : members_) m->set_working(false);
  bring_back();
  advance(plan_.calm);
  if (!over()) check_views("the last fault");
  if (!over()) check_recall();
  if (!over()) check_receipts();
  if (!over()) check_kept();
  if (!over()) check_published();
  if (!over()) check_providers();
  if (!over()) check_rest();
  if (!over()) check_leave();
  if (!over()) check_latecomer();
  if (!over()) check_watch();
  if (!over()) check_islands();
}

/// Whoever is away comes back; who is just leaving, or finds no socket, a little later.
void run::bring_back() {
  for (int tries = 0; tries < 10; ++tries) {
    bool all = true;
    for (auto const& m : members_) {
      if (m->now() == member::state::left) m->crash();
      if (m->now() == member::state::off) start(*m);
      all = all && m->running();
    }
    if (all) return;
    advance(1s);
  }
}

std::vector<peer_id> run::servers() const {
  std::vector<peer_id> out;
  for (auto const& m : members_)
    if (m->running() && m->how().mode == kad::peer_mode::server) out.push_back(m->id());
  return out;
}

/// Whether a majority of the r closest hold what `m` publishes under `key`: full ones may have refused it.
bool run::well_kept(member& m, bytes_view key) const {
  auto const closest = closest_of(servers(), kad::key::of(key), m.id(), plan_.replicas);
  auto const holders = m.node()->holders(key);
  auto const held =
      static_cast<std::size_t>(std::count_if(holders.begin(), holders.end(), [&closest](peer_id const& h) {
        return std::count(closest.begin(), closest.end(), h) > 0;
      }));
  return held > closest.size() / 2;
}

/// Whether somebody may still remember a higher sequence of `m`, of a life that it has forgotten, while no holder is
/// left who could tell it. Whoever watches takes its new word for an old copy as long as that.
bool run::overshadowed(member const& m, bytes_view key) const {
  duration const life = lengthened(plan_.announced);
  return oracle_.fell_back(m.id(), key) && world_.now() < m.ended_at() + life + kad::memory_of(life);
}

/// Invariant 6: every directory counts whoever announces and is well kept, nobody else, and knows whether that is all.
bool run::views_agree(std::string& why) {
  std::vector<std::set<peer_id>> truth(plan_.shards);
  std::vector<std::set<peer_id>> known(plan_.shards);
  for (auto const& m : members_) {
    if (!m->running() || !m->announced()) continue;
    truth[m->shard()].insert(m->id());
    std::string const key = directory::shards_key(m->directory()->options().cluster);  // what everybody reads
    if (well_kept(*m, as_bytes(key)) && !overshadowed(*m, as_bytes(key))) known[m->shard()].insert(m->id());
  }
  auto const nobody = [](auto const& holders) { return holders.empty(); };
  bool const all = std::none_of(known.begin(), known.end(), nobody);
  bool const never = std::any_of(truth.begin(), truth.end(), nobody);
  for (auto const& m : members_) {
    if (!m->running() || m->directory() == nullptr) continue;
    auto const view = m->directory()->view();
    for (std::size_t shard = 0; shard < truth.size(); ++shard) {
      std::set<peer_id> counted;
      for (directory::holder_view const& h : view.shards[shard])
        if (h.counts()) counted.insert(h.peer);
      std::set<peer_id> const& there = truth[shard];
      std::set<peer_id> const& must = known[shard];
      bool const made_up = !std::includes(there.begin(), there.end(), counted.begin(), counted.end());
      // Foreign peers keep one record per key, so of several holders some stay unknown.
      bool const enough = plan_.transport == transport_kind::stream
                              ? must.empty() || !counted.empty()
                              : std::includes(counted.begin(), counted.end(), must.begin(), must.end());
      if (!made_up && enough) continue;
      why = m->id().short_string() + " counts " + std::to_string(counted.size()) + " holders of shard " +
            std::to_string(shard) + ", there are " + std::to_string(there.size());
      for (peer_id const& id : must)
        if (!counted.contains(id)) why += "; it lacks " + id.short_string() + how_known(view.shards[shard], id);
      for (peer_id const& id : counted)
        if (!there.contains(id)) why += "; it counts " + id.short_string() + " too";
      why += "; its watch: " + m->directory()->explain();
      return false;
    }
    bool const complete = m->directory()->complete();
    if ((all && !(complete && view.ready)) || (never && (complete || view.ready))) {
      why = m->id().short_string() + " says " + (view.ready ? "ready" : "not ready") + ", which is wrong";
      return false;
    }
  }
  return true;
}

void run::check_views(std::string_view since) {
  std::string why;
  bool agree = false;
  advance_until([&] { return agree = views_agree(why); }, 5s);  // a renewal may be on its way just now
  oracle_.expect(agree, check::views_agree, [&] { return "long after " + std::string(since) + ", " + why; });
}

/// However long nothing has happened: who comes now is known everywhere soon.
void run::check_latecomer() {
  add_member(true);
  member& m = *members_.back();
  m.set_working(false);
  start(m);
  check_first_puts(m);
  bool const announced = advance_until([&m] { return m.announced(); }, 5s);
  if (over()) return;
  oracle_.expect(announced, check::views_agree, [&] { return m.id().short_string() + " cannot announce itself"; });
  if (announced) check_views("somebody came late");
}

/// Invariant 4, over all nodes: counted here, judged over a campaign, except where a run alone is plainly wrong.
void run::check_recall() {
  auto const all = servers();
  std::size_t const lookups = members_.size();
  std::vector<std::optional<std::vector<peer_id>>> found(lookups);
  std::vector<bytes> keys(lookups);
  for (std::size_t i = 0; i < lookups; ++i) {
    keys[i].resize(16);
    random_.fill(keys[i]);
    if (members_[i]->running())
      members_[i]->host().spawn(find(*members_[i]->node(), keys[i], found[i]));
    else
      found[i].emplace();
  }
  advance_until([&] { return std::all_of(found.begin(), found.end(), [](auto const& f) { return f.has_value(); }); },
                30s);
  for (std::size_t i = 0; i < lookups && !over(); ++i) {
    if (!members_[i]->running()) continue;
    if (!oracle_.expect(found[i].has_value(), check::lookup_bounded,
                        [&] { return "a lookup by " + members_[i]->id().short_string() + " did not end in 30 s"; }))
      return;
    auto const wanted = closest_of(all, kad::key::of(keys[i]), members_[i]->id(), plan_.k);
    oracle_.passed(check::lookup_recall);
    verdict_.recall_wanted += wanted.size();
    for (peer_id const& id : wanted) {
      bool const there = std::count(found[i]->begin(), found[i]->end(), id) > 0;
      verdict_.recall_found += there ? 1u : 0u;
      if (!there) note("missed", "a lookup by " + members_[i]->id().short_string() + " missed " + id.short_string());
    }
  }
  oracle_.expect(verdict_.recall_found * 100 >= verdict_.recall_wanted * 95, check::lookup_recall, [&] {
    return "only " + std::to_string(verdict_.recall_found) + " of the " + std::to_string(verdict_.recall_wanted) +
           " closest were found";
  });
}

void run::check_receipts() {
  std::vector<calm_put> puts(3);
  for (std::size_t i = 0; i < puts.size(); ++i) {
    puts[i].by = members_[static_cast<std::size_t>(random_.below(members_.size()))].get();
    puts[i].key = "calm/" + std::to_string(i);
    // Behind a NAT that has forgotten an idle stream, what is written to it is lost for long, and nobody can help it.
    bool const deaf = plan_.transport == transport_kind::stream && puts[i].by->how().nat != nullptr;
    puts[i].ended = puts[i].left_out = !puts[i].by->running() || deaf;
    if (!puts[i].ended) puts[i].by->host().spawn(put(puts[i], plan_.lifetime));
  }
  advance_until([&] { return std::all_of(puts.begin(), puts.end(), [](calm_put const& p) { return p.ended; }); }, 15s);
  for (calm_put const& p : puts) {
    if (over() || p.left_out || !p.by->running()) continue;
    if (!oracle_.expect(p.receipt.has_value(), check::ends_once,
                        [&] { return "a PUT in calm by " + p.by->id().short_string() + " did not end in 15 s"; }))
      return;
    judge_receipt(*p.by, p.key, *p.receipt);
  }
}

/// Invariant 2: in calm the live ones in R are the first of the true r closest, and have stored.
void run::judge_receipt(member& by, std::string const& key, kad::put_receipt const& receipt) {
  auto const all = servers();
  auto const wanted = closest_of(all, kad::key::of(as_bytes(key)), by.id(), plan_.replicas);
  std::vector<peer_id> replicas;  // without those that are dead and were not contacted since: the receipt says so
  bool clean = true;              // a full store may refuse, for good reason
  for (kad::replica const& r : receipt.replicas()) {
    if (std::count(all.begin(), all.end(), r.peer) == 0) continue;
    replicas.push_back(r.peer);
    bool const full = r.refusal == errc::refused_full ||
                      (plan_.transport == transport_kind::stream && r.refusal);  // where no reason survives
    clean = clean && (r.now == kad::replica::state::stored || full);
  }
  bool const closest = replicas.size() <= wanted.size() && !replicas.empty() &&
                       std::equal(replicas.begin(), replicas.end(), wanted.begin());
  oracle_.expect(closest && clean, check::receipt_closest, [&] {
    std::string text = "a PUT in calm by " + by.id().short_string() + " went to";
    for (peer_id const& id : replicas) text += " " + id.short_string();
    text += ", the closest are";
    for (peer_id const& id : wanted) text += " " + id.short_string();
    return text + ": " + receipt.explain();
  });
}

/// Invariant 2, of one that has just come: it knows a part of the swarm, and that this is not all.
void run::check_first_puts(member& newcomer) {
  static constexpr duration between = 300ms;
  if (plan_.transport == transport_kind::stream || plan_.seed % 4 != 2) return;
  advance_until([&newcomer] { return newcomer.joined(); }, 5s);
  if (!newcomer.running()) return;
  std::vector<calm_put> puts(5);  // with its announcements, what a small store has room for beside its limit
  for (std::size_t i = 0; i < puts.size(); ++i) {
    puts[i].by = &newcomer;
    puts[i].key = "first/" + std::to_string(i);
    newcomer.host().spawn(put(puts[i], plan_.lifetime));
    advance(between);
  }
  advance_until([&] { return std::all_of(puts.begin(), puts.end(), [](calm_put const& p) { return p.ended; }); }, 15s);
  for (calm_put const& p : puts) {
    if (over()) return;
    if (!oracle_.expect(p.ended, check::ends_once,
                        [&] { return "a first PUT by " + newcomer.id().short_string() + " did not end in 15 s"; }))
      return;
    if (p.receipt) judge_receipt(newcomer, p.key, *p.receipt);
  }
}

/// Invariant 1: what is published now is with each of the r closest that has room for it.
void run::check_kept() {
  if (plan_.transport == transport_kind::stream) return;  // foreign peers keep one record per key
  std::map<peer_id, member*> holders;
  for (auto const& m : members_)
    if (m->running() && !m->how().small_store) holders.emplace(m->id(), m.get());
  auto const all = servers();
  for (auto const& m : members_) {
    if (!m->running()) continue;
    for (auto const& [key, sequence] : m->publishes()) {
      for (peer_id const& id : closest_of(all, kad::key::of(as_bytes(key)), m->id(), plan_.replicas)) {
        auto const at = holders.find(id);
        if (at == holders.end()) continue;
        auto const held = at->second->node()->store().sequence_of(as_bytes(key), m->id());
        if (!oracle_.expect(held && *held >= sequence, check::kept_in_calm, [&] {
              return id.short_string() + ", one of the closest, does not hold '" + key + "' of " +
                     m->id().short_string() + ", sequence " + std::to_string(sequence);
            }))
          return;
      }
    }
    for (std::string const& key : m->contents()) {
      for (peer_id const& id : closest_of(all, kad::key::of(as_bytes(key)), m->id(), plan_.replicas)) {
        auto const at = holders.find(id);
        if (at == holders.end()) continue;
        bool const held = at->second->node()->store().sequence_of(as_bytes(key), peer_id()).has_value();
        if (!oracle_.expect(held, check::kept_in_calm, [&] {
              return id.short_string() + ", one of the closest, does not hold content " +
                     kad::printable(as_bytes(key)) + " that " + m->id().short_string() + " has put";
            }))
          return;
      }
    }
  }
}

/// Invariant 1, end to end: what is published now is found by whoever asks.
void run::check_published() {
  std::vector<probe> probes;
  for (auto const& m : members_) {
    if (!m->running()) continue;
    for (auto const& [key, sequence] : m->publishes()) {
      if (probes.size() == max_probes) break;
      if (is_provided(key)) continue;
      probe p;
      p.by = members_[static_cast<std::size_t>(random_.below(members_.size()))].get();
      p.key = key;
      p.publisher = m->id();
      p.sequence = sequence;
      p.unsigned_ok = plan_.transport == transport_kind::stream;
      bool const may = p.by->running() && p.by != m.get() && !p.by->works_on(key);
      if (may && well_kept(*m, as_bytes(key))) probes.push_back(std::move(p));
    }
    for (std::string const& key : m->contents()) {
      if (probes.size() == max_probes) break;
      probe p;
      p.by = members_[static_cast<std::size_t>(random_.below(members_.size()))].get();
      p.key = key;
      p.content = true;
      bool const may = p.by->running() && p.by != m.get() && !p.by->works_on(key);
      if (may && well_kept(*m, as_bytes(key))) probes.push_back(std::move(p));
    }
  }
  for (probe& p : probes) p.by->host().spawn(ask(p, plan_.lifetime));
  advance_until([&] { return std::all_of(probes.begin(), probes.end(), [](probe const& p) { return p.done; }); }, 30s);
  for (probe const& p : probes) {
    if (over()) return;
    oracle_.expect(p.done && p.found, check::kept_in_calm, [&] {
      return p.by->id().short_string() + " does not find '" + kad::printable(as_bytes(p.key)) + "' of " +
             p.publisher.short_string() + ", sequence " + std::to_string(p.sequence) + ": " +
             (p.done ? p.said : "no end");
    });
  }
}

/// What one that leaves must have passed on.
struct run::inheritance {
  std::string key;
  peer_id publisher;
  std::uint64_t sequence = 0;
  member* heir = nullptr;
  bool had = false;  ///< the heir held it before
};

/// Only what it holds and ought to, and where the one that comes into its place is known to it and can take it.
std::vector<run::inheritance> run::inheritance_of(member& leaver) const {
  std::vector<inheritance> out;
  std::map<peer_id, member*> able;
  for (auto const& m : members_)
    if (m->correct_server() && !m->how().small_store && !m->how().old_version && m->how().nat == nullptr)
      able.emplace(m->id(), m.get());
  auto const all = servers();
  for (auto const& m : members_) {
    if (!m->running() || m.get() == &leaver) continue;
    for (auto const& [key, sequence] : m->publishes()) {
      auto const closest = closest_of(all, kad::key::of(as_bytes(key)), m->id(), plan_.replicas + 1);
      if (closest.size() <= plan_.replicas || closest.back() == leaver.id()) continue;
      if (std::count(closest.begin(), closest.end(), leaver.id()) == 0) continue;
      auto const heir = able.find(closest.back());
      if (heir == able.end() || !leaver.node()->table().contains(leaver.node()->peer_of(closest.back()))) continue;
      auto const held = leaver.node()->store().sequence_of(as_bytes(key), m->id());
      auto& there = heir->second->node()->store();
      auto const remembered = there.highest(as_bytes(key), m->id());
      bool const had = there.sequence_of(as_bytes(key), m->id()).has_value();
      bool const ended_there = remembered && !had;  // only its publisher brings it
      if (held && *held >= sequence && !ended_there) out.push_back({key, m->id(), sequence, heir->second, had});
    }
  }
  return out;
}

/// Invariant 1: who leaves passes on what it holds.
void run::check_leave() {
  if (plan_.transport == transport_kind::stream) return;
  member* leaver = nullptr;
  std::vector<inheritance> all;
  for (auto const& m : members_) {
    bool const may = m->correct_server() && !m->how().seed && !m->how().has_directory && !m->how().small_store &&
                     !m->how().old_version && m->how().nat == nullptr;
    if (!may) continue;
    auto mine = inheritance_of(*m);
    if (mine.size() <= all.size()) continue;
    all = std::move(mine);
    leaver = m.get();
  }
  if (leaver == nullptr) return;
  peer_id const id = leaver->id();
  leaver->close();
  advance_until([leaver] { return leaver->now() == member::state::left; }, 5s);
  for (inheritance const& each : all) {
    if (over() || !each.heir->running()) continue;
    auto const held = each.heir->node()->store().sequence_of(as_bytes(each.key), each.publisher);
    // A copy from when the heir was among the closest may have run out before the leaver's came: that is an end, too.
    if (!held && each.had) continue;
    oracle_.expect(held && *held >= each.sequence, check::kept_in_calm, [&] {
      return id.short_string() + " has left, and " + each.heir->id().short_string() + " in its place lacks '" +
             each.key + "' of " + each.publisher.short_string() + ", sequence " + std::to_string(each.sequence);
    });
  }
}

/// Invariant 4: two islands, each with a seed, that have forgotten each other become one again. Small swarms only: it
/// takes minutes.
void run::check_islands() {
  static constexpr duration apart = 100s;
  static constexpr duration together = 75s;
  bool const roams = plan_.faults.has(fault::nat_easy) || plan_.faults.has(fault::nat_hard);
  if (plan_.seed % 4 != 0 || plan_.nodes > 16 || roams) return;
  note("phase", "islands");
  auto const put_on = [this](unsigned island) {
    for (auto const& m : members_)
      if (m->now() != member::state::off && m->how().index % 2 == 1) m->host().set_island(island);
  };
  put_on(1);
  advance(apart);
  put_on(0);
  advance(together);
  if (!over()) check_recall();
}

/// Invariant 7: what a swarm that does nothing says all the same. docs/simulation.md derives the budget.
void run::check_rest() {
  static constexpr duration length = 5s;
  advance(4s);  // until late answers have come
  std::uint64_t const before = world_.counters().sent;
  advance(length);
  if (over()) return;
  double const per_second = static_cast<double>(world_.counters().sent - before) / (length / 1s);
  double const budget = rest_budget();
  oracle_.expect(per_second <= budget, check::rest_budget, [&] {
    return std::to_string(per_second) + " datagrams a second in a swarm at rest; the budget is " +
           std::to_string(budget);
  });
}

double run::rest_budget() const {
  double const n = static_cast<double>(plan_.nodes);
  double const asked = std::min(n, static_cast<double>(plan_.k));
  double const directories = static_cast<double>(plan_.directories);
  double records = 0;
  for (auto const& m : members_) records += static_cast<double>(m->publishes().size() + m->contents().size());
  auto const renewals = [](double publications, duration lifetime) {
    return publications / (std::chrono::duration<double>(lifetime).count() * 0.45);
  };
  double const renewals_per_s = renewals(records, plan_.lifetime) + renewals(2 * directories, plan_.announced);
  // Of four holders each is asked to go on within 20 s, or, where it cannot tell, polled once a second at most.
  double const watches_per_s = directories * 4 / (plan_.transport == transport_kind::stream ? 1 : 15);
  // Of two directories one hears of the other at least once a second, by a ping of either.
  double const contacts_per_s = directories * directories / 2;
  // A lookup asks each of the k closest, and a page or two more; a renewal then asks r.
  return n * 4 + (contacts_per_s + watches_per_s) * 2 * 1.5 +
         renewals_per_s * 2 * 1.5 * (2 * asked + static_cast<double>(plan_.replicas));
}

// ---- the end --------------------------------------------------------------------------------------------------------

/// Invariant 5: everybody closes, and nothing is left.
void run::close_all(std::uint64_t frames_before) {
  note("phase", "close");
  adversary_.reset();
  world_.set_observer(nullptr);
  agenda_.clear();
  for (auto const& m : members_) m->close();
  bool const closed = advance_until(
      [&] {
        return std::none_of(members_.begin(), members_.end(),
                            [](auto const& m) { return m->now() == member::state::leaving || m->operations() > 0; });
      },
      30s);
  auto const left = [&](bool holds, char const* what, std::uint64_t count) {
    oracle_.expect(holds, check::leaves_nothing,
                   [&] { return "after close: " + std::to_string(count) + " " + std::string(what); });
  };
  left(closed, "members did not close within 30 s",
       static_cast<std::uint64_t>(std::count_if(members_.begin(), members_.end(), [](auto const& m) {
         return m->now() == member::state::leaving || m->operations() > 0;
       })));
  left(oracle_.open_requests() == 0, "requests never ended", oracle_.open_requests());
  if (over()) return;
  std::uint64_t const limit = 1'000'000;
  std::uint64_t steps = 0;
  while (steps < limit && world_.step()) ++steps;
  left(steps < limit, "steps, and still timers are armed", steps);
  left(world_.in_flight() == 0, "datagrams on their way for ever", world_.in_flight());
  for (auto const& m : members_) {
    if (m->transport() == nullptr) continue;
    auto const* const datagrams = dynamic_cast<transport::datagram::datagram_transport*>(&m->transport()->inner());
    if (datagrams != nullptr) left(datagrams->sessions() == 0, "sessions", datagrams->sessions());
  }
  if (over()) return;
  members_.clear();
  std::uint64_t const frames = coro::frame_pool::statistics().live();
  left(frames == frames_before, "coroutines", frames - frames_before);
}

verdict simulate(plan const& of, run_options how) {
  static constexpr std::uint64_t twins = 16;  // one run in so many is compared with itself without faults
  static constexpr double storm_factor = 8;   // in peace a small swarm knows itself, and looks up nothing
  verdict result;
  {
    run whole(of, how);
    result = whole.go();
  }
  if (of.faults.empty() || of.seed % twins != 0 || result.broken || how.until_event > 0) return result;
  plan quiet = of;
  quiet.faults = fault_set();
  run without(quiet, {});
  verdict const peace = without.go();
  ++result.checks[static_cast<std::size_t>(check::storm_budget)];
  if (static_cast<double>(result.storm_datagrams) > storm_factor * static_cast<double>(peace.storm_datagrams))
    result.broken = violation{check::storm_budget,
                              std::to_string(result.storm_datagrams) + " datagrams under faults, " +
                                  std::to_string(peace.storm_datagrams) + " without",
                              result.events, result.simulated_s};
  return result;
}

}  // namespace kadoro_sim
