#include <algorithm>

#include "run.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

/// Somebody who watches a key, and what it takes to live there.
struct onlooker {
  onlooker(member& of, kad::watch w) noexcept : by(of), from(std::move(w)) {}

  member& by;
  kad::watch from;
  std::map<peer_id, std::uint64_t> lives;
};

coro::task<void> look(std::shared_ptr<onlooker> who) {
  for (;;) {
    auto const e = co_await who->from.next();
    if (!e) break;
    kad::record const& what = e->found.value;
    bool const lives = e->what == kad::watch_event::kind::add || e->what == kad::watch_event::kind::change;
    if (lives)
      who->lives[what.publisher] = what.sequence;
    else
      who->lives.erase(what.publisher);
  }
}

}  // namespace

/// Invariant 6: who watches a key hears of what comes, changes, is withdrawn and runs out there, though one of those
/// who tell dies before. One seed in four: it takes half a minute.
void run::check_watch() {
  static constexpr std::size_t most = 6;        // who watch
  static constexpr duration pushed = 3s;        // what was not heard because a session ended is asked for by then
  static constexpr duration found_out = 8s;     // that somebody is dead
  static constexpr duration doubted = 15s;      // whoever vouches for what has run out elsewhere
  static constexpr duration nat_forgets = 22s;  // nothing comes through, until the holder is asked again
  if (plan_.transport == transport_kind::stream || plan_.seed % 4 != 2) return;
  note("phase", "watch");
  std::string const key = "watched";
  auto const may_die = [](member const& m) { return m.correct_server() && !m.how().seed && m.how().nat == nullptr; };
  // Directories find out first that somebody is dead, so they watch.
  std::vector<member*> order;
  for (bool const has_directory : {false, true})
    for (auto const& m : members_)
      if (m->running() && !m->lies() && m->how().has_directory == has_directory) order.push_back(m.get());
  std::vector<member*> publishers;
  for (member* m : order)
    if (may_die(*m) && publishers.size() < 2) publishers.push_back(m);
  std::vector<std::shared_ptr<onlooker>> all;
  duration late = 0s;
  for (auto at = order.rbegin(); at != order.rend() && all.size() < most; ++at) {
    if (std::count(publishers.begin(), publishers.end(), *at) > 0) continue;
    if (auto w = (*at)->node()->watch(as_bytes(key))) {
      all.push_back(std::make_shared<onlooker>(**at, std::move(*w)));
      (*at)->host().spawn(look(all.back()));
      if ((*at)->how().nat != nullptr) late = nat_forgets;
    }
  }
  if (publishers.size() < 2 || all.empty()) return;
  member& stays = *publishers[0];
  member& dies = *publishers[1];

  auto const act = [this](member& by, coro::task<void> what) {
    by.host().spawn(std::move(what));
    advance(1ms);  // it begins
    advance_until([&by] { return by.operations() == 0; }, 15s);
  };
  auto const put = [&](member& by) { act(by, member::put_once(by, key, kad::quorum::majority(), false)); };
  // Of whom `each` has heard something else than what there is.
  auto const wrong = [&](onlooker const& each) -> member const* {
    for (member const* m : {&stays, &dies}) {
      auto const there = m->publishes().find(key);
      auto const said = each.lives.find(m->id());
      bool const lives = there != m->publishes().end();
      if (lives != (said != each.lives.end()) || (lives && said->second != there->second)) return m;
    }
    return nullptr;
  };
  // Full stores may have refused what is not there.
  auto const heard = [&](char const* what, duration limit) {
    for (member* m : {&stays, &dies})
      if (over() || (m->publishes().contains(key) && !well_kept(*m, as_bytes(key)))) return false;
    advance_until([&] { return std::all_of(all.begin(), all.end(), [&](auto const& o) { return !wrong(*o); }); },
                  limit + late);
    for (auto const& each : all) {
      member const* const of = wrong(*each);
      oracle_.expect(of == nullptr, check::watch_tells, [&] {
        return each->by.id().short_string() + " has not heard of " + what + " of " + of->id().short_string() + "; " +
               each->from.explain();
      });
    }
    return !over();
  };

  advance(2s);
  put(stays);
  put(dies);
  bool goes_on = heard("a put", pushed);
  if (goes_on) put(stays);
  goes_on = goes_on && heard("a change", pushed);
  if (goes_on) act(stays, member::withdraw_once(stays, key));
  goes_on = goes_on && heard("a withdrawal", pushed);
  if (goes_on) put(stays);
  goes_on = goes_on && heard("a put again", pushed);
  if (goes_on) {
    auto const holders = dies.node()->holders(as_bytes(key));
    auto const tells = [&](peer_id const& id) {
      auto const at = all.front()->from.holders();
      return std::count(at.begin(), at.end(), id) > 0 && std::count(holders.begin(), holders.end(), id) > 0;
    };
    auto const victim = std::find_if(order.rbegin(), order.rend(), [&](member* m) {
      return may_die(*m) && m != &stays && m != &dies && m != &all.front()->by && tells(m->id());
    });
    if (victim != order.rend()) {
      std::erase_if(all, [&](auto const& each) { return &each->by == *victim; });
      (*victim)->crash();
      advance(found_out);
    }
    dies.crash();
    heard("the end", lengthened(plan_.lifetime) + doubted);
  }
  for (auto const& each : all) each->from.close();
  advance(1s);
}

}  // namespace kadoro_sim
