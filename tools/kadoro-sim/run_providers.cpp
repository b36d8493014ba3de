#include <algorithm>

#include "run.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

struct search {
  member* by = nullptr;
  std::string key;
  bool done = false;
  std::optional<kad::providers_result> got;
};

/// One that waits long for dead peers may outlive the entries that it heard at first; then one more shows them.
coro::task<void> look_for(search& s, duration lifetime) {
  for (bool again : {true, false}) {
    time_point const begun = s.by->host().now();
    auto const got = co_await s.by->node()->get_providers(hash_of_provided(s.key));
    if (got) s.got.emplace(*got);
    if (!got || !again || s.by->host().now() - begun <= lifetime / 4) break;
  }
  s.done = true;
}

}  // namespace

/// Invariants 1 and 3, end to end: in calm everybody finds whoever still provides something, and nobody else.
void run::check_providers() {
  std::vector<search> all;
  for (std::size_t n = 0; n < plan_.provided; ++n)
    for (auto const& m : members_)
      if (m->running() && !m->works_on(provided_key(n))) all.push_back({m.get(), provided_key(n), false, {}});
  for (search& s : all) s.by->host().spawn(look_for(s, plan_.lifetime));
  advance_until([&] { return std::all_of(all.begin(), all.end(), [](search const& s) { return s.done; }); }, 30s);
  for (search const& s : all) {
    if (over()) return;
    auto const text = [&s] { return s.by->id().short_string() + " looks for providers of '" + s.key.substr(2) + "'"; };
    if (!oracle_.expect(s.done, check::lookup_bounded, [&] { return text() + ", which did not end in 30 s"; })) return;
    if (!s.got) continue;
    std::set<peer_id> found;
    for (kad::provider const& p : s.got->providers()) found.insert(p.peer);
    for (auto const& m : members_) {
      if (!m->running() || m->works_on(s.key)) continue;
      bool const provides = m->publishes().contains(s.key);
      bool const must = provides && m.get() != s.by && well_kept(*m, as_bytes(s.key));
      if (!oracle_.expect(!must || found.contains(m->id()), check::kept_in_calm, [&] {
            return text() + ", and does not find " + m->id().short_string() + ": " + s.got->explain();
          }))
        return;
      if (provides) found.erase(m->id());
      if (!oracle_.expect(!found.contains(m->id()), check::no_resurrection, [&] {
            return text() + ", and finds " + m->id().short_string() + ", which provides it no more";
          }))
        return;
      found.erase(m->id());
    }
  }
}

}  // namespace kadoro_sim
