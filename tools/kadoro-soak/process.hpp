#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace kadoro_soak {

/// A process of this very program, and a pipe with what it says. It dies with its parent, and with this object.
class process {
 public:
  process() = default;
  /// Starts it; its errors are appended to the file `errors`. Throws `std::system_error`.
  process(std::vector<std::string> arguments, std::string const& errors);
  process(process&& other) noexcept;
  process& operator=(process&& other) noexcept;
  ~process();

  bool running() const noexcept { return pid_ > 0; }
  pid_t pid() const noexcept { return pid_; }
  /// The end of the pipe to read from; does not block. -1 once it was closed.
  int output() const noexcept { return output_; }
  /// What has come in since the last time; nothing more comes if it is `ended`.
  std::string read(bool& ended);
  void signal(int number) noexcept;
  /// How it ended: its exit code, or 128 + the signal; nothing while it runs.
  std::optional<int> poll() noexcept;
  void kill_and_wait() noexcept;

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

/// Of a process: resident memory, and what of it is no file's, in KiB.
struct memory_use {
  double resident_kib = 0;
  double anonymous_kib = 0;
};
std::optional<memory_use> memory_of(pid_t pid);

/// Seconds of CPU that a living process has used.
double cpu_seconds_of(pid_t pid);

}  // namespace kadoro_soak
