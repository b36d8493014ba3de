#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "kadoro/kad/trace.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using kad::trace;

namespace {

kad::peer_id peer(std::uint8_t number) {
  byte_array<32> key;
  key.fill(number);
  return kad::peer_id::of_ed25519(key);
}

std::vector<std::string> lines_of(std::string const& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t const end = text.find('\n', at);
    REQUIRE(end != std::string::npos);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

trace sample(time_point start) {
  trace t("get", as_bytes("/test/hello"), start);
  auto const first = t.asked(peer(1), std::nullopt, start);
  auto const second = t.asked(peer(2), std::nullopt, start + 1ms);
  t.answered(first, "20 contacts", start + 12500us);
  auto const third = t.asked(peer(3), peer(1), start + 13ms);
  t.failed(second, "no answer");
  t.answered(third, "record, sequence 7", start + 113ms);
  return t;
}

}  // namespace

TEST_CASE("keys for people") {
  CHECK(kad::printable(as_bytes("/test/hello world")) == "/test/hello world");
  bytes const raw{0x00, 0x41, 0xff};
  CHECK(kad::printable(raw) == "0x0041ff");
  CHECK(kad::printable(as_bytes("line\n")) == "0x6c696e650a");
}

TEST_CASE("a trace as a table") {
  time_point const start{5h};
  trace t = sample(start);
  CHECK(t.to_text().ends_with("still running\n"));
  t.finish(start + 120ms);
  t.explain("found in 1 holder");

  auto const lines = lines_of(t.to_text());
  REQUIRE(lines.size() == 6);
  CHECK(lines[0] == "get /test/hello");
  CHECK(lines[2].find(peer(1).short_string()) != std::string::npos);
  CHECK(lines[2].find("(own table)") != std::string::npos);
  CHECK(lines[2].find("12.50  20 contacts") != std::string::npos);
  CHECK(lines[3].find("-  no answer") != std::string::npos);
  CHECK(lines[4].find(peer(1).short_string()) != std::string::npos);  // who suggested it
  CHECK(lines[4].find("100.00  record, sequence 7") != std::string::npos);
  CHECK(lines[5] == "stopped after 120.00 ms: found in 1 holder");
  std::size_t const column = lines[1].find("result");
  CHECK(lines[2].find("20 contacts") == column);
  CHECK(lines[3].find("no answer") == column);
  CHECK(lines[4].find("record,") == column);
}

TEST_CASE("a trace as JSON") {
  time_point const start{5h};
  trace t = sample(start);
  t.asked(peer(4), peer(3), start + 114ms);
  auto const running = nlohmann::json::parse(t.to_json());
  CHECK(running["elapsed_ms"].is_null());

  t.finish(start + 120ms);
  t.explain("a \"quoted\" reason and a stray byte \xff");
  auto const all = nlohmann::json::parse(t.to_json());
  CHECK(all["query"] == "get");
  CHECK(all["key"] == "/test/hello");
  CHECK(all["elapsed_ms"] == 120.0);
  CHECK(all["omitted"] == 0);
  CHECK(all["why_it_stopped"] == "a \"quoted\" reason and a stray byte \xef\xbf\xbd");
  REQUIRE(all["steps"].size() == 4);
  CHECK(all["steps"][0]["peer"] == peer(1).to_string());
  CHECK(all["steps"][0]["suggested_by"].is_null());
  CHECK(all["steps"][0]["rtt_ms"] == 12.5);
  CHECK(all["steps"][1]["rtt_ms"].is_null());
  CHECK(all["steps"][1]["sent_ms"] == 1.0);
  CHECK(all["steps"][2]["suggested_by"] == peer(1).to_string());
  CHECK(all["steps"][3]["result"] == "");
}

TEST_CASE("a trace is bounded, and counts what it leaves out") {
  trace t("find_node", as_bytes("k"), time_point{});
  for (std::size_t i = 0; i < trace::max_steps; ++i) CHECK(t.asked(peer(1), std::nullopt, time_point{}) == i);
  auto const beyond = t.asked(peer(2), std::nullopt, time_point{});
  t.answered(beyond, "5 contacts", time_point{});
  t.failed(beyond, "no answer");
  CHECK(t.steps().size() == trace::max_steps);
  CHECK(t.omitted() == 1);
  CHECK(t.steps().back().result.empty());
  CHECK(t.to_text().find("and 1 more requests") != std::string::npos);
  CHECK(nlohmann::json::parse(t.to_json())["omitted"] == 1);
}

TEST_CASE("whatever a peer says, a trace is JSON") {
  // What a text holds, and what becomes of it where it is no UTF-8.
  std::pair<std::string, std::string> const texts[]{
      {"plain", "plain"},
      {"tab\t, newline\n, \x01 and \x1f", "tab\t, newline\n, \x01 and \x1f"},
      {"back\\slash", "back\\slash"},
      {"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                    // longer than need be
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                    // half a pair
      {"\xf4\x90\x80\x80!", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!"},  // beyond the last
      {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
  };
  for (auto const& [said, shown] : texts) {
    trace t("get", as_bytes("k"), time_point{});
    t.failed(t.asked(peer(1), std::nullopt, time_point{1ns}), said);
    t.finish(time_point{1500us});
    t.explain(said);
    auto const all = nlohmann::json::parse(t.to_json());
    CHECK(all["why_it_stopped"] == shown);
    CHECK(all["steps"][0]["result"] == shown);
    CHECK(all["steps"][0]["sent_ms"] == 0.000001);
    CHECK(all["elapsed_ms"] == 1.5);
  }
  auto const empty = nlohmann::json::parse(trace("get", as_bytes("k"), time_point{}).to_json());
  CHECK(empty["steps"].empty());
}
