#pragma once

#include <memory>
#include <string>

#include "event_log.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/database.hpp"
#include "kadoro/io/posix/file_storage.hpp"
#include "kadoro/kad/node.hpp"
#include "settings.hpp"

namespace shard_swarm {

/// A line on standard output, flushed: others read along.
void say(std::string const& line);
/// A line on standard error, behind the program's name. Gives `exit_failed`.
int complain(error const& why);

/// Sets `stop` when the user or the system wants this process to end. Start it before anything that must be undone.
coro::task<void> await_stop(io::context& context, coro::event& stop);

/// The backend that `--io` names, or the best that can be had.
result<std::unique_ptr<io::context>> open_context(member_settings const& settings);

/// What every member of the swarm has: an identity, files, and an open node that has said where it listens.
class member {
 public:
  /// Opens the files and the node. Errors name the file, the address or the port.
  static result<std::unique_ptr<member>> open(io::context& context, member_settings const& settings);

  /// Says where it listens: on standard output, in the events, in the address file.
  result<void> introduce(member_settings const& settings);

  /// Says goodbye to everybody, within a second.
  coro::task<void> leave();

  kad::node& node() noexcept { return *node_; }
  event_log& events() noexcept { return events_; }
  time_point started() const noexcept { return started_; }

 private:
  explicit member(time_point started) : started_(started) {}

  time_point started_;
  io::posix::file_storage files_;
  std::unique_ptr<io::database> database_;
  event_log events_;
  std::unique_ptr<kad::node> node_;
};

}  // namespace shard_swarm
