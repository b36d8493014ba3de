#include "process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace kadoro_soak {

namespace {

constexpr int pipe_bytes = 1 << 20;  // so that the parent may be late without holding anybody up

}  // namespace

process::process(std::vector<std::string> arguments, std::string const& errors) {
  std::string name = "kadoro-soak";
  std::vector<char*> argv = {name.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int const problems = ::open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (problems < 0) throw std::system_error(errno, std::generic_category(), errors);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  ::fcntl(ends[0], F_SETPIPE_SZ, pipe_bytes);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  pid_t const parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    // Only async-signal-safe calls from here on. A group of its own: Ctrl-C is for the parent to handle.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::setpgid(0, 0);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(problems, STDERR_FILENO);
    ::execv("/proc/self/exe", argv.data());
    ::_exit(127);
  }
  int const cause = errno;
  ::close(problems);
  ::close(ends[1]);
  output_ = ends[0];
  if (pid_ < 0) throw std::system_error(cause, std::generic_category(), "fork");
}

process::process(process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), output_(std::exchange(other.output_, -1)) {}

process& process::operator=(process&& other) noexcept {
  kill_and_wait();
  if (output_ >= 0) ::close(output_);
  pid_ = std::exchange(other.pid_, -1);
  output_ = std::exchange(other.output_, -1);
  return *this;
}

process::~process() {
  kill_and_wait();
  if (output_ >= 0) ::close(output_);
}

std::string process::read(bool& ended) {
  std::string all;
  char block[65536];
  for (;;) {
    ssize_t const n = output_ < 0 ? 0 : ::read(output_, block, sizeof block);
    if (n > 0) all.append(block, static_cast<std::size_t>(n));
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) continue;
    ended = n == 0;
    break;
  }
  if (ended && output_ >= 0) {
    ::close(output_);
    output_ = -1;
  }
  return all;
}

void process::signal(int number) noexcept {
  if (pid_ > 0) ::kill(pid_, number);
}

std::optional<int> process::poll() noexcept {
  int status = 0;
  if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return {};
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process::kill_and_wait() noexcept {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

std::optional<memory_use> memory_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  double total = 0;
  double resident = 0;
  double shared = 0;
  if (!(file >> total >> resident >> shared)) return {};
  double const page_kib = static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
  return memory_use{resident * page_kib, (resident - shared) * page_kib};
}

double cpu_seconds_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  std::size_t const behind_name = line.rfind(')');
  if (behind_name == std::string::npos) return 0;
  std::istringstream rest(line.substr(behind_name + 1));
  std::string word;
  double ticks = 0;
  for (int field = 3; field <= 15 && rest >> word; ++field)
    if (field >= 14) ticks += std::stod(word);  // utime, stime
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace kadoro_soak
