#include "worker.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/posix/file_storage.hpp"
#if defined(KADORO_WITH_LMDB)
#include "kadoro/io/lmdb/database.hpp"
#endif

namespace kadoro_soak {

namespace {

constexpr std::size_t most_open = 64;
constexpr duration flush_every = std::chrono::milliseconds(50);
constexpr double stall_ms = 250;
constexpr duration report_every = std::chrono::seconds(1);
constexpr duration check_every = std::chrono::seconds(1);
constexpr duration watch_patience = std::chrono::seconds(10);

multiformats::multihash content_of(std::string const& name) { return kad::multihash::sha2_256(as_bytes(name)); }

ordered_json pairs(std::vector<kad::found_record> const& records) {
  ordered_json all = ordered_json::array();
  for (kad::found_record const& r : records) all.push_back({short_name(r.value.publisher), r.value.sequence});
  return all;
}

char const* word_for(error const& why) {
  if (why == errc::cancelled) return "cancelled";
  if (why == errc::closed) return "closed";
  if (why == errc::timed_out) return "timed_out";
  return "error";
}

/// What the heap has given out, without what it keeps.
double heap_kib() {
#if defined(__GLIBC__)
  return static_cast<double>(::mallinfo2().uordblks) / 1024;
#else
  return 0;
#endif
}

/// What the heap keeps of whole pages. A minute under load must not count as growth for ever: what grows for good
/// stays.
void give_back_pages() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

double cpu_ms() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto const of = [](timeval const& t) {
    return 1e3 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e3;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

coro::task<void> await_stop(io::context& context, coro::event& stop) {
  auto waiting = context.wait_signal({SIGINT, SIGTERM});
  auto const signal = co_await std::move(waiting);
  stop.set();
}

}  // namespace

std::string short_name(kad::peer_id const& id) {
  std::string const all = id.to_string();
  return all.substr(all.size() - 8);
}

// ---- what it says ---------------------------------------------------------------------------------------------------

void reporter::say(ordered_json const& line) {
  waiting_ += line.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  waiting_ += '\n';
}

void reporter::say_now(ordered_json const& line) {
  say(line);
  flush();
}

void reporter::flush() {
  for (std::size_t done = 0; done < waiting_.size();) {
    ssize_t const n = ::write(STDOUT_FILENO, waiting_.data() + done, waiting_.size() - done);
    if (n < 0 && errno != EINTR) break;  // the parent is gone, and takes this process with it
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  waiting_.clear();
}

// ---- the load -------------------------------------------------------------------------------------------------------

worker::worker(io::context& context, kad::node& node, worker_settings const& settings)
    : context_(context),
      node_(node),
      settings_(settings),
      random_(settings.seed * 1'000'003 + settings.index * 10'007 + settings.life),
      work_(context) {
  for (std::size_t i = 0; i < own_keys; ++i) {
    slot s;
    s.name = "own/" + std::to_string(settings.index) + "/" + std::to_string(i);
    s.durable = i < durable_keys;
    bool const large = !s.durable && i < durable_keys + large_keys;
    s.value_bytes = large ? 3000 + 400 * (i - durable_keys) : 100 + 4 * i;
    own_.push_back(std::move(s));
  }
  for (std::size_t i = 0; i < shared_keys; ++i) {
    slot s;
    s.name = "all/" + std::to_string(i);
    s.value_bytes = 120;
    watches_[s.name].key = s.name;
    shared_.push_back(std::move(s));
  }
  for (std::size_t i = 0; i < contents; ++i) {
    slot s;
    s.name = "content/" + std::to_string(i);
    s.content = true;
    contents_.push_back(std::move(s));
  }
}

std::uint64_t worker::begin(std::string what) {
  std::uint64_t const id = next_operation_++;
  open_[id] = {std::move(what), now_ms()};
  return id;
}

std::string worker::any_key() {
  std::uint64_t const who = random_.below(settings_.processes);
  std::uint64_t const which = random_.below(own_keys);
  return "own/" + std::to_string(who) + "/" + std::to_string(which);
}

void worker::start_put(std::vector<slot>& among, std::size_t first, std::size_t count, bool withdraw) {
  slot& into = among[first + static_cast<std::size_t>(random_.below(count))];
  if (into.busy || (withdraw && !into.published)) return;
  into.busy = true;
  if (!work_.spawn(put(*this, into, withdraw))) into.busy = false;
}

void worker::start_something() {
  if (open_.size() >= most_open) {
    ++skipped_;
    return;
  }
  constexpr std::size_t plain = durable_keys;
  std::uint64_t const kind = random_.below(1000);
  if (kind < 550) {
    work_.spawn(get(*this, any_key(), false));
  } else if (kind < 780) {
    work_.spawn(get(*this, any_key(), true));
  } else if (kind < 900) {
    start_put(own_, plain, own_keys - plain, false);
  } else if (kind < 902) {
    start_put(own_, 0, durable_keys, false);
  } else if (kind < 925) {
    start_put(own_, plain, own_keys - plain, true);
  } else if (kind < 945) {
    start_put(shared_, 0, shared_keys, false);
  } else if (kind < 950) {
    start_put(shared_, 0, shared_keys, true);
  } else if (kind < 960) {
    start_put(contents_, 0, contents, false);
  } else if (kind < 965) {
    start_put(contents_, 0, contents, true);
  } else {
    work_.spawn(get_providers(*this, contents_[static_cast<std::size_t>(random_.below(contents))].name));
  }
}

/// Operations begin at random instants, whether those before have ended or not.
coro::task<void> worker::load(worker& w) {
  double const mean_ms = 1000 / w.settings_.rate;
  double next_ms = now_ms();
  for (;;) {
    next_ms += 2 * mean_ms * w.random_.unit();
    double const late_ms = now_ms() - next_ms;
    if (late_ms > 1000) next_ms = now_ms();  // was stopped: what was missed is not made up for
    if (late_ms < 0) {
      auto const wait = std::chrono::duration_cast<duration>(std::chrono::duration<double, std::milli>(-late_ms));
      auto const slept = co_await coro::sleep_for(wait);
      if (!slept) co_return;
    }
    w.start_something();
  }
}

coro::task<void> worker::put(worker& w, slot& into, bool withdraw) {
  kad::put_options how;
  how.durable = into.durable;
  how.lifetime = into.durable ? durable_lifetime : lifetime;
  bytes value(into.value_bytes);
  w.random_.fill(value);
  std::uint64_t const id = w.begin((withdraw ? "withdraw " : "put ") + into.name);
  double const begun = now_ms();
  w.out_.say_now({{"o", "put"},
                  {"id", id},
                  {"k", into.name},
                  {"w", withdraw},
                  {"c", into.content},
                  {"life", in_ms(how.lifetime)},
                  {"durable", how.durable},
                  {"t", begun}});
  result<kad::put_receipt> receipt = fail(errc::cancelled);
  if (into.content) {
    auto const hash = content_of(into.name);
    auto doing = withdraw ? w.node_.unprovide(hash, how) : w.node_.provide(hash, how);
    receipt = co_await coro::with_deadline(std::move(doing), operation_deadline);
  } else {
    auto doing = withdraw ? w.node_.withdraw(as_bytes(into.name), how) : w.node_.put(as_bytes(into.name), value, how);
    receipt = co_await coro::with_deadline(std::move(doing), operation_deadline);
  }
  if (receipt && how.durable && !receipt->ok()) {
    // Decided because the disks are too slow for the quorum; whether the record is stored shows later.
    [[maybe_unused]] auto const settled = co_await coro::with_deadline(receipt->settled(), operation_deadline);
  }
  w.end(id);
  into.busy = false;
  into.published = !withdraw;
  ordered_json line = {{"o", "done"}, {"id", id}, {"b", begun}, {"t", now_ms()}};
  if (receipt) {
    line["s"] = receipt->sequence();
    line["ok"] = receipt->ok();
    line["d"] = receipt->durable() >= receipt->needed();
    if (!receipt->ok()) line["x"] = receipt->explain() + "\n" + receipt->steps().to_text();
  } else {
    line["ok"] = false;
    line["e"] = word_for(receipt.error());
    line["x"] = receipt.error().message();
  }
  w.out_.say_now(line);
}

ordered_json worker::got(std::uint64_t id, char const* what, std::string const& key, bool majority,
                         double begun) const {
  return {{"o", what}, {"id", id}, {"k", key}, {"q", majority}, {"b", begun}, {"t", now_ms()}};
}

coro::task<void> worker::get(worker& w, std::string key, bool majority) {
  kad::get_options how;
  if (majority) how.quorum = kad::quorum::majority();
  std::uint64_t const id = w.begin("get " + key);
  double const begun = now_ms();
  auto const answer = co_await coro::with_deadline(w.node_.get(as_bytes(key), how), operation_deadline);
  w.end(id);
  ordered_json line = w.got(id, "get", key, majority, begun);
  if (answer) {
    line["r"] = kad::to_string(answer->outcome());
    line["u"] = answer->unconfirmed();
    line["rec"] = pairs(answer->records());
    line["gone"] = pairs(answer->withdrawn());
    if ((!answer->found() && answer->withdrawn().empty()) || w.settings_.steps)
      line["x"] = answer->explain() + "\n" + answer->steps().to_text();
  } else {
    line["e"] = word_for(answer.error());
    line["x"] = answer.error().message();
  }
  w.out_.say(line);
}

coro::task<void> worker::get_providers(worker& w, std::string content) {
  std::uint64_t const id = w.begin("get providers of " + content);
  double const begun = now_ms();
  auto const hash = content_of(content);
  auto const answer = co_await coro::with_deadline(w.node_.get_providers(hash), operation_deadline);
  w.end(id);
  ordered_json line = w.got(id, "providers", content, true, begun);
  if (answer) {
    line["r"] = kad::to_string(answer->outcome());
    line["u"] = answer->unconfirmed();
    ordered_json all = ordered_json::array();
    for (kad::provider const& p : answer->providers()) all.push_back({short_name(p.peer), 0});
    line["rec"] = all;
    line["gone"] = pairs(answer->withdrawn());
    line["x"] = answer->explain();
    if (w.settings_.steps) line["x"] = answer->explain() + "\n" + answer->steps().to_text();
  } else {
    line["e"] = word_for(answer.error());
    line["x"] = answer.error().message();
  }
  w.out_.say(line);
}

// ---- watches --------------------------------------------------------------------------------------------------------

coro::task<void> worker::follow(worker& w, watched& of) {
  auto changes = w.node_.watch(as_bytes(of.key));
  if (!changes) {
    w.out_.say({{"o", "trouble"}, {"t", now_ms()}, {"x", "watch: " + changes.error().message()}});
    co_return;
  }
  for (;;) {
    auto const e = co_await changes->next();
    if (!e) co_return;
    of.caught_up = changes->caught_up();
    of.explained = changes->explain();
    kad::record const& r = e->found.value;
    std::string const publisher = short_name(r.publisher);
    bool const live = e->what == kad::watch_event::kind::add || e->what == kad::watch_event::kind::change;
    of.view[publisher] = {r.sequence, live};
    if (e->what == kad::watch_event::kind::expire)
      w.out_.say({{"o", "expired"}, {"t", now_ms()}, {"k", of.key}, {"p", publisher}, {"s", r.sequence}});
    else
      w.out_.say({{"o", "event"}, {"t", now_ms()}, {"k", of.key}, {"p", publisher}, {"s", r.sequence}, {"l", live}});
  }
}

/// Whatever a get with quorum sees, the watch must see within some seconds, or something newer.
coro::task<void> worker::check(worker& w, watched& of) {
  kad::get_options how;
  how.quorum = kad::quorum::majority();
  for (;;) {
    auto const slept = co_await coro::sleep_for(check_every);
    if (!slept) co_return;
    std::uint64_t const id = w.begin("check " + of.key);
    double const begun = now_ms();
    auto const answer = co_await coro::with_deadline(w.node_.get(as_bytes(of.key), how), operation_deadline);
    w.end(id);
    ordered_json line = w.got(id, "get", of.key, true, begun);
    if (!answer) {
      line["e"] = word_for(answer.error());
      line["x"] = answer.error().message();
      w.out_.say(line);
      continue;
    }
    line["r"] = kad::to_string(answer->outcome());
    line["u"] = answer->unconfirmed();
    line["rec"] = pairs(answer->records());
    line["gone"] = pairs(answer->withdrawn());
    line["x"] = answer->explain();
    w.out_.say(line);

    std::map<std::string, seen> wanted;
    for (kad::found_record const& r : answer->records())
      wanted[short_name(r.value.publisher)] = {r.value.sequence, true};
    // Of what is gone the watch need not tell whoever never knew that it was there.
    for (kad::found_record const& r : answer->withdrawn())
      if (of.view.contains(short_name(r.value.publisher)))
        wanted[short_name(r.value.publisher)] = {r.value.sequence, false};
    double const end = now_ms() + in_ms(watch_patience);
    while (!wanted.empty()) {
      std::erase_if(wanted, [&of](auto const& one) {
        auto const at = of.view.find(one.first);
        if (at == of.view.end()) return false;
        seen const& has = at->second;
        return has.sequence > one.second.sequence ||
               (has.sequence == one.second.sequence && has.live == one.second.live);
      });
      if (wanted.empty() || now_ms() > end) break;
      auto const waited = co_await coro::sleep_for(std::chrono::milliseconds(100));
      if (!waited) co_return;
    }
    for (auto const& [publisher, want] : wanted) {
      seen const has = of.view[publisher];
      w.out_.say({{"o", "behind"},
                  {"b", begun},
                  {"t", now_ms()},
                  {"k", of.key},
                  {"p", publisher},
                  {"want", want.sequence},
                  {"live", want.live},
                  {"has", has.sequence},
                  {"haslive", has.live},
                  {"x", (of.caught_up ? "caught up: " : "not caught up: ") + of.explained}});
    }
    w.out_.say({{"o", "watched"}, {"t", now_ms()}, {"n", wanted.size()}});
  }
}

// ---- its life -------------------------------------------------------------------------------------------------------

coro::task<void> worker::join(worker& w) {
  for (;;) {
    auto const joined = co_await w.node_.join();
    if (joined || w.settings_.processes == 1) break;
    auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(200));
    if (!slept) co_return;
  }
  w.out_.say_now({{"o", "joined"}, {"t", now_ms()}, {"servers", w.node_.servers()}});
  for (auto& [key, of] : w.watches_) {
    w.work_.spawn(follow(w, of));
    w.work_.spawn(check(w, of));
  }
  w.work_.spawn(load(w));
}

coro::task<void> worker::report(worker& w) {
  double next_report = now_ms();
  double next_counters = next_report;
  double last = next_report;
  double last_cpu = cpu_ms();
  for (;;) {
    double const now = now_ms();
    double const cpu = cpu_ms();
    if (now - last > in_ms(flush_every) + stall_ms)
      w.out_.say({{"o", "stall"}, {"b", last}, {"t", now}, {"cpu", cpu - last_cpu}});
    last = now;
    last_cpu = cpu;
    if (now >= next_report) {
      next_report = now + in_ms(report_every);
      std::string oldest;
      double age = 0;
      if (!w.open_.empty()) {
        oldest = w.open_.begin()->second.what;
        age = now - w.open_.begin()->second.begun_ms;
      }
      w.out_.say({{"o", "stat"},
                  {"t", now},
                  {"open", w.open_.size()},
                  {"oldest", oldest},
                  {"age", age},
                  {"skipped", w.skipped_},
                  {"heap", heap_kib()},
                  {"records", w.node_.store().size()},
                  {"remembered", w.node_.store().remembered()},
                  {"servers", w.node_.servers()}});
    }
    if (now >= next_counters) {
      next_counters = now + 60'000;
      give_back_pages();
      auto const kept = w.node_.persistence();
      w.out_.say({{"o", "counters"},
                  {"t", now},
                  {"x", w.node_.counters_text()},
                  {"disk", to_string(kept)},
                  {"commits", kept.commits},
                  {"longest_commit_ms", in_ms(kept.longest_commit)}});
    }
    w.out_.flush();
    auto const slept = co_await coro::sleep_for(flush_every);
    if (!slept) co_return;
  }
}

coro::task<int> worker::run() {
  coro::event stop;
  work_.spawn(await_stop(context_, stop));
  co_await coro::sleep_for(duration::zero());  // from now on a signal is heard
  auto const addresses = node_.addresses();
  auto const kept = node_.persistence();
  out_.say_now({{"o", "hello"},
                {"t", now_ms()},
                {"id", short_name(node_.id())},
                {"address", addresses.empty() ? std::string() : addresses.front().to_string()},
                {"disk", to_string(kept)},
                {"records", kept.loaded_live},
                {"contacts", kept.loaded_contacts}});
  work_.spawn(join(*this));
  work_.spawn(report(*this));
  co_await stop.wait();
  out_.say_now({{"o", "leaving"}, {"t", now_ms()}});
  work_.request_cancel();
  co_await work_.join();
  [[maybe_unused]] auto const closed = co_await node_.close(std::chrono::seconds(3));
  out_.say_now({{"o", "bye"}, {"t", now_ms()}, {"open", open_.size()}});
  co_return exit_good;
}

int run_worker(worker_settings const& settings) {
#if defined(KADORO_WITH_LMDB)
  auto const failed = [](error const& why) {
    std::fprintf(stderr, "kadoro-soak: %s\n", why.message().c_str());
    return exit_bad;
  };
  std::error_code problem;
  std::filesystem::create_directories(settings.folder, problem);
  io::asio::context context;
  io::posix::file_storage files(settings.folder);
  auto const self = crypto::identity::load_or_create(files, "identity", context.random());
  if (!self) return failed(self.error());
  auto const listen = io::endpoint::parse(settings.listen);
  if (!listen) return failed(listen.error());
  io::lmdb::database database(settings.folder + "/kadoro.lmdb");
  kad::node_options options;
  options.listen = *listen;
  options.replicas = settings.replicas;
  options.database = &database;
  options.database_trouble = kad::database_trouble::refuse;
  for (std::string const& text : settings.peers) {
    auto peer = kad::multiaddr::parse(text);
    if (!peer) return failed(peer.error());
    options.bootstrap.push_back(std::move(*peer));
  }
  auto const node = kad::node::open(context, *self, options);
  if (!node) return failed(node.error());
  worker all(context, **node, settings);
  return context.run(all.run());
#else
  std::fprintf(stderr, "kadoro-soak: worker %zu: built without LMDB (Debian: liblmdb-dev)\n", settings.index);
  return exit_bad;
#endif
}

}  // namespace kadoro_soak
