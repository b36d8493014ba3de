#include "member.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/directory/status.hpp"
#include "kadoro/io/system/open.hpp"
#if defined(KADORO_WITH_LMDB)
#include "kadoro/io/lmdb/database.hpp"
#endif

namespace shard_swarm {

namespace {

constexpr std::size_t min_swarm_key_bytes = 16;

/// SHA-256 of the file, without the newline at its end.
result<byte_array<32>> read_swarm_key(io::storage& files, std::string const& path) {
  auto const content = files.read(path);
  if (!content) return fail(content.error());
  std::string_view text = as_text(*content);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.size() < min_swarm_key_bytes)
    return fail(errc::invalid_argument, path + ": a swarm key needs at least " + std::to_string(min_swarm_key_bytes) +
                                            " bytes, it has " + std::to_string(text.size()));
  return crypto::sha256(as_bytes(text));
}

result<crypto::identity> read_identity(io::storage& files, std::string const& path, random_source& random) {
  if (path.empty()) return crypto::identity::generate(random);
  return crypto::identity::load_or_create(files, path, random);
}

/// The folder is made if it is not there.
result<std::unique_ptr<io::database>> find_database(std::string const& folder) {
#if defined(KADORO_WITH_LMDB)
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) return fail(errc::io_failure, folder + ": cannot be made: " + problem.message());
  return std::make_unique<io::lmdb::database>(folder + "/kadoro.lmdb");
#else
  return fail(errc::invalid_argument,
              "--data " + folder + ": this program was built without LMDB (Debian: liblmdb-dev)");
#endif
}

/// At once whole or not there: a reader never sees half of it.
result<void> write_address(std::string const& path, std::string const& address) {
  std::string const fresh = path + ".tmp" + std::to_string(::getpid());
  {
    std::ofstream out(fresh);
    out << address << '\n';
    out.flush();
    if (!out) return fail(errc::io_failure, path + ": cannot be written");
  }
  if (std::rename(fresh.c_str(), path.c_str()) == 0) return {};
  std::remove(fresh.c_str());
  return fail(errc::io_failure, path + ": cannot be replaced");
}

}  // namespace

void say(std::string const& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  if (line.empty() || line.back() != '\n') std::fputc('\n', stdout);
  std::fflush(stdout);
}

int complain(error const& why) {
  std::fprintf(stderr, "shard_swarm: %s\n", why.message().c_str());
  return exit_failed;
}

coro::task<void> await_stop(io::context& context, coro::event& stop) {
  auto waiting = context.wait_signal({SIGINT, SIGTERM});
  auto const signal = co_await std::move(waiting);
  if (!signal && signal.error() != errc::cancelled) complain(signal.error());
  stop.set();
}

result<std::unique_ptr<io::context>> open_context(member_settings const& settings) {
  io::open_options options;
  if (!settings.io.empty()) options.backend = io::parse_backend_choice(settings.io);
  return io::open(options);
}

result<std::unique_ptr<member>> member::open(io::context& context, member_settings const& settings) {
  std::unique_ptr<member> made(new member(context.now()));
  auto const logged = made->events_.open(settings.events);
  if (!logged) return fail(logged.error());
  kad::node_options options;
  std::string identity_file = settings.identity;
  if (!settings.data.empty()) {
    auto database = find_database(settings.data);
    if (!database) return fail(database.error());
    made->database_ = std::move(*database);
    options.database = made->database_.get();
    if (settings.data_required) options.database_trouble = kad::database_trouble::refuse;
    if (identity_file.empty()) identity_file = settings.data + "/identity";
  }
  auto const self = read_identity(made->files_, identity_file, context.random());
  if (!self) return fail(self.error());

  if (settings.listen.size() > 2)
    return fail(errc::invalid_argument,
                "--listen " + settings.listen.back() + ": one of IPv4 and one of IPv6, no more");
  for (std::string const& text : settings.listen) {
    auto const listen = io::endpoint::parse(text);
    if (!listen) return fail(listen.error());
    if (text == settings.listen.front())
      options.listen = *listen;
    else
      options.also_listen = *listen;
  }
  options.mode = settings.mode == "client" ? kad::peer_mode::client : kad::peer_mode::server;
  options.replicas = settings.replicas;
  for (std::string const& text : settings.bootstrap) {
    auto seed = kad::multiaddr::parse(text);
    if (!seed) return fail(seed.error());
    options.bootstrap.push_back(std::move(*seed));
  }
  if (!settings.swarm_key.empty()) {
    auto const key = read_swarm_key(made->files_, settings.swarm_key);
    if (!key) return fail(key.error());
    options.swarm_key = *key;
  }
  if (!settings.identity.empty()) {  // a database takes over what this says
    options.storage = &made->files_;
    options.sequence_blob = settings.identity + ".sequence";
  }
  auto opened = kad::node::open(context, *self, options);
  if (!opened) return fail(opened.error());
  made->node_ = std::move(*opened);

  return made;
}

result<void> member::introduce(member_settings const& settings) {
  auto const addresses = node_->addresses();
  if (addresses.empty())
    return fail(errc::unreachable, settings.listen.front() + ": this machine has no address of that family");
  std::string const address = addresses.front().to_string();
  std::string_view const mode = directory::to_string(node_->mode());
  std::string_view const backend = node_->context().backend();
  say(address);
  std::string const details = node_->context().backend_details();
  say("mode: " + std::string(mode) + ", backend: " + std::string(backend) +
      ", replicas: " + std::to_string(node_->replicas()));
  say("io: " + details);
  auto const kept = node_->persistence();
  if (kept.now != kad::persistence_status::state::none)
    say("data: " + to_string(kept) + ", " + std::to_string(kept.loaded_live) + " records, " +
        std::to_string(kept.loaded_sleeping) + " asleep, " + std::to_string(kept.loaded_contacts) + " contacts");
  events_.write("listening", {{"address", address},
                              {"peer_id", node_->id().to_string()},
                              {"mode", mode},
                              {"backend", backend},
                              {"io_backend", details}});
  if (settings.addr_file.empty()) return {};
  return write_address(settings.addr_file, address);
}

coro::task<void> member::leave() {
  auto const left = co_await coro::with_deadline(node_->close(), std::chrono::seconds(1));
  if (!left) say("not everybody could be told that this node leaves");
}

}  // namespace shard_swarm
