#include "chaos.hpp"

#include <algorithm>

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

/// Faults that come and go; the others are there from the start, or belong to the adversary.
constexpr fault episodes[] = {fault::jitter,
                              fault::spread,
                              fault::loss,
                              fault::duplicate,
                              fault::reorder,
                              fault::corrupt,
                              fault::mtu,
                              fault::bandwidth,
                              fault::one_way,
                              fault::partition,
                              fault::partial_partition,
                              fault::flapping,
                              fault::nat_easy,
                              fault::nat_hard,
                              fault::address_change,
                              fault::restart,
                              fault::restart_empty,
                              fault::restart_amnesia,
                              fault::leave,
                              fault::pause,
                              fault::slow,
                              fault::no_sockets,
                              fault::disk_error,
                              fault::disk_full};

duration milliseconds(std::uint64_t n) { return std::chrono::milliseconds(n); }

}  // namespace

// ---- from the first moment on ---------------------------------------------------------------------------------------

void chaos::prepare() {
  plan const& p = run_.made_of();
  link_.delay = p.delay;
  run_.world().set_link(link_);
  if (p.faults.has(fault::geography)) {
    run_.world().set_geography(io::sim::geography(p.seed));
    run_.judge().injected(fault::geography);
  }
  for (fault const f : {fault::nat_easy, fault::nat_hard}) {
    if (!p.faults.has(f)) continue;
    io::sim::nat_policy policy;
    bool const hard = f == fault::nat_hard;
    auto const kind = hard ? io::sim::nat_behaviour::endpoint_dependent : io::sim::nat_behaviour::endpoint_independent;
    policy.mapping = policy.filtering = kind;
    policy.mapping_timeout = milliseconds(3000 + run_.random().below(30'000));
    auto const outside = io::endpoint::v4({10, 9, 0, static_cast<std::uint8_t>(hard ? 2 : 1)}, 0);
    nats_.push_back(&run_.world().add_nat(outside, policy));
    nat_faults_.push_back(f);
  }
}

void chaos::shape(member::options& how) {
  plan const& p = run_.made_of();
  random_source& random = run_.random();
  oracle& judge = run_.judge();
  if (!nats_.empty() && !how.seed && !how.has_directory && one_in(3, random)) {
    auto const which = static_cast<std::size_t>(random.below(nats_.size()));
    how.nat = nats_[which];
    how.mode = kad::peer_mode::client;
    judge.injected(nat_faults_[which]);
  }
  if (p.faults.has(fault::clock_offset) && one_in(2, random)) {
    how.clock_offset = std::chrono::minutes(random.below(48 * 60));
    judge.injected(fault::clock_offset);
  }
  if (p.faults.has(fault::clock_drift) && one_in(2, random)) {
    how.clock_drift = one_in(2, random) ? 0.01 : -0.01;
    judge.injected(fault::clock_drift);
  }
  if (p.faults.has(fault::full_store) && !how.seed && one_in(4, random)) how.small_store = true;
  if (p.faults.has(fault::old_version) && !how.seed && one_in(4, random)) how.old_version = true;
}

// ---- one after another ----------------------------------------------------------------------------------------------

void chaos::begin() {
  for (fault const f : episodes)
    if (run_.made_of().faults.has(f)) kinds_.push_back(f);
  if (run_.made_of().faults.has(fault::geography)) break_pairs();
  if (!kinds_.empty()) next();
}

/// In the world as it is, some pairs of hosts never hear each other, whomever else both hear: on PlanetLab about 4 %
/// (Li et al., INFOCOM 2005).
void chaos::break_pairs() {
  auto const& members = run_.members();
  for (std::size_t i = 0; i < members.size(); ++i)
    for (std::size_t j = i + 1; j < members.size(); ++j) {
      if (!one_in(20, run_.random())) continue;
      io::endpoint const a = members[i]->how().address;
      io::endpoint const b = members[j]->how().address;
      block(a, b, true);
      undo_.emplace(next_undo_++, [this, a, b] { block(a, b, false); });
    }
}

void chaos::block(io::endpoint const& a, io::endpoint const& b, bool blocked) {
  run_.world().set_blocked(a, b, blocked);
  run_.world().set_blocked(b, a, blocked);
}

void chaos::next() {
  run_.later(around(run_.made_of().fault_gap, run_.random()), [this] {
    if (!run_.in_trouble()) return;
    strike(kinds_[static_cast<std::size_t>(run_.random().below(kinds_.size()))]);
    next();
  });
}

void chaos::end() {
  while (!undo_.empty()) {
    auto const undo = std::move(undo_.begin()->second);
    undo_.erase(undo_.begin());
    undo();
  }
  auto const& c = run_.world().counters();
  oracle& judge = run_.judge();
  judge.injected(fault::loss, c.lost);
  judge.injected(fault::duplicate, c.duplicated);
  judge.injected(fault::reorder, c.reordered);
  judge.injected(fault::corrupt, c.corrupted);
  judge.injected(fault::mtu, c.black_holed);
  judge.injected(fault::bandwidth, c.queue_full);
  for (auto const& m : run_.members()) {
    auto const& disk = m->disk().counters();
    judge.injected(fault::disk_error, disk.failed_reads + disk.failed_writes);
    judge.injected(fault::disk_full, disk.refused_writes);
    m->disk().fail_reads(0);
    m->disk().fail_writes(0);
    m->disk().set_capacity(io::sim::storage::unlimited);
    m->database().fail_commits(0);
    m->database().set_capacity(io::sim::database::unlimited);
  }
}

/// Undoes it after about `mean`, or at the end of the trouble.
void chaos::until_later(duration mean, std::function<void()> undo) {
  std::uint64_t const number = next_undo_++;
  undo_.emplace(number, std::move(undo));
  run_.later(around(mean, run_.random()), [this, number] {
    auto const at = undo_.find(number);
    if (at == undo_.end()) return;
    auto const now = std::move(at->second);
    undo_.erase(at);
    now();
  });
}

/// As until_later, for a member that is still in the same life then.
void chaos::heal_later(duration mean, member& m, std::function<void(member&)> heal) {
  until_later(mean, [&m, heal = std::move(heal), life = m.life()] {
    if (m.life() == life && m.now() != member::state::off) heal(m);
  });
}

member* chaos::anybody() {
  auto const& all = run_.members();
  return all[static_cast<std::size_t>(run_.random().below(all.size()))].get();
}

/// Somebody who runs, as long as most do.
member* chaos::victim() {
  auto const& all = run_.members();
  auto const down =
      static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](auto const& m) { return !m->running(); }));
  member* const m = anybody();
  return down * 3 <= all.size() && m->running() && !m->host().paused() ? m : nullptr;
}

