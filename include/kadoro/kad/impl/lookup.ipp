#pragma once

#include <algorithm>
#include <utility>

#include "kadoro/kad/content.hpp"
#include "kadoro/kad/lookup.hpp"
#include "kadoro/kad/range_quota.hpp"

namespace kadoro::inline KADORO_ABI::kad {

inline lookup::candidate::candidate(lookup& of, peer_ref who, peer_ref by) noexcept
    : timer_node([](timer_node& n) {
        candidate& c = static_cast<candidate&>(n);
        if (c.now != state::asked && !c.tells_more) return;
        if (c.owner.has_patience(c) && c.owner.transport_.receiving(c.peer)) return c.owner.be_patient(c);
        if (c.now == state::asked) c.now = state::slow;
        c.tells_more = false;
        c.peer->slow_since = c.owner.scheduler_.now();
        c.owner.progress_.set();
      }),
      owner(of),
      peer(std::move(who)),
      suggested_by(std::move(by)),
      id(peer->hash()) {}

KADORO_DECL lookup::lookup(coro::scheduler& scheduler, transport::transport& transport, routing_table& table,
                           transport::message_type type, bytes_view target, std::size_t width, trace& steps)
    : scheduler_(scheduler),
      transport_(transport),
      table_(table),
      type_(type),
      target_(target),
      target_key_(key::of(target)),
      width_(width),
      wave_(width),
      steps_(steps) {}

KADORO_DECL void lookup::start_from(std::size_t k, std::span<peer_ref const> seeds) {
  if (table_.size() <= k) parallel_ = max_candidates;
  auto const known = table_.nearest(target_key_, k);
  if (table_.size() >= k) seeds = {};
  hopeless_ = std::none_of(known.begin(), known.end(), [](contact const* c) { return c->peer->unanswered == 0; }) &&
              std::none_of(seeds.begin(), seeds.end(), [](peer_ref const& p) { return p->unanswered == 0; });
  candidates_.reserve(candidates_.size() + known.size() + seeds.size());
  for (contact const* const c : known) add(c->peer, peer_ref());
  for (peer_ref const& p : seeds) add(p, peer_ref());
}

KADORO_DECL void lookup::add(peer_ref const& who, peer_ref const& by) {
  if (by && who->addresses().empty()) return;  // nobody can ask it
  key const id(who->hash());
  auto const at =
      std::lower_bound(candidates_.begin(), candidates_.end(), id,
                       [this](auto const& c, key const& wanted) { return target_key_.closer(c->id, wanted); });
  if (at != candidates_.end() && (*at)->id == id) return;
  auto const range = claimed_range(*who);
  if (range && per_range_.of(range) >= table_.options().max_per_range_in_table) return;
  per_range_.add(range);
  if (candidates_.size() == max_candidates) {  // the farthest gives way, if nobody has asked it yet
    if (at == candidates_.end() || candidates_.back()->now != state::fresh) return;
    auto const place = at - candidates_.begin();
    candidates_.pop_back();
    candidates_.insert(candidates_.begin() + place, std::make_unique<candidate>(*this, who, by))->get()->range = range;
    return;
  }
  candidates_.insert(at, std::make_unique<candidate>(*this, who, by))->get()->range = range;
}

/// What it has proved, else the least known range of those where it is said to live: whoever names it may have made up
/// the others, to have it left out.
KADORO_DECL std::optional<std::uint64_t> lookup::claimed_range(transport::peer const& who) const {
  std::optional<std::uint64_t> least;
  for (transport::peer::address const& a : who.addresses()) {
    if (a.confirmed) return a.range;
    if (a.range && (!least || per_range_.of(a.range) < per_range_.of(least))) least = a.range;
  }
  return least;
}

/// Lost lately, not heard since, and nobody tells of another address. It is worth a try now and then, but neither
/// waited for nor counted. That one try with a stranger has failed does not say much for long.
KADORO_DECL bool lookup::dead(candidate const& c) const {
  static constexpr duration stranger_memory = std::chrono::seconds(10);
  transport::peer const& who = *c.peer;
  if (c.now == state::answered || who.unanswered == 0 || hopeless_ || who.has_untried_address()) return false;
  return who.last_heard != time_point() || scheduler_.now() - who.lost_at < stranger_memory;
}

/// It may still be one of the closest that answer.
KADORO_DECL bool lookup::races(candidate const& c) const {
  return c.now != state::failed && c.now != state::refused && !dead(c);
}

template <class Take>
void lookup::take_closest(std::size_t n, Take take) const {
  spread_over_ranges(
      candidates_, n, table_.options().max_per_range_in_bucket, [this](auto const& c) { return races(*c); },
      [](auto const& c) { return c->range; }, [&take](auto const& c) { take(*c); });
}

KADORO_DECL lookup::candidate_list lookup::closest(std::size_t n) const {
  candidate_list out;
  out.reserve(std::min(n, candidates_.size()));
  take_closest(n, [&out](candidate const& c) { out.push_back(&c); });
  return out;
}

KADORO_DECL lookup::tally lookup::count_closest(std::size_t n) const {
  tally out;
  take_closest(n, [&out](candidate const& c) {
    ++out.peers;
    out.answered += c.now == state::answered ? 1u : 0u;
    out.all_asked = out.all_asked && c.now != state::fresh;
  });
  return out;
}

KADORO_DECL std::size_t lookup::silent() const noexcept {
  return static_cast<std::size_t>(std::count_if(candidates_.begin(), candidates_.end(), [](auto const& c) {
    return c->now == state::asked || c->now == state::slow || c->now == state::failed;
  }));
}

KADORO_DECL lookup::candidate_list lookup::racing() const {
  candidate_list out;
  range_quota places(table_.options().max_per_range_in_bucket);
  for (auto const& c : candidates_)
    if (races(*c) && places.admits(c->range)) out.push_back(c.get());
  return out;
}

KADORO_DECL void lookup::widen(std::size_t width) noexcept {
  static constexpr std::size_t parallel = 16;
  width_ = wave_ = std::max(width_, width);
  parallel_ = std::max(parallel_, parallel);
}

KADORO_DECL void lookup::start_more(coro::scope& asks, visitor& sees) {
  auto busy = static_cast<std::size_t>(
      std::count_if(candidates_.begin(), candidates_.end(), [](auto const& c) { return c->now == state::asked; }));
  if (one_of_ > 0) {
    if (busy > 0) return;
    candidate* const one = std::exchange(begun_, true) ? nullptr : likely_quick();
    if (one != nullptr && start(asks, *one, sees)) return;
    one_of_ = 0;
  }
  if (std::exchange(begun_, true) && busy == 0) wave_ = width_;  // they were not enough
  // The `alpha` closest have answered and told of nobody closer: what is left is to hear the others of the race.
  bool const nobody_closer = parallel_ < max_candidates && count_closest(alpha).answered == alpha;
  std::size_t const parallel = nobody_closer ? max_candidates : parallel_;
  std::size_t in_race = 0;
  std::size_t in_wave = 0;
  range_quota places(table_.options().max_per_range_in_bucket);
  for (auto const& c : candidates_) {
    if (in_race == width_ || in_wave == wave_ || busy >= parallel) return;
    if (c->now == state::failed || c->now == state::refused) continue;
    bool const hopeful = !dead(*c);
    bool const takes_place = !hopeful || places.admits(c->range);
    if (hopeful && takes_place) ++in_race;
    if (takes_place && (c->now == state::asked || c->now == state::answered)) ++in_wave;
    if (c->now != state::fresh) continue;
    static constexpr duration between_tries = std::chrono::seconds(5);
    time_point const now = scheduler_.now();
    if (!hopeful && now - std::max(c->peer->lost_at, c->peer->slow_since) < between_tries) continue;
    if (!start(asks, *c, sees)) return;
    if (c->now == state::slow) continue;
    ++busy;
    if (takes_place) ++in_wave;
  }
}

/// Of the `one_of_` closest; those that keep others waiting are none. Null if there is nobody. Whoever is near enough
/// is as good as the nearest: so the keys share the load out. Where a wake-up takes longer than the way, those of one
/// turn do so by the first of them; farther away, or while a large answer comes in, what goes along would wait in a
/// queue.
KADORO_DECL lookup::candidate* lookup::likely_quick() {
  static constexpr duration near_enough = std::chrono::milliseconds(1);
  pooled_vector<candidate*> of;
  duration nearest = duration::max();
  take_closest(one_of_, [&](candidate& c) {
    if (c.now != state::fresh || c.peer->doubtful()) return;
    of.push_back(&c);
    if (c.peer->rtt.known()) nearest = std::min(nearest, c.peer->rtt.smoothed());
  });
  std::erase_if(of, [nearest](candidate const* c) {
    return nearest != duration::max() && (!c->peer->rtt.known() || c->peer->rtt.smoothed() > 2 * nearest + near_enough);
  });
  if (of.empty()) return nullptr;
  time_point const now = scheduler_.now();
  auto const along = std::find_if(of.begin(), of.end(), [this, now](candidate const* c) {
    return company_->takes_along(*c->peer, now) && c->peer->rtt.known() && c->peer->rtt.smoothed() <= near_enough &&
           !transport_.receiving(c->peer);
  });
  candidate* const chosen = along == of.end() ? of.front() : *along;
  company_->note(*chosen->peer, now);
  return chosen;
}

/// False if there is no room for another question.
KADORO_DECL bool lookup::start(coro::scope& asks, candidate& c, visitor& sees) {
  bool const hopeful = !dead(c);
  if (!asks.spawn(ask(*this, c, sees))) return false;
  c.asked_at = scheduler_.now();
  if (hopeful) sees.on_asked(c);
  c.now = hopeful && !c.peer->doubtful() ? state::asked : state::slow;
  if (!hopeful) c.peer->slow_since = c.asked_at;
  if (c.now == state::asked) be_patient(c);
  return true;
}

/// For as long as an answer to the request that is under way now may take.
KADORO_DECL void lookup::be_patient(candidate& c) {
  duration const usual = c.peer->rtt.known() ? c.peer->rtt.timeout() : stranger_patience;
  scheduler_.arm(c, scheduler_.now() + (has_patience(c) ? usual : duration::zero()));
}

/// Nobody keeps a lookup waiting for longer, whatever it goes on to tell.
KADORO_DECL bool lookup::has_patience(candidate const& c) const {
  return scheduler_.now() - c.asked_at < longest_answer;
}

KADORO_DECL void lookup::hurry_strangers() {
  static constexpr duration least = std::chrono::milliseconds(100);
  for (auto const& c : candidates_)
    if (races(*c)) farthest_ = std::max(farthest_, c->peer->rtt.smoothed());
  duration const patience =
      std::clamp(3 * transport_.first_contact_round_trips() * farthest_, least, stranger_patience);
  for (auto const& c : candidates_)
    if (c->now == state::asked && !c->peer->rtt.known()) scheduler_.arm(*c, c->asked_at + patience);
}

/// Nobody of the closest is still worth waiting for. Slow ones mostly are not, once somebody has answered.
KADORO_DECL bool lookup::finished(visitor const& sees) const {
  std::size_t in_race = 0;
  bool answered = false;
  bool slow = false;
  range_quota places(table_.options().max_per_range_in_bucket);
  for (auto const& c : candidates_) {
    if (in_race == width_ && !enough_) break;
    if (!races(*c)) continue;
    if (c->now == state::asked || c->tells_more) return false;
    if (places.admits(c->range)) ++in_race;
    if (c->now == state::fresh && !enough_) return false;
    answered = answered || c->now == state::answered;
    slow = slow || c->now == state::slow;
  }
  return enough_ || !slow || (answered && sees.content());
}

KADORO_DECL coro::task<void> lookup::run(visitor& sees) {
  coro::environment const environment = co_await coro::this_environment();
  coro::scope asks(scheduler_, environment.cancel());
  asks.abandon();  // if the whole chain of awaits is destroyed, its asks go with it
  for (;;) {
    progress_.reset();
    if (!enough_) start_more(asks, sees);
    if (finished(sees)) break;
    auto const progress = co_await progress_.wait();
    if (!progress) break;
  }
  asks.request_cancel();
  co_await asks.join();
}

/// Whether something in an answer is what was asked for: a record or a provider at the cursor or behind.
inline bool belongs_to_page(transport::message const& answer, std::uint64_t cursor) {
  auto const belongs = [cursor](bytes_view name) {
    bool const named = name.empty() || multiformats::peer_id::from_bytes(name).has_value();
    return named && transport::cursor_of(name) >= cursor;
  };
  return std::any_of(answer.records.begin(), answer.records.end(),
                     [&](wire::record const& r) { return belongs(r.publisher); }) ||
         std::any_of(answer.providers.begin(), answer.providers.end(),
                     [&](wire::peer const& p) { return belongs(p.id); });
}

/// The frames of all that are asked wait together, so they keep no more than they need.
KADORO_DECL coro::task<void> lookup::ask(lookup& l, candidate& c, visitor& sees) {
  progress_of so_far;
  so_far.step = l.note_asked(c);
  transport::message request = l.question(c);
  for (std::size_t page = 0; page < max_pages; ++page) {
    auto const answer = co_await l.transport_.request(c.peer, request);
    bool const goes_on = l.take_page(c, answer, request, so_far, sees);
    if (!goes_on) co_return;
  }
  l.conclude(c, so_far, sees);  // it would go on for ever
}

KADORO_DECL std::size_t lookup::note_asked(candidate const& c) {
  std::optional<peer_id> by;
  if (c.suggested_by) by = c.suggested_by->id();
  return steps_.asked(c.peer->id(), by, scheduler_.now());
}

KADORO_DECL transport::message lookup::question(candidate const& c) const {
  transport::message request;
  request.type = type_;
  request.key = target_;
  bool const may_know =
      c.peer->mode == transport::peer_mode::unknown || (c.peer->features & transport::transport::feature_content) != 0;
  if (asks_for_content_ && may_know) request.record = content_question();
  request.brief = one_of_ > 0;  // asked alone: who knows all members needs their names only where nothing is found
  return request;
}

/// True: `request` now asks for the next page.
KADORO_DECL bool lookup::take_page(candidate& c, result<transport::message> const& answer, transport::message& request,
                                   progress_of& so_far, visitor& sees) {
  if (!answer && answer.error() == errc::cancelled) {  // the lookup has ended; nothing is known against the peer
    scheduler_.disarm(c);
    return false;
  }
  if (!answer || answer->refusal) {
    if (c.tells_more)  // what it told before counts
      conclude(c, so_far, sees);
    else
      take_loss(c, answer, so_far.step, sees);
    return false;
  }
  so_far.records += answer->records.size() + answer->providers.size();
  for (peer_ref const& contact : answer->contacts)
    if (++so_far.contacts <= max_suggestions) add(contact, c.peer);
  if (sees.on_answer(c, *answer)) enough_ = true;
  // A page without records: what is there did not fit into the answer of a handshake. The session takes it.
  bool const empty = !belongs_to_page(*answer, request.records_cursor);
  bool const goes_on = answer->records_cursor > request.records_cursor ||
                       (empty && answer->records_cursor != 0 && answer->records_cursor == request.records_cursor);
  bool const more_records =
      type_ != transport::message_type::find_node && goes_on && (!empty || ++so_far.empty_pages <= max_empty_pages);
  c.tells_more = !more_records && !enough_ && so_far.contacts < max_suggestions &&
                 answer->contacts_cursor > request.contacts_cursor && next_page_matters(answer->contacts);
  if (!more_records) take_answered(c, sees);
  if (!more_records && !c.tells_more) {
    conclude(c, so_far, sees);
    return false;
  }
  // Each page is a request of its own; whoever is asked alone has the time of one, then the others are asked, too.
  if (c.now != state::slow && c.peer->rtt.known() && !request.brief) be_patient(c);
  request.records_cursor = more_records ? answer->records_cursor : ~std::uint64_t{0};
  request.contacts_cursor = more_records ? 0 : answer->contacts_cursor;
  return true;
}

KADORO_DECL void lookup::take_loss(candidate& c, result<transport::message> const& answer, std::size_t step,
                                   visitor& sees) {
  bool const refused = answer.has_value();
  c.now = refused ? state::refused : state::failed;
  if (refused) c.refusal = answer->refusal;
  c.why = refused ? transport::why_refused(*answer) : answer.error().message();
  scheduler_.disarm(c);
  steps_.failed(step, c.why);
  sees.on_loss(c);
  progress_.set();
}

KADORO_DECL void lookup::conclude(candidate& c, progress_of const& so_far, visitor& sees) {
  take_answered(c, sees);
  c.tells_more = false;
  scheduler_.disarm(c);
  trace::told told;
  told.contacts = so_far.contacts;
  if (type_ != transport::message_type::find_node) told.records = so_far.records;
  steps_.answered(so_far.step, told, scheduler_.now());
  progress_.set();
}

/// It has told what was asked, and the closest that it knows. Further pages of contacts are heard beside what follows.
KADORO_DECL void lookup::take_answered(candidate& c, visitor& sees) {
  if (c.now == state::answered) return;
  scheduler_.disarm(c);
  c.now = state::answered;
  c.range = claimed_range(*c.peer);  // by now it has proved one
  farthest_ = std::max(farthest_, scheduler_.now() - c.asked_at);
  hurry_strangers();
  if (sees.on_answered(c)) enough_ = true;
  progress_.set();
}

/// The contacts of an answer come by distance: whether those on its next page may still belong to the race.
KADORO_DECL bool lookup::next_page_matters(peer_list const& page) const {
  auto const race = closest(width_);
  return race.size() < width_ || page.empty() || target_key_.closer(key(page.back()->hash()), race.back()->id);
}

}  // namespace kadoro::inline KADORO_ABI::kad
