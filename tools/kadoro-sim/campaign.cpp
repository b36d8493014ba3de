#include "campaign.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace kadoro_sim {

namespace {

using real_clock = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

/// Lines of text between two processes.
class channel {
 public:
  explicit channel(int socket) noexcept : socket_(socket) {}
  ~channel() { ::close(socket_); }
  channel(channel const&) = delete;
  channel& operator=(channel const&) = delete;

  int socket() const noexcept { return socket_; }

  /// False if nobody is there any more.
  bool send(std::string line) {
    line += '\n';
    std::string_view rest = line;
    while (!rest.empty()) {
      ssize_t const sent = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Waits for some bytes. False if there will be no more.
  bool receive() {
    char some[4096];
    ssize_t got = 0;
    do {
      got = ::recv(socket_, some, sizeof some, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    received_.append(some, static_cast<std::size_t>(got));
    return true;
  }

  std::optional<std::string> take_line() {
    std::size_t const end = received_.find('\n');
    if (end == std::string::npos) return std::nullopt;
    std::string line = received_.substr(0, end);
    received_.erase(0, end + 1);
    return line;
  }

 private:
  int socket_;
  std::string received_;
};

outcome run_seed(campaign_settings const& settings, std::uint64_t seed) {
  try {
    return outcome_of(settings.simulate(draw_plan(seed, settings.limits)));
  } catch (std::exception const& e) {
    return unfinished(seed, "exception", e.what());
  }
}

/// What a worker does until its parent says no more. Nothing it throws may reach the code of the parent.
void work(channel& parent, campaign_settings const& settings) noexcept {
  while (true) {
    auto line = parent.take_line();
    while (!line) {
      if (!parent.receive()) return;
      line = parent.take_line();
    }
    std::uint64_t seed = 0;
    std::from_chars(line->data(), line->data() + line->size(), seed);
    if (!parent.send(to_line(run_seed(settings, seed)))) return;
  }
}

/// How a process ended, if it was not well.
std::optional<std::string> complaint(int status) {
  if (WIFSIGNALED(status))
    return "signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) + ")";
  if (WEXITSTATUS(status) != 0) return "exit code " + std::to_string(WEXITSTATUS(status));
  return std::nullopt;
}

/// The parent's side of a worker process.
class worker {
 public:
  worker(int socket, pid_t process) noexcept : line_(socket), process_(process) {}
  ~worker() {
    if (process_ > 0) kill();
  }
  worker(worker const&) = delete;
  worker& operator=(worker const&) = delete;

  channel& line() noexcept { return line_; }
  std::optional<std::size_t> job() const noexcept { return job_; }
  real_clock::time_point since() const noexcept { return since_; }

  bool begin(std::size_t job, std::uint64_t seed) {
    job_ = job;
    since_ = real_clock::now();
    return line_.send(std::to_string(seed));
  }
  void end_job() noexcept { job_.reset(); }

  /// Waits for its end; what was wrong with it.
  std::optional<std::string> reap() noexcept {
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = 0;
    return complaint(status);
  }
  /// There is nothing more to do.
  std::optional<std::string> dismiss() noexcept {
    ::shutdown(line_.socket(), SHUT_RDWR);
    return reap();
  }
  void kill() noexcept {
    ::kill(process_, SIGKILL);
    reap();
  }

 private:
  channel line_;
  pid_t process_;
  std::optional<std::size_t> job_;
  real_clock::time_point since_{};
};

/// A bar on a terminal, else a line now and then.
class progress {
 public:
  progress(std::size_t all, bool on) : all_(all), on_(on), bar_(on && ::isatty(STDERR_FILENO) == 1) {}
  ~progress() { clear(); }
  progress(progress const&) = delete;
  progress& operator=(progress const&) = delete;

  void ended(outcome const& what) {
    ++done_;
    events_ += what.ran.events;
    if (!what.failed) return;
    ++failed_;
    if (!on_) return;
    clear();
    std::fprintf(stderr, "seed %llu: %s: %s\n", static_cast<unsigned long long>(what.ran.seed),
                 what.failed->invariant.c_str(), what.failed->detail.c_str());
  }

  void show() {
    static constexpr seconds bar_every{0.2};
    static constexpr seconds line_every{10};
    auto const now = real_clock::now();
    if (!on_ || now - shown_ < (bar_ ? bar_every : line_every)) return;
    shown_ = now;
    double const spent = seconds(now - began_).count();
    double const part = all_ == 0 ? 1 : static_cast<double>(done_) / static_cast<double>(all_);
    std::string text = std::to_string(done_) + " of " + std::to_string(all_) + " seeds, " + std::to_string(failed_) +
                       " failing, " + fixed(spent > 0 ? static_cast<double>(events_) / spent : 0, 0) + " events/s";
    if (done_ > 0) text += ", " + fixed(spent / part - spent, 0) + " s left";
    if (bar_) {
      static constexpr std::size_t width = 30;
      auto const full = static_cast<std::size_t>(part * static_cast<double>(width));
      std::fprintf(stderr, "\r[%s%s] %s\x1b[K", std::string(full, '#').c_str(), std::string(width - full, '.').c_str(),
                   text.c_str());
    } else {
      std::fprintf(stderr, "%s\n", text.c_str());
    }
  }

 private:
  void clear() const noexcept {
    if (bar_) std::fputs("\r\x1b[K", stderr);
  }

  std::size_t all_;
  bool on_;
  bool bar_;
  std::size_t done_ = 0;
  std::size_t failed_ = 0;
  std::uint64_t events_ = 0;
  real_clock::time_point began_ = real_clock::now();
  real_clock::time_point shown_ = began_;
};

/// Hands the seeds out, and takes care of those who run them.
class pool {
 public:
  explicit pool(campaign_settings const& settings)
      : settings_(settings), outcomes_(settings.seeds.size()), progress_(settings.seeds.size(), settings.progress) {}

  report go() {
    auto const began = real_clock::now();
    hand_out();
    while (!workers_.empty() && !out_of_time(began)) {
      listen();
      end_hanging();
      hand_out();
      progress_.show();
    }
    workers_.clear();  // the time is up for those who are still at work
    report sum = merge(outcomes_);
    sum.failing.insert(sum.failing.end(), of_nobody_.begin(), of_nobody_.end());
    sum.seconds = seconds(real_clock::now() - began).count();
    return sum;
  }

 private:
  bool out_of_time(real_clock::time_point began) const noexcept {
    return settings_.time_limit > seconds::zero() && real_clock::now() - began >= settings_.time_limit;
  }

  bool more() const noexcept { return next_ < outcomes_.size() && !(settings_.stop_at_first && failed_); }

  /// Every worker has a seed, and there are as many workers as there may be; those without one may go.
  void hand_out() {
    for (auto& w : workers_)
      if (!w->job() && more()) begin(*w);
    while (workers_.size() < settings_.jobs && more()) {
      workers_.push_back(hire());
      begin(*workers_.back());
    }
    if (more()) return;
    std::erase_if(workers_, [this](auto const& w) {
      if (w->job()) return false;
      if (auto const wrong = w->dismiss()) of_nobody_.push_back({std::nullopt, "crash", "a worker: " + *wrong, 0});
      return true;
    });
  }

  void begin(worker& w) {
    std::size_t const job = next_++;
    w.begin(job, settings_.seeds[job]);  // if nobody is there to hear it, `listen` will learn that
  }

  std::unique_ptr<worker> hire() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    std::fflush(nullptr);  // or the worker would write it a second time
    pid_t const process = ::fork();
    if (process < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (process > 0) {
      ::close(ends[1]);
      return std::make_unique<worker>(ends[0], process);
    }
    // In the worker. What belongs to the parent is closed, so that an end is an end for everybody.
    ::close(ends[0]);
    for (auto const& other : workers_) ::close(other->line().socket());
    {
      channel parent(ends[1]);
      work(parent, settings_);
    }
    std::exit(0);  // as a program ends, so that leaks are found, and coverage is written
  }

  void listen() {
    static constexpr int patience_ms = 100;
    std::vector<pollfd> all;
    for (auto const& w : workers_) all.push_back({w->line().socket(), POLLIN, 0});
    ::poll(all.data(), all.size(), patience_ms);
    for (std::size_t i = all.size(); i-- > 0;)
      if (all[i].revents != 0) hear(i);
  }

  void hear(std::size_t index) {
    worker& w = *workers_[index];
    if (!w.line().receive()) {
      auto const wrong = w.reap();
      fire(index, "crash", wrong.value_or("it ended without a word"));
      return;
    }
    auto const line = w.line().take_line();
    if (!line || !w.job()) return;
    auto heard = parse_outcome(*line);
    if (!heard) {
      fire(index, "crash", heard.error().message());
      return;
    }
    note(*w.job(), std::move(*heard));
    w.end_job();
  }

  void end_hanging() {
    for (std::size_t i = workers_.size(); i-- > 0;) {
      if (!workers_[i]->job() || real_clock::now() - workers_[i]->since() < settings_.hang_limit) continue;
      fire(i, "hang", "not at its end after " + fixed(settings_.hang_limit.count(), 0) + " s");
    }
  }

  /// The seed that it had has failed, and the worker is replaced.
  void fire(std::size_t index, char const* how, std::string detail) {
    if (auto const job = workers_[index]->job())
      note(*job, unfinished(settings_.seeds[*job], how, std::move(detail)));
    else
      of_nobody_.push_back({std::nullopt, how, "a worker: " + detail, 0});
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  void note(std::size_t job, outcome what) {
    progress_.ended(what);
    failed_ = failed_ || what.failed;
    outcomes_[job] = std::move(what);
  }

  campaign_settings const& settings_;
  std::vector<std::optional<outcome>> outcomes_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<finding> of_nobody_;  // ends of workers that had no seed
  std::size_t next_ = 0;
  bool failed_ = false;  // some seed
  progress progress_;
};

}  // namespace

report run_campaign(campaign_settings const& settings) { return pool(settings).go(); }

}  // namespace kadoro_sim
