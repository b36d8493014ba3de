#include <doctest/doctest.h>

#include <string>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/database.hpp"
#include "kadoro/io/sim/world.hpp"

using namespace kadoro;
using io::database_change;
using kind = io::database::batch;

namespace {

database_change put(std::string const& key, std::string const& value) {
  return {to_bytes(as_bytes(key)), to_bytes(as_bytes(value))};
}
database_change erase(std::string const& key) { return {to_bytes(as_bytes(key)), std::nullopt}; }

std::string text_of(io::database& from) {
  std::string out;
  auto const read = from.load([&out](bytes_view key, bytes_view value) -> result<void> {
    out += std::string(as_text(key)) + "=" + std::string(as_text(value)) + " ";
    return {};
  });
  return read ? out : read.error().message();
}

bool commit(io::database& to, std::vector<database_change> const& changes, kind how = kind::changes) {
  return to.commit(changes, how).has_value();
}

}  // namespace

TEST_CASE("simulated database: batches, in order, and whole") {
  io::sim::database d;
  CHECK(d.commit({}, kind::changes).error() == errc::closed);
  CHECK(text_of(d).empty());
  CHECK(commit(d, {put("b", "2"), put("a", "1"), put("c", "3")}));
  CHECK(commit(d, {erase("c"), erase("never"), put("b", "4")}));
  CHECK(text_of(d) == "a=1 b=4 ");
  CHECK(commit(d, {put("z", "9")}, kind::whole));
  CHECK(text_of(d) == "z=9 ");
  CHECK_FALSE(commit(d, {put("", "9")}));
  CHECK_FALSE(commit(d, {put(std::string(501, 'k'), "9")}));
  CHECK(d.counters().commits == 3);
  d.close();
  CHECK_FALSE(commit(d, {put("y", "9")}));
}

TEST_CASE("simulated database: an error of the visitor ends the reading") {
  io::sim::database d;
  CHECK(text_of(d).empty());
  CHECK(commit(d, {put("a", "1"), put("b", "2")}));
  int seen = 0;
  auto const read = d.load([&seen](bytes_view, bytes_view) -> result<void> {
    ++seen;
    return fail(errc::corrupt, "no");
  });
  CHECK(seen == 1);
  CHECK(read.error() == errc::corrupt);
}

TEST_CASE("simulated database: failures, a full disk, a disk that lies") {
  io::sim::database d;
  d.fail_load(errc::in_use);
  CHECK(text_of(d).find("in use") != std::string::npos);
  CHECK(text_of(d).empty());
  d.fail_commits(1);
  CHECK_FALSE(commit(d, {put("a", "1")}));
  CHECK(commit(d, {put("a", "1")}));
  d.set_capacity(4);
  auto const full = d.commit(std::vector<database_change>{put("b", "2222")}, kind::changes);
  CHECK(full.error() == errc::storage_full);
  CHECK(full.error() == condition::over_limit);
  CHECK(text_of(d) == "a=1 ");
  CHECK(commit(d, {put("b", "2")}));
  CHECK(commit(d, {erase("a")}));
  CHECK(d.used_bytes() == 2);
  CHECK(d.counters().failed_commits == 1);
  CHECK(d.counters().refused_commits == 1);

  d.lose_on_power_cut(1);
  CHECK(commit(d, {put("a", "5")}));
  CHECK(commit(d, {put("b", "5")}));
  d.power_cut();
  CHECK(text_of(d) == "a=5 b=2 ");
  d.lose_on_power_cut(0);
  CHECK(commit(d, {put("b", "6")}));
  d.power_cut();
  CHECK(text_of(d) == "a=5 b=6 ");
  CHECK(d.counters().lost_commits == 1);
}

TEST_CASE("simulated boots: a restart of the process is none, unless it is said") {
  io::sim::world world(1);
  auto const where = io::endpoint::v4({10, 0, 0, 1}, 1);
  auto first = std::make_unique<io::sim::context>(world, where);
  io::boot_instant const before = first->boot_now();
  CHECK(before.known());
  world.run_for(std::chrono::seconds(5));
  first->crash();
  io::sim::context second(world, where);
  io::boot_instant const after = second.boot_now();
  CHECK(after.same_boot(before.boot));
  CHECK(after.elapsed - before.elapsed == std::chrono::seconds(5));
  second.set_booted_at(world.now());
  CHECK_FALSE(second.boot_now().same_boot(before.boot));
  CHECK(second.boot_now().elapsed == duration::zero());
  CHECK_FALSE(io::boot_instant().same_boot(io::boot_instant().boot));
}
