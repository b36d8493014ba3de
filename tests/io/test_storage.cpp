#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "kadoro/io/posix/file_storage.hpp"
#include "kadoro/io/sim/storage.hpp"

using namespace kadoro;

namespace {

/// A directory that goes when the test ends.
class temporary_directory {
 public:
  temporary_directory() {
    char const* const base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/kadoro-test-XXXXXX";
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  temporary_directory(temporary_directory const&) = delete;
  temporary_directory& operator=(temporary_directory const&) = delete;
  ~temporary_directory() {
    for (std::string const& name : names()) {
      std::string const path = path_ + "/" + name;
      if (::unlink(path.c_str()) != 0) ::rmdir(path.c_str());
    }
    ::rmdir(path_.c_str());
  }

  std::string const& path() const { return path_; }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    DIR* const directory = ::opendir(path_.c_str());
    if (directory == nullptr) return found;
    while (dirent const* const entry = ::readdir(directory)) {
      std::string const name = entry->d_name;
      if (name != "." && name != "..") found.push_back(name);
    }
    ::closedir(directory);
    return found;
  }

 private:
  std::string path_;
};

bytes blob(std::string_view text) { return to_bytes(as_bytes(text)); }

/// What every storage does.
void check_contract(io::storage& store) {
  auto const nothing = store.read("identity");
  REQUIRE_FALSE(nothing.has_value());
  CHECK(nothing.error() == errc::not_found);
  CHECK(nothing.error().message().find("identity") != std::string::npos);

  auto const removed_nothing = store.remove("identity");
  CHECK(removed_nothing.has_value());

  for (std::string const& text : {std::string("first"), std::string("a longer second"), std::string()}) {
    auto const written = store.write("identity", as_bytes(text));
    REQUIRE(written.has_value());
    auto const back = store.read("identity");
    REQUIRE(back.has_value());
    CHECK(*back == blob(text));
  }
  auto const other = store.write("sequence", as_bytes("7"));
  REQUIRE(other.has_value());

  bytes const huge(io::storage::max_blob_bytes + 1, 1);
  auto const refused = store.write("sequence", huge);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::too_large);
  auto const untouched = store.read("sequence");
  REQUIRE(untouched.has_value());
  CHECK(*untouched == blob("7"));

  auto const removed = store.remove("identity");
  CHECK(removed.has_value());
  auto const gone = store.read("identity");
  REQUIRE_FALSE(gone.has_value());
  CHECK(gone.error() == errc::not_found);
  auto const stays = store.read("sequence");
  CHECK(stays.has_value());
}

}  // namespace

TEST_CASE("files and the simulated disk keep the same contract") {
  temporary_directory directory;
  io::posix::file_storage files(directory.path());
  check_contract(files);
  CHECK(directory.names() == std::vector<std::string>{"sequence"});
  io::sim::storage simulated;
  check_contract(simulated);
}

TEST_CASE("a file belongs to its owner, and replaces what a crash left behind") {
  temporary_directory directory;
  std::string const path = directory.path() + "/key";
  io::posix::file_storage by_directory(directory.path());
  io::posix::file_storage by_path;

  auto const leftover = by_path.write(path + ".tmp", as_bytes("half"));
  REQUIRE(leftover.has_value());
  REQUIRE(::chmod((path + ".tmp").c_str(), 0666) == 0);
  auto const written = by_directory.write("key", as_bytes("secret"));
  REQUIRE(written.has_value());
  struct stat about{};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  CHECK(directory.names() == std::vector<std::string>{"key"});

  auto const same = by_path.read(path);
  REQUIRE(same.has_value());
  CHECK(*same == blob("secret"));
}

TEST_CASE("a name cannot leave its directory") {
  temporary_directory directory;
  io::posix::file_storage files(directory.path());
  for (std::string const& name : {std::string(), std::string("."), std::string(".."), std::string("a/b"),
                                  std::string("/etc/passwd"), std::string("a\0b", 3)}) {
    auto const read = files.read(name);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error() == errc::invalid_argument);
    auto const written = files.write(name, {});
    CHECK_FALSE(written.has_value());
    auto const removed = files.remove(name);
    CHECK_FALSE(removed.has_value());
  }
}

TEST_CASE("file errors name the path and the cause") {
  temporary_directory directory;
  REQUIRE(::mkdir((directory.path() + "/sub").c_str(), 0700) == 0);
  io::posix::file_storage files(directory.path());
  auto const not_a_file = files.read("sub");
  REQUIRE_FALSE(not_a_file.has_value());
  CHECK(not_a_file.error() == errc::io_failure);
  auto const over_directory = files.write("sub", as_bytes("x"));
  REQUIRE_FALSE(over_directory.has_value());
  CHECK(over_directory.error() == errc::io_failure);
  CHECK(over_directory.error().message() == directory.path() + "/sub: cannot write: Is a directory");
  CHECK(directory.names() == std::vector<std::string>{"sub"});

  io::posix::file_storage nowhere(directory.path() + "/missing");
  auto const no_directory = nowhere.write("key", as_bytes("x"));
  REQUIRE_FALSE(no_directory.has_value());
  CHECK(no_directory.error() == errc::io_failure);
  CHECK(no_directory.error().message().find("/missing/key") != std::string::npos);
  CHECK(no_directory.error().message().find("No such file or directory") != std::string::npos);
}