void chaos::split(std::size_t islands) {
  bool const single = one_in(3, run_.random());  // one alone, or halves
  member const* const alone = anybody();
  for (auto const& m : run_.members()) {
    if (m->now() == member::state::off) continue;
    bool const away = single ? m.get() == alone : run_.random().below(islands) != 0;
    m->host().set_island(away ? 1 : 0);
  }
}

void chaos::join_islands() {
  for (auto const& m : run_.members())
    if (m->now() != member::state::off) m->host().set_island(0);
}

void chaos::flap(int times) {
  split(2);
  until_later(300ms, [this, times] {
    join_islands();
    if (times > 0 && run_.in_trouble())
      run_.later(around(300ms, run_.random()), [this, times] {
        if (run_.in_trouble()) flap(times - 1);
      });
  });
}

/// The machine is without power for a while. `before` it starts again something may be missing.
void chaos::power_off(member& m, fault what, std::function<void(member&)> before) {
  run_.judge().injected(what);
  m.crash();
  before(m);
  run_.later(around(2s, run_.random()), [this, &m] {
    if (m.now() == member::state::off) run_.start(m);
  });
}

void chaos::change_link(fault what, std::function<void(io::sim::link_policy&)> change,
                        std::function<void(io::sim::link_policy&)> back) {
  change(link_);
  run_.world().set_link(link_);
  run_.note("fault", to_string(what));
  until_later(3s, [this, back = std::move(back)] {
    back(link_);
    run_.world().set_link(link_);
  });
}

