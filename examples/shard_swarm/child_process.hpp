#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace shard_swarm {

/// A process of this very program. It dies with its parent, and with this object.
class child_process {
 public:
  child_process() = default;
  /// Starts it; output and errors go to the file `output`. Throws `std::system_error`.
  child_process(std::vector<std::string> arguments, std::string const& output);
  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&& other) noexcept;
  ~child_process();

  bool running() const noexcept { return pid_ > 0; }
  pid_t pid() const noexcept { return pid_; }
  void signal(int number) noexcept;
  /// The exit code if it has ended by itself, 128 + the signal if by one; nothing while it runs.
  std::optional<int> poll() noexcept;
  void kill_and_wait() noexcept;

 private:
  pid_t pid_ = -1;
};

}  // namespace shard_swarm
