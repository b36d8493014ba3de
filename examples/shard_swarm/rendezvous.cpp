#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/directory/status.hpp"
#include "member.hpp"

namespace shard_swarm {

namespace {

/// One line, when it differs from the last.
coro::task<void> report(member& self, duration interval) {
  std::string last;
  for (;;) {
    auto const slept = co_await coro::sleep_for(interval);
    if (!slept) co_return;
    kad::node& node = self.node();
    std::string const now = "[STATUS] mode " + std::string(directory::to_string(node.mode())) + ", " +
                            std::to_string(node.table().size()) + " contacts, " + std::to_string(node.store().size()) +
                            " records; " + node.counters_text();
    if (now != last) say(now);
    last = now;
  }
}

/// With other members to start from, joins them.
coro::task<void> join(member& self, bool alone) {
  duration wait = std::chrono::milliseconds(500);
  while (!alone) {
    auto const joined = co_await self.node().join();
    if (joined) {
      self.events().write("joined", {{"servers", self.node().servers()}});
      co_return;
    }
    say(joined.error().message());
    auto const slept = co_await coro::sleep_for(wait);
    if (!slept) co_return;
    wait = std::min<duration>(wait * 2, std::chrono::seconds(10));
  }
}

coro::task<int> serve(io::context& context, member& self, member_settings const& settings) {
  int code = exit_ok;
  coro::event stop;
  coro::scope work(context);
  work.spawn(await_stop(context, stop));
  co_await coro::sleep_for(duration::zero());  // from now on a signal is heard
  auto const introduced = self.introduce(settings);
  if (introduced) {
    auto const interval =
        std::chrono::duration_cast<duration>(std::chrono::duration<double>(settings.status_interval_s));
    if (interval > duration::zero()) work.spawn(report(self, interval));
    work.spawn(join(self, settings.bootstrap.empty() && settings.data.empty()));
    co_await stop.wait();
  } else {
    code = complain(introduced.error());
  }
  work.request_cancel();
  co_await work.join();
  co_await self.leave();
  co_return code;
}

}  // namespace

int run_rendezvous(member_settings const& settings) {
  auto const opened = open_context(settings);
  if (!opened) return complain(opened.error());
  io::context& context = **opened;
  auto self = member::open(context, settings);
  if (!self) return complain(self.error());
  return context.run(serve(context, **self, settings));
}

}  // namespace shard_swarm
