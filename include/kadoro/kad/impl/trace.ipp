#pragma once

#include <algorithm>
#include <array>
#include <cstdio>

#include "kadoro/kad/trace.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline std::string milliseconds_text(duration d) {
  char text[40];
  std::snprintf(text, sizeof text, "%.2f", std::chrono::duration<double, std::milli>(d).count());
  return text;
}

}  // namespace detail

KADORO_DECL std::string printable(bytes_view key) {
  bool const plain = std::all_of(key.begin(), key.end(), [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; });
  return plain ? std::string(as_text(key)) : "0x" + to_hex(key);
}

KADORO_DECL trace::trace(std::string_view query, bytes_view key, time_point start)
    : query_(query), key_(to_bytes(key)), start_(start) {}

KADORO_DECL std::size_t trace::asked(peer_id const& peer, std::optional<peer_id> const& suggested_by, time_point now) {
  if (facts_.size() == max_steps) {
    ++omitted_;
    return max_steps;
  }
  fact f;
  f.peer = peer;
  f.suggested_by = suggested_by;
  f.sent_at = now - start_;
  facts_.push_back(f);
  return facts_.size() - 1;
}

KADORO_DECL void trace::answered(std::size_t step, told const& what, time_point now) {
  if (step >= facts_.size()) return;
  fact& f = facts_[step];
  f.rtt = now - start_ - f.sent_at;
  if (what.records) f.records = static_cast<std::int32_t>(*what.records);
  if (what.contacts) f.contacts = static_cast<std::int32_t>(*what.contacts);
  f.stored = what.stored;
}

KADORO_DECL void trace::answered(std::size_t step, std::string_view result, time_point now) {
  answered(step, told(), now);
  say(step, result);
}

KADORO_DECL void trace::failed(std::size_t step, std::string_view result) { say(step, result); }

KADORO_DECL void trace::say(std::size_t step, std::string_view result) {
  if (step >= facts_.size()) return;
  facts_[step].in_words = true;
  words_[step] = result;
}

KADORO_DECL std::string trace::result_of(std::size_t step) const {
  fact const& f = facts_[step];
  if (f.in_words) return words_.at(step);
  if (f.stored) return "stored";
  std::string text;
  if (f.records >= 0) text = std::to_string(f.records) + " records";
  if (f.contacts >= 0) text += (text.empty() ? "" : ", ") + std::to_string(f.contacts) + " contacts";
  return text;
}

KADORO_DECL std::string trace::key_text() const { return printable(key_); }

KADORO_DECL std::vector<trace_step> trace::steps() const {
  std::vector<trace_step> all;
  all.reserve(facts_.size());
  for (std::size_t i = 0; i < facts_.size(); ++i)
    all.push_back({facts_[i].peer, facts_[i].suggested_by, facts_[i].sent_at, facts_[i].rtt, result_of(i)});
  return all;
}

KADORO_DECL std::string trace::to_text() const {
  using row = std::array<std::string, 6>;
  std::vector<row> rows{{"#", "asked", "suggested by", "sent (ms)", "rtt (ms)", "result"}};
  std::vector<trace_step> const all = steps();
  for (std::size_t i = 0; i < all.size(); ++i) {
    trace_step const& s = all[i];
    rows.push_back({std::to_string(i + 1), s.peer.short_string(),
                    s.suggested_by ? s.suggested_by->short_string() : std::string("(own table)"),
                    detail::milliseconds_text(s.sent_at), s.rtt ? detail::milliseconds_text(*s.rtt) : std::string("-"),
                    s.result.empty() ? std::string("no answer yet") : s.result});
  }
  std::array<std::size_t, 6> widths{};
  for (row const& r : rows)
    for (std::size_t i = 0; i < r.size(); ++i) widths[i] = std::max(widths[i], r[i].size());

  std::string text = std::string(query_) + " " + key_text() + "\n";
  for (row const& r : rows) {
    for (std::size_t i = 0; i + 1 < r.size(); ++i) {
      std::string const space(widths[i] - r[i].size(), ' ');
      bool const number = i == 0 || i == 3 || i == 4;
      text += number ? space + r[i] : r[i] + space;
      text += "  ";
    }
    text += r.back() + "\n";
  }
  if (omitted_ > 0) text += "and " + std::to_string(omitted_) + " more requests\n";
  if (elapsed_)
    text += "stopped after " + detail::milliseconds_text(*elapsed_) + " ms: " + why_it_stopped_ + "\n";
  else
    text += "still running\n";
  return text;
}

}  // namespace kadoro::inline KADORO_ABI::kad
