#include <doctest/doctest.h>

#if defined(KADORO_WITH_LMDB)

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <vector>

#include "io/scratch_file.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/io/lmdb/database.hpp"
#include "kadoro/io/posix/boot_clock.hpp"

using namespace kadoro;
using io::database_change;
using kind = io::database::batch;

namespace {

using entries = std::map<std::string, std::string>;

database_change put(std::string const& key, std::string const& value) {
  return {to_bytes(as_bytes(key)), to_bytes(as_bytes(value))};
}

result<entries> read(io::database& from) {
  entries out;
  auto const done = from.load([&out](bytes_view key, bytes_view value) -> result<void> {
    out[std::string(as_text(key))] = std::string(as_text(value));
    return {};
  });
  if (!done) return fail(done.error());
  return out;
}

std::string content_of(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void set_content(std::string const& path, std::string const& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

/// What this process has in memory of its mappings of a file.
long resident_kib_of(std::string const& path) {
  std::ifstream maps("/proc/self/smaps");
  long all = -1;
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    long kib = 0;
    if (line.find('-') < line.find(' '))
      here = line.ends_with(path);
    else if (here && std::sscanf(line.c_str(), "Rss: %ld", &kib) == 1)
      all = std::max(all, 0L) + kib;
  }
  return all;
}

/// A file with a few thousand entries, some of them larger than a page, and some pages free.
void fill(std::string const& path) {
  io::lmdb::database d(path);
  REQUIRE(read(d));
  for (int round = 0; round < 4; ++round) {
    std::vector<database_change> batch;
    for (int i = 0; i < 800; ++i) {
      std::string const key = "key " + std::to_string(i * 7919 % 1000);
      std::size_t const size = i % 50 == 0 ? 9000 : 60;
      batch.push_back(put(key, std::string(size, static_cast<char>('a' + round))));
    }
    REQUIRE(d.commit(batch, kind::changes));
  }
}

}  // namespace

TEST_CASE("lmdb: what is committed is there after a restart, in order") {
  scratch_file const file;
  {
    io::lmdb::database d(file.path());
    CHECK(d.commit({}, kind::changes).error() == errc::closed);
    REQUIRE(read(d));
    std::vector<database_change> batch{put("b", "2"), put("a", ""), put("c", std::string(100'000, 'x'))};
    CHECK(d.commit(batch, kind::changes));
    batch = {{to_bytes(as_bytes("b")), std::nullopt}, {to_bytes(as_bytes("never")), std::nullopt}};
    CHECK(d.commit(batch, kind::changes));
    struct stat about{};
    REQUIRE(::stat(file.path().c_str(), &about) == 0);
    CHECK((about.st_mode & 0777) == 0600);
  }
  io::lmdb::database d(file.path());
  auto const all = read(d);
  REQUIRE(all);
  CHECK(all->size() == 2);
  CHECK(all->at("a").empty());
  CHECK(all->at("c").size() == 100'000);
  CHECK(d.commit(std::vector<database_change>{put("z", "1")}, kind::whole));
  CHECK(read(d)->size() == 1);
  std::vector<database_change> const bad{put("y", "1"), put("", "1")};
  CHECK(d.commit(bad, kind::changes).error() == errc::invalid_argument);
  CHECK(read(d)->size() == 1);
}

TEST_CASE("lmdb: what a commit or a start looks at is not counted as memory afterwards") {
  scratch_file const file;
  fill(file.path());
  io::lmdb::database d(file.path());
  REQUIRE(read(d));
  CHECK(resident_kib_of(file.path()) == 0);
  REQUIRE(d.commit(std::vector<database_change>{put("key 1", "2")}, kind::changes));
  CHECK(resident_kib_of(file.path()) == 0);
  CHECK(read(d)->at("key 1") == "2");
}

TEST_CASE("lmdb: one at a time") {
  scratch_file const file;
  io::lmdb::database first(file.path());
  REQUIRE(read(first));
  io::lmdb::database second(file.path());
  auto const no = read(second);
  REQUIRE_FALSE(no);
  CHECK(no.error() == errc::in_use);
  CHECK(no.error().message().find(file.path()) != std::string::npos);
  first.close();
  CHECK(read(second));
}

TEST_CASE("lmdb: one that is killed while it starts keeps nobody out") {
  scratch_file const file;
  {
    std::vector<database_change> many;
    for (int i = 0; i < 20'000; ++i) many.push_back(put("key " + std::to_string(i), std::string(600, 'x')));
    io::lmdb::database d(file.path());
    REQUIRE(read(d));
    REQUIRE(d.commit(many, kind::whole));
  }
  for (int i = 0; i < 5; ++i) {
    ::pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      io::lmdb::database d(file.path());
      static_cast<void>(read(d));
      for (;;) ::pause();
    }
    std::string const children = "/proc/" + std::to_string(child) + "/task/" + std::to_string(child) + "/children";
    bool probes = false;
    for (int look = 0; look < 100'000 && !probes; ++look) probes = !content_of(children).empty();
    if (!probes) MESSAGE("skipped: this system does not tell whose children there are");
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    int const descriptor = ::open(file.path().c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(descriptor >= 0);
    REQUIRE(::flock(descriptor, LOCK_EX) == 0);  // what the child has started may yet have to run its first instruction
    ::close(descriptor);
    io::lmdb::database next(file.path());
    auto const there = read(next);
    REQUIRE_MESSAGE(there.has_value(), (there ? std::string() : there.error().message()));
    CHECK(there->size() == 20'000);
  }
}

TEST_CASE("lmdb: full is said, and nothing is lost") {
  scratch_file const file;
  io::lmdb::database_options small;
  small.max_bytes = 256 * 1024;
  io::lmdb::database d(file.path(), small);
  REQUIRE(read(d));
  REQUIRE(d.commit(std::vector<database_change>{put("kept", "yes")}, kind::changes));
  auto const full = d.commit(std::vector<database_change>{put("big", std::string(400'000, 'x'))}, kind::changes);
  REQUIRE_FALSE(full);
  CHECK(full.error() == errc::storage_full);
  CHECK(full.error().message().find("max_bytes") != std::string::npos);
  CHECK(d.commit(std::vector<database_change>{put("small", "fits")}, kind::changes));
  auto const all = read(d);
  REQUIRE(all);
  CHECK(all->size() == 2);
}

TEST_CASE("lmdb: no file, no database: clear errors") {
  scratch_file const file;
  io::lmdb::database nowhere(file.folder() + "/missing/data");
  CHECK(read(nowhere).error() == errc::io_failure);
  set_content(file.path(), std::string(20'000, 'x'));
  io::lmdb::database garbage(file.path());
  auto const no = read(garbage);
  REQUIRE_FALSE(no);
  CHECK(no.error() == errc::corrupt);
  CHECK(no.error().message().find("remove it") != std::string::npos);
  CHECK(content_of(file.path()) == std::string(20'000, 'x'));  // whatever it is, it was not touched
}

TEST_CASE("lmdb: a damaged file is an error or other content, never a crash") {
  scratch_file const file;
  fill(file.path());
  std::string const good = content_of(file.path());
  REQUIRE(good.size() > 100'000);
  chacha20_random random(7);
  std::size_t refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::string damaged = good;
    if (i % 4 == 0) {
      damaged.resize(4096 * (2 + random.below(good.size() / 4096 - 2)));
    } else if (i % 4 == 1) {
      std::size_t const page = 4096 * random.below(good.size() / 4096);
      for (std::size_t b = 0; b < 4096; ++b) damaged[page + b] = static_cast<char>(random.below(256));
    } else if (i % 4 == 2) {
      std::memset(damaged.data() + 4096 * random.below(good.size() / 4096), 0, 4096);
    } else {  // the heads of pages, where their structure is
      for (int n = 0; n < 20; ++n)
        damaged[4096 * random.below(good.size() / 4096) + random.below(64)] = static_cast<char>(random.below(256));
    }
    set_content(file.path(), damaged);
    io::lmdb::database d(file.path());
    auto const all = read(d);
    if (all) continue;
    ++refused;
    bool const clear = all.error() == errc::corrupt || all.error() == errc::wrong_version;
    CAPTURE(all.error().message());
    CHECK(clear);
  }
  CHECK(refused > 10);
}

TEST_CASE("lmdb: killed at any moment, it has all that was acknowledged and no half of a batch") {
  for (int round = 0; round < 5; ++round) {
    scratch_file const file;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    ::pid_t const child = ::fork();
    if (child == 0) {  // commits pairs for ever, and says so after each
      io::lmdb::database d(file.path());
      if (!read(d)) ::_exit(1);
      for (std::uint32_t n = 1;; ++n) {
        std::string const value(n % 7 == 0 ? 6000 : 40, static_cast<char>('a' + n % 26));
        std::vector<database_change> const pair{put("left " + std::to_string(n), value),
                                                put("right " + std::to_string(n), value),
                                                put("last", std::to_string(n))};
        if (!d.commit(pair, kind::changes)) ::_exit(2);
        if (::write(ends[1], &n, sizeof n) != sizeof n) ::_exit(3);
      }
    }
    REQUIRE(child > 0);
    ::close(ends[1]);
    std::uint32_t acknowledged = 0;
    std::uint32_t const enough = 20 + static_cast<std::uint32_t>(round) * 13;
    while (acknowledged < enough && ::read(ends[0], &acknowledged, sizeof acknowledged) > 0) {
    }
    ::kill(child, SIGKILL);
    while (::read(ends[0], &acknowledged, sizeof acknowledged) > 0) {  // what it said before it died
    }
    ::close(ends[0]);
    int how = 0;
    REQUIRE(::waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how));
    CHECK(acknowledged >= enough);

    io::lmdb::database d(file.path());
    auto const all = read(d);
    REQUIRE(all);
    auto const last = static_cast<std::uint32_t>(std::stoul(all->at("last")));
    CHECK(last >= acknowledged);
    CHECK(last <= acknowledged + 1);
    CHECK(all->size() == 2 * last + 1);
    for (std::uint32_t n = 1; n <= last; ++n) {
      auto const left = all->find("left " + std::to_string(n));
      auto const right = all->find("right " + std::to_string(n));
      REQUIRE((left != all->end() && right != all->end()));
      CHECK(left->second == right->second);
    }
  }
}

TEST_CASE("boot clock: this boot has a name, and its time goes on") {
  io::boot_instant const a = io::posix::boot_now();
  io::boot_instant const b = io::posix::boot_now();
#if defined(__linux__)
  CHECK(a.known());
  CHECK(b.same_boot(a.boot));
  CHECK(a.elapsed > duration::zero());
#endif
  CHECK(b.elapsed >= a.elapsed);
}

#else

TEST_CASE("lmdb: this build is without it" * doctest::skip()) {}

#endif
