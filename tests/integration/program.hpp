#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

/// A folder of its own in /tmp, gone with the object.
class scratch_folder {
 public:
  scratch_folder();
  ~scratch_folder();
  scratch_folder(scratch_folder const&) = delete;
  scratch_folder& operator=(scratch_folder const&) = delete;
  std::string file(std::string const& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string read_file(std::string const& path);
void write_file(std::string const& path, std::string const& content);

/// One run of shard_swarm. It is killed with the object.
class program {
 public:
  /// `environment`: NAME=VALUE, added to this process's own.
  program(scratch_folder const& folder, std::vector<std::string> arguments, std::vector<std::string> environment = {});
  ~program();
  program(program const&) = delete;
  program& operator=(program const&) = delete;

  std::string out() const { return read_file(out_); }
  std::string err() const { return read_file(err_); }

  /// Waits until standard output has `text`, as long as the program runs and a generous limit has not passed.
  bool prints(std::string const& text);
  /// The first line of standard output; empty if none comes.
  std::string first_line();
  void signal(int number);
  /// Waits for the end. The exit code, 128 + the signal if it was killed, nothing if the limit has passed.
  std::optional<int> exit_code(std::chrono::seconds limit = std::chrono::seconds(30));

 private:
  bool running();
  void wait_for_news(std::chrono::steady_clock::time_point end);

  std::string out_;
  std::string err_;
  int pid_ = -1;
  int ended_ = -1;    ///< a pidfd
  int written_ = -1;  ///< an inotify descriptor
  std::optional<int> code_;
};

/// Counts lines; an unfinished last one counts too.
std::size_t lines(std::string const& text);