void chaos::strike(fault what) {
  using io::sim::link_policy;
  random_source& random = run_.random();
  oracle& judge = run_.judge();
  member* const m = victim();
  auto const some = [&random](std::uint64_t percent) { return static_cast<double>(1 + random.below(percent)) / 100; };
  auto const on = [&](member const& who) {
    run_.note("fault", std::string(to_string(what)) + " " + std::to_string(who.how().index));
  };
  switch (what) {
    case fault::jitter: {
      duration const more = milliseconds(1 + random.below(150));
      judge.injected(what);
      return change_link(what, [more](link_policy& l) { l.jitter = more; }, [](link_policy& l) { l.jitter = {}; });
    }
    case fault::spread: {
      double const sigma = some(50);
      judge.injected(what);
      return change_link(what, [sigma](link_policy& l) { l.spread = sigma; }, [](link_policy& l) { l.spread = 0; });
    }
    case fault::loss: {
      double const part = some(one_in(4, random) ? 50 : 10);
      return change_link(what, [part](link_policy& l) { l.loss = part; }, [](link_policy& l) { l.loss = 0; });
    }
    case fault::duplicate: {
      double const part = some(30);
      return change_link(what, [part](link_policy& l) { l.duplicate = part; }, [](link_policy& l) { l.duplicate = 0; });
    }
    case fault::reorder: {
      double const part = some(30);
      return change_link(what, [part](link_policy& l) { l.reorder = part; }, [](link_policy& l) { l.reorder = 0; });
    }
    case fault::corrupt: {
      double const part = some(10);
      return change_link(what, [part](link_policy& l) { l.corrupt = part; }, [](link_policy& l) { l.corrupt = 0; });
    }
    case fault::mtu: {
      auto const limit = static_cast<std::size_t>(400 + random.below(800));
      return change_link(
          what, [limit](link_policy& l) { l.mtu_bytes = limit; }, [](link_policy& l) { l.mtu_bytes = 0; });
    }
    case fault::bandwidth: {
      std::uint64_t const rate = 20'000 + random.below(100'000);
      return change_link(
          what,
          [rate](link_policy& l) {
            l.bandwidth_bytes_per_s = rate;
            l.queue_bytes = 4096;
          },
          [](link_policy& l) { l.bandwidth_bytes_per_s = 0; });
    }
    case fault::one_way: {
      io::endpoint const from = anybody()->how().address;
      io::endpoint const to = anybody()->how().address;
      if (from == to) return;
      judge.injected(what);
      run_.note("fault", "one_way " + from.to_string() + " to " + to.to_string());
      run_.world().set_blocked(from, to, true);
      return until_later(3s, [this, from, to] { run_.world().set_blocked(from, to, false); });
    }
    case fault::partition: {
      judge.injected(what);
      run_.note("fault", to_string(what));
      split(2);
      return until_later(3s, [this] { join_islands(); });
    }
    case fault::partial_partition: {
      judge.injected(what);
      run_.note("fault", to_string(what));
      for (std::size_t i = 0; i < run_.members().size() / 2; ++i) {
        io::endpoint const a = anybody()->how().address;
        io::endpoint const b = anybody()->how().address;
        if (a == b) continue;
        block(a, b, true);
        until_later(3s, [this, a, b] { block(a, b, false); });
      }
      return;
    }
    case fault::flapping:
      judge.injected(what);
      run_.note("fault", to_string(what));
      return flap(5);
    case fault::nat_easy:
    case fault::nat_hard:
      for (std::size_t i = 0; i < nats_.size(); ++i) {
        if (nat_faults_[i] != what) continue;
        judge.injected(what);
        nats_[i]->restart();
      }
      return;
    default: break;
  }

  if (m == nullptr) return;
  on(*m);
  switch (what) {
    case fault::address_change: {
      if (m->how().seed || m->how().nat != nullptr) return;  // others know a seed by its address
      judge.injected(what);
      io::endpoint const from = m->how().address;
      ++moves_;
      auto const to = io::endpoint::v4(
          {10, 2, static_cast<std::uint8_t>(moves_ >> 8), static_cast<std::uint8_t>(moves_ & 255)}, from.port());
      m->host().change_address(from, to);
      m->will_be().address = to;
      m->disturbed();
      return;
    }
    case fault::restart: return power_off(*m, what, [](member&) {});
    case fault::restart_empty:
      if (m->how().seed) return;
      return power_off(*m, what, [](member& who) { who.lose_files(); });
    case fault::restart_amnesia: return power_off(*m, what, [](member& who) { who.lose_sequence(); });
    case fault::no_sockets: {
      auto const times = static_cast<std::size_t>(1 + random.below(3));
      return power_off(*m, what, [times](member& who) { who.will_be().fails_to_open = times; });
    }
    case fault::leave:
      judge.injected(what);
      m->leave();
      run_.later(around(4s, random), [this, m] {
        if (m->now() != member::state::left) return;
        m->crash();
        run_.start(*m);
      });
      return;
    case fault::pause:
      judge.injected(what);
      m->host().pause();
      m->disturbed();
      return heal_later(3s, *m, [](member& who) {
        who.host().resume();
        who.disturbed();
      });
    case fault::slow: {
      judge.injected(what);
      duration const each = milliseconds(1 + random.below(20));
      m->host().set_service_time(each);
      m->disturbed();
      return heal_later(3s, *m, [](member& who) {
        who.host().set_service_time(duration::zero());
        who.disturbed();
      });
    }
    case fault::disk_error:
      m->disk().fail_writes(1 + random.below(3));
      m->database().fail_commits(2);
      if (one_in(2, random)) m->disk().fail_reads(1 + random.below(2));
      if (one_in(2, random)) power_off(*m, fault::restart, [](member&) {});
      return;
    case fault::disk_full:
      m->disk().set_capacity(1);
      m->database().set_capacity(1);
      if (one_in(2, random)) power_off(*m, fault::restart, [](member&) {});
      return until_later(5s, [m] {
        m->disk().set_capacity(io::sim::storage::unlimited);
        m->database().set_capacity(io::sim::database::unlimited);
      });
    default: return;
  }
}

}  // namespace kadoro_sim
