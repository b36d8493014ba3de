#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

extern char** environ;

namespace {

constexpr std::chrono::seconds patience(30);

}  // namespace

scratch_folder::scratch_folder() {
  char name[] = "/tmp/kadoro_test.XXXXXX";
  if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string read_file(std::string const& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_file(std::string const& path, std::string const& content) { std::ofstream(path) << content; }

program::program(scratch_folder const& folder, std::vector<std::string> arguments,
                 std::vector<std::string> environment) {
  static int count = 0;
  std::string const number = std::to_string(count++);
  out_ = folder.file("out" + number);
  err_ = folder.file("err" + number);
  std::string name = "shard_swarm";
  std::vector<char*> argv = {name.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<char*> env;
  for (std::string& variable : environment) env.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) env.push_back(*variable);
  env.push_back(nullptr);

  write_file(out_, "");
  written_ = ::inotify_init1(IN_CLOEXEC);
  ::inotify_add_watch(written_, out_.c_str(), IN_MODIFY);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  int const problem = ::posix_spawn(&pid_, KADORO_SHARD_SWARM, &files, nullptr, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&files);
  if (problem != 0) throw std::runtime_error("cannot start " KADORO_SHARD_SWARM);
  ended_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
}

program::~program() {
  if (running()) {
    signal(SIGKILL);
    exit_code();
  }
  ::close(ended_);
  ::close(written_);
}

void program::signal(int number) {
  if (running()) ::kill(pid_, number);
}

bool program::running() {
  if (code_) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return true;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

std::optional<int> program::exit_code(std::chrono::seconds limit) {
  auto const end = std::chrono::steady_clock::now() + limit;
  while (running() && std::chrono::steady_clock::now() < end) wait_for_news(end);
  return code_;
}

bool program::prints(std::string const& text) {
  auto const end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    bool const more = running();
    if (out().find(text) != std::string::npos) return true;
    if (!more || std::chrono::steady_clock::now() > end) return false;
    wait_for_news(end);
  }
}

/// Until the program has ended, or has written something since the last time.
void program::wait_for_news(std::chrono::steady_clock::time_point end) {
  auto const left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  pollfd watched[] = {{ended_, POLLIN, 0}, {written_, POLLIN, 0}};
  if (left.count() > 0) ::poll(watched, 2, static_cast<int>(left.count()));
  char notes[4096];
  [[maybe_unused]] ssize_t read = 0;
  if ((watched[1].revents & POLLIN) != 0) read = ::read(written_, notes, sizeof notes);
}

std::string program::first_line() {
  if (!prints("\n")) return {};
  std::string const all = out();
  return all.substr(0, all.find('\n'));
}

std::size_t lines(std::string const& text) {
  std::size_t n = 0;
  for (char c : text) n += c == '\n' ? 1u : 0u;
  return n + (!text.empty() && text.back() != '\n' ? 1u : 0u);
}