TEST_CASE("a file that is too large is refused before it is read") {
  temporary_directory directory;
  io::posix::file_storage files(directory.path());
  auto const written = files.write("big", as_bytes("x"));
  REQUIRE(written.has_value());
  REQUIRE(::truncate((directory.path() + "/big").c_str(), static_cast<off_t>(io::storage::max_blob_bytes) + 1) == 0);
  auto const read = files.read("big");
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error() == errc::too_large);
}

TEST_CASE("the simulated disk fails when told to, and only then") {
  io::sim::storage disk;
  auto const before = disk.write("a", as_bytes("old"));
  REQUIRE(before.has_value());
  disk.fail_writes(2);
  auto const failed_write = disk.write("a", as_bytes("new"));
  REQUIRE_FALSE(failed_write.has_value());
  CHECK(failed_write.error() == errc::io_failure);
  auto const failed_remove = disk.remove("a");
  CHECK_FALSE(failed_remove.has_value());
  disk.fail_reads(1);
  auto const failed_read = disk.read("a");
  REQUIRE_FALSE(failed_read.has_value());
  CHECK(failed_read.error() == errc::io_failure);
  auto const old = disk.read("a");
  REQUIRE(old.has_value());
  CHECK(*old == blob("old"));
  auto const after = disk.write("a", as_bytes("new"));
  CHECK(after.has_value());
  CHECK(disk.writes() == 2);
  CHECK(disk.counters().failed_writes == 2);
  CHECK(disk.counters().failed_reads == 1);
}

TEST_CASE("a full simulated disk refuses and says why; what it holds stays") {
  io::sim::storage disk;
  disk.set_capacity(100);
  auto const fits = disk.write("a", bytes(60, 1));
  REQUIRE(fits.has_value());
  CHECK(disk.used_bytes() == 60);
  auto const replaced = disk.write("a", bytes(50, 2));  // the old one stays until the new one is complete
  REQUIRE_FALSE(replaced.has_value());
  CHECK(replaced.error() == errc::io_failure);
  CHECK(replaced.error().message() == "simulated disk: 'a': no space left: 50 bytes more than the 60 of 100 in use");
  auto const old = disk.read("a");
  REQUIRE(old.has_value());
  CHECK(*old == bytes(60, 1));
  auto const last = disk.write("b", bytes(40, 3));
  CHECK(last.has_value());
  auto const nothing = disk.write("c", {});
  CHECK(nothing.has_value());
  CHECK(disk.used_bytes() == 100);
  CHECK(disk.counters().refused_writes == 1);
  auto const removed = disk.remove("a");
  CHECK(removed.has_value());
  CHECK(disk.used_bytes() == 40);
  disk.set_capacity(10);  // less than it holds
  auto const refused = disk.write("d", {});
  CHECK_FALSE(refused.has_value());
  disk.set_capacity(io::sim::storage::unlimited);
  auto const again = disk.write("a", bytes(1000));
  CHECK(again.has_value());
}

TEST_CASE("a simulated disk that lies forgets its latest writes when power is cut") {
  io::sim::storage disk;
  auto const write = [&](char const* name, char const* text) {
    auto const written = disk.write(name, as_bytes(text));
    CHECK(written.has_value());
  };
  auto const content = [&](char const* name) {
    auto const read = disk.read(name);
    return read ? std::string(as_text(*read)) : std::string("nothing");
  };
  write("a", "a1");
  disk.power_cut();  // an honest disk
  CHECK(content("a") == "a1");

  disk.lose_on_power_cut(3);
  write("a", "a2");
  write("b", "b1");
  write("a", "a3");
  auto const removed = disk.remove("b");
  CHECK(removed.has_value());
  auto const nothing_there = disk.remove("z");  // changes nothing, so there is nothing to lose
  CHECK(nothing_there.has_value());
  CHECK(content("a") == "a3");
  CHECK(content("b") == "nothing");
  disk.power_cut();
  CHECK(content("a") == "a2");
  CHECK(content("b") == "nothing");  // both the write and the removal of b are undone
  CHECK(disk.counters().lost_writes == 3);
  CHECK(disk.used_bytes() == 2);
  disk.power_cut();
  CHECK(disk.counters().lost_writes == 3);

  write("a", "a4");
  disk.lose_on_power_cut(0);
  disk.power_cut();
  CHECK(content("a") == "a4");
}
