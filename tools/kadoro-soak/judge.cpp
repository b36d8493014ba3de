#include "judge.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "clock.hpp"
#include "plan.hpp"

namespace kadoro_soak {

namespace {

std::string seconds(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", ms / 1e3);
  return text;
}

}  // namespace

std::string_view to_string(rule what) noexcept {
  switch (what) {
    case rule::lost: return "lost";
    case rule::older: return "older";
    case rule::resurrected: return "resurrected";
    case rule::invented: return "invented";
    case rule::put_failed: return "put_failed";
    case rule::watch_behind: return "watch_behind";
    case rule::watch_expired: return "watch_expired";
    case rule::deadline: return "deadline";
    case rule::hang: return "hang";
    case rule::twice: return "twice";
    case rule::crash: return "crash";
    case rule::stubborn: return "stubborn";
    case rule::busy: return "busy";
    case rule::memory: return "memory";
  }
  return {};
}

judge::judge(std::size_t processes, std::size_t replicas, double start_ms)
    : start_ms_(start_ms), down_(processes), deaths_(processes) {
  std::size_t const r = std::min(replicas, processes - 1);
  tolerated_ = r - (r / 2 + 1);
  for (auto& d : down_) d.push_back({start_ms, never});  // until it has joined
}

// ---- what happens ---------------------------------------------------------------------------------------------------

void judge::went(std::size_t who, double at_ms, bool killed) {
  down_[who].push_back({at_ms, never});
  if (killed) kills_.emplace_back(at_ms, who);
}

void judge::back(std::size_t who, double at_ms) {
  for (span& s : down_[who])
    if (s.to_ms == never) s.to_ms = at_ms;
}

void judge::died(std::size_t who, unsigned life, double at_ms) {
  deaths_[who][life] = at_ms;
  std::erase_if(open_puts_, [who](auto const& p) { return p.first.first == who; });
}

void judge::stalled(std::size_t who, double from_ms, double to_ms, double cpu_ms) {
  auto const stopped = [=](span const& s) { return s.from_ms <= to_ms && from_ms <= s.to_ms; };
  if (std::any_of(down_[who].begin(), down_[who].end(), stopped)) return;
  constexpr double long_ms = 2'000;
  double const length_ms = to_ms - from_ms;
  if (length_ms > long_ms && cpu_ms > length_ms / 2)
    broke(rule::busy, to_ms, "process " + std::to_string(who) + " computed for " + seconds(cpu_ms));
  ++counts_.stalls;
  counts_.longest_stall_ms = std::max(counts_.longest_stall_ms, length_ms);
  down_[who].push_back({from_ms, to_ms});
  stalls_.push_back({from_ms, to_ms});
}

std::size_t judge::disturbed(double from_ms, double to_ms) const {
  return static_cast<std::size_t>(std::count_if(down_.begin(), down_.end(), [=](std::deque<span> const& of) {
    return std::any_of(of.begin(), of.end(),
                       [=](span const& s) { return s.from_ms <= to_ms && from_ms <= s.to_ms + heal_ms; });
  }));
}

bool judge::excused(std::size_t who, double from_ms, double to_ms) const {
  bool const itself = std::any_of(down_[who].begin(), down_[who].end(),
                                  [=](span const& s) { return s.from_ms <= to_ms && from_ms <= s.to_ms; });
  return itself || disturbed(from_ms, to_ms) > tolerated_;
}

void judge::broke(rule what, double at_ms, std::string text) {
  ++violated_;
  ++by_rule_[static_cast<std::size_t>(what)];
  if (violations_.size() < texts_kept) violations_.push_back({what, at_ms - start_ms_, std::move(text)});
}

void judge::heard(std::size_t who, unsigned life, nlohmann::json const& line) {
  std::string const what = line["o"];
  if (what == "put") return put_begun(who, life, line);
  if (what == "done") put_ended(who, life, line);
  if (what == "event") ++counts_.watch_events;
  if (what == "watched") ++counts_.watch_checks;
  if (what == "done" || what == "get" || what == "providers" || what == "behind" || what == "expired")
    waiting_.push_back({now_ms(), who, line});
}

void judge::put_begun(std::size_t who, unsigned life, nlohmann::json const& line) {
  slot_name const name{line["k"], who};
  statement s;
  s.id = line["id"];
  s.life = life;
  s.tombstone = line["w"];
  s.wants_durable = line["durable"];
  s.lifetime_ms = line["life"];
  s.begun_ms = line["t"];
  slots_[name].said.push_back(s);
  open_puts_[{who, s.id}] = name;
}

void judge::put_ended(std::size_t who, unsigned life, nlohmann::json const& line) {
  auto const at = open_puts_.find({who, line["id"].get<std::uint64_t>()});
  if (at == open_puts_.end()) {
    broke(rule::twice, line["t"], "process " + std::to_string(who) + " ended a put twice: " + line.dump());
    return;
  }
  slot& in = slots_[at->second];
  for (statement& s : in.said) {
    if (s.life != life || s.id != line["id"]) continue;
    s.ended_ms = line["t"];
    s.acknowledged = line["ok"];
    s.sequence = line.value("s", std::uint64_t{0});
    s.durable = s.acknowledged && s.wants_durable && line.value("d", false);
    in.highest = std::max(in.highest, s.sequence);
    if (s.acknowledged) ++counts_.puts_acknowledged;
    if (s.durable) ++counts_.puts_durable;
    if (s.acknowledged && s.wants_durable && !s.durable) ++counts_.puts_not_durable;
  }
  open_puts_.erase(at);
}

// ---- judgement ------------------------------------------------------------------------------------------------------

void judge::settle(double now) {
  while (!waiting_.empty() && waiting_.front().heard_ms + wait_ms < now) {
    judge_line(waiting_.front().who, waiting_.front().line);
    waiting_.pop_front();
  }
  forget(now);
}

void judge::judge_line(std::size_t who, nlohmann::json const& line) {
  std::string const what = line["o"];
  double const begun = line.value("b", line["t"].get<double>());
  double const ended = line["t"];
  std::string const e = line.value("e", std::string());
  if (e == "cancelled" || e == "closed") return;  // it is leaving
  if (e == "timed_out" && !excused(who, begun, ended)) {
    broke(rule::deadline, ended, "process " + std::to_string(who) + ": " + line.dump());
    return;
  }
  if (what == "done") return judge_put(who, line);
  if (what == "behind") return judge_behind(who, line);
  if (what == "expired") return judge_expired(who, line);
  judge_get(who, line);
}

void judge::judge_put(std::size_t who, nlohmann::json const& line) {
  if (line["ok"].get<bool>()) return;
  ++counts_.puts_failed;
  if (excused(who, line["b"], line["t"])) return;
  broke(rule::put_failed, line["t"], "process " + std::to_string(who) + ": " + line.dump());
}

bool judge::may_be_lost(statement const& s) const {
  if (s.durable) return false;
  static constexpr double around_ms = 10'000;
  double stall_ms = 0;
  for (span const& each : stalls_)
    if (each.from_ms < s.ended_ms + around_ms && s.ended_ms - around_ms < each.to_ms)
      stall_ms = std::max(stall_ms, each.to_ms - each.from_ms);
  std::set<std::size_t> killed;
  for (auto const& [at_ms, who] : kills_)
    if (s.begun_ms <= at_ms && at_ms <= s.ended_ms + commit_ms + 5 * stall_ms) killed.insert(who);
  return killed.size() > tolerated_;
}

/// The last that counts, and was acknowledged by then.
judge::statement const* judge::last_before(slot const& of, double at_ms) {
  for (auto s = of.said.rbegin(); s != of.said.rend(); ++s) {
    if (!s->acknowledged || s->ended_ms > at_ms) continue;
    if (!may_be_lost(*s)) return &*s;
    ++counts_.not_counted_on;
  }
  return nullptr;
}

bool judge::lives(std::size_t publisher, statement const& s, double at_ms) const {
  if (s.tombstone) return false;
  constexpr double margin_ms = 1'000;
  if (at_ms + margin_ms < s.begun_ms + s.lifetime_ms) return true;
  auto const death = deaths_[publisher].find(s.life);
  return death == deaths_[publisher].end() || at_ms < death->second;
}

void judge::judge_get(std::size_t who, nlohmann::json const& line) {
  std::string const key = line["k"];
  if (!line.contains("rec")) {
    if (!excused(who, line["b"], line["t"]))
      broke(rule::lost, line["t"], "process " + std::to_string(who) + ": " + line.dump());
    return;
  }
  if (line["q"].get<bool>() && line["u"].get<bool>()) ++counts_.unconfirmed;
  for (auto at = slots_.lower_bound({key, 0}); at != slots_.end() && at->first.first == key; ++at)
    judge_slot(who, at->first, at->second, line);
}

std::string judge::told(statement const& s) {
  return std::string(s.tombstone ? "withdrawn" : "put") + " as sequence " + std::to_string(s.sequence) + " in life " +
         std::to_string(s.life) + (s.durable ? ", durable" : "") + ", acknowledged at " + seconds(s.ended_ms);
}

void judge::judge_slot(std::size_t reader, slot_name const& name, slot const& of, nlohmann::json const& line) {
  double const begun = line["b"];
  double const ended = line["t"];
  bool const confirmed = line["q"].get<bool>() && !line["u"].get<bool>();
  auto const find = [&](char const* list) -> std::optional<std::uint64_t> {
    for (auto const& one : line[list]) {
      auto const at = names_.find(one[0].get<std::string>());
      if (at != names_.end() && at->second == name.second) return one[1].get<std::uint64_t>();
    }
    return {};
  };
  auto const text = [&](statement const& f) {
    return "process " + std::to_string(reader) + ", " + name.first + " of process " + std::to_string(name.second) +
           ": " + told(f) + "; the get, from " + seconds(begun) + " to " + seconds(ended) + ", with " +
           std::to_string(disturbed(begun, ended)) + " disturbed: " + line.dump();
  };
  auto const live = find("rec");
  bool const unfinished =
      std::any_of(of.said.begin(), of.said.end(), [](statement const& s) { return s.ended_ms == never; });
  if (live && *live > of.highest && !unfinished) {
    // A put that was interrupted has a number that nobody knows; else there is none above the highest.
    bool const interrupted =
        std::any_of(of.said.begin(), of.said.end(), [](statement const& s) { return s.sequence == 0; });
    if (!interrupted)
      broke(rule::invented, ended, name.first + ", highest " + std::to_string(of.highest) + ": " + line.dump());
  }
  statement const* const f = last_before(of, begun);
  if (f == nullptr) return;
  ++counts_.judged;
  if (live) {
    bool const of_provider = *live == 0;  // which tells no sequence
    bool const below = f->tombstone ? *live <= f->sequence : *live < f->sequence;
    if (f->tombstone) ++counts_.expected_gone;
    if (!f->tombstone) ++counts_.expected_live;
    if (of_provider && f->tombstone) {
      // Gone, unless it was provided again meanwhile.
      bool const again = std::any_of(of.said.begin(), of.said.end(), [&](statement const& s) {
        return !s.tombstone && s.begun_ms >= f->begun_ms && s.begun_ms <= ended;
      });
      if (again || !confirmed) return;
    } else if (of_provider || !below) {
      return;
    }
    if (!confirmed)
      ++counts_.first_stale;
    else if (excused(reader, begun, ended))
      ++counts_.excused;
    else
      broke(f->tombstone ? rule::resurrected : rule::older, ended, text(*f));
    return;
  }
  if (!lives(name.second, *f, ended)) return;
  bool const withdrawn_meanwhile = std::any_of(of.said.begin(), of.said.end(), [&](statement const& s) {
    return s.tombstone && s.begun_ms >= f->begun_ms && s.begun_ms <= ended;
  });
  if (withdrawn_meanwhile) return;
  ++counts_.expected_live;
  // The first valid copy is of whom it is of: under a key of several publishers the others may be missing.
  bool const shared = name.first.rfind("own/", 0) != 0;
  if (shared && !confirmed) return;
  if (excused(reader, begun, ended))
    ++counts_.excused;
  else
    broke(rule::lost, ended, text(*f));
}

void judge::judge_behind(std::size_t who, nlohmann::json const& line) {
  if (excused(who, line["b"], line["t"])) {
    ++counts_.excused;
    return;
  }
  broke(rule::watch_behind, line["t"], "process " + std::to_string(who) + ": " + line.dump());
}

void judge::judge_expired(std::size_t who, nlohmann::json const& line) {
  auto const publisher = names_.find(line["p"].get<std::string>());
  if (publisher == names_.end()) return;
  auto const at = slots_.find({line["k"], publisher->second});
  if (at == slots_.end()) return;
  double const when = line["t"];
  statement const* const f = last_before(at->second, when);
  // That it was withdrawn or replaced meanwhile would be another event.
  if (f == nullptr || f->sequence != line["s"] || !lives(publisher->second, *f, when)) return;
  if (excused(who, when, when)) {
    ++counts_.excused;
    return;
  }
  broke(rule::watch_expired, when, "process " + std::to_string(who) + ": " + told(*f) + ": " + line.dump());
}

/// What nobody will ask for any more.
void judge::forget(double now) {
  for (auto& [name, of] : slots_) {
    std::size_t last = 0;
    for (std::size_t i = 0; i < of.said.size(); ++i)
      if (of.said[i].acknowledged && of.said[i].ended_ms < now - remember_ms && !may_be_lost(of.said[i])) last = i;
    of.said.erase(of.said.begin(), of.said.begin() + static_cast<std::ptrdiff_t>(last));
  }
  for (auto& d : down_)
    while (d.size() > 1 && d.front().to_ms + heal_ms < now - remember_ms) d.pop_front();
  while (!kills_.empty() && kills_.front().first < now - 4 * in_ms(std::chrono::minutes(15))) kills_.pop_front();
}

}  // namespace kadoro_soak
