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
    : query_(query), key_text_(printable(key)), start_(start) {}

KADORO_DECL std::size_t trace::asked(peer_id const& peer, std::optional<peer_id> suggested_by, time_point now) {
  if (steps_.size() == max_steps) {
    ++omitted_;
    return max_steps;
  }
  steps_.push_back({peer, std::move(suggested_by), now - start_, std::nullopt, {}});
  return steps_.size() - 1;
}

KADORO_DECL void trace::answered(std::size_t step, std::string_view result, time_point now) {
  if (step >= steps_.size()) return;
  steps_[step].rtt = now - start_ - steps_[step].sent_at;
  steps_[step].result = result;
}

KADORO_DECL void trace::failed(std::size_t step, std::string_view result) {
  if (step < steps_.size()) steps_[step].result = result;
}

KADORO_DECL void trace::finish(std::string_view why_it_stopped, time_point now) {
  elapsed_ = now - start_;
  why_it_stopped_ = why_it_stopped;
}

KADORO_DECL std::string trace::to_text() const {
  using row = std::array<std::string, 6>;
  std::vector<row> rows{{"#", "asked", "suggested by", "sent (ms)", "rtt (ms)", "result"}};
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    trace_step const& s = steps_[i];
    rows.push_back({std::to_string(i + 1), s.peer.short_string(),
                    s.suggested_by ? s.suggested_by->short_string() : std::string("(own table)"),
                    detail::milliseconds_text(s.sent_at), s.rtt ? detail::milliseconds_text(*s.rtt) : std::string("-"),
                    s.result.empty() ? std::string("no answer yet") : s.result});
  }
  std::array<std::size_t, 6> widths{};
  for (row const& r : rows)
    for (std::size_t i = 0; i < r.size(); ++i) widths[i] = std::max(widths[i], r[i].size());

  std::string text = query_ + " " + key_text_ + "\n";
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
