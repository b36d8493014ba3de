// A network at a distance, for kernels without netem: one TUN device a host, and a router between them, in user space,
// that holds every packet back for half a round trip. The runner moves the devices into network namespaces. Needs root.
//
//     bench_delay_router hosts=9 rtt_ms=76     then, by lines: set rtt_ms= jitter_ms= loss_percent= slow= slow_ms=

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <queue>
#include <random>
#include <stdexcept>
#include <tuple>

#include "common/command.hpp"
#include "common/samples.hpp"

namespace {

using bench::clock;
using bench::command;
using bench::json;

constexpr std::size_t max_packet_bytes = 65536;
constexpr std::size_t max_held = 1'000'000;  ///< packets on their way; what comes beyond that is lost, and counted
constexpr std::size_t ipv4_header_bytes = 20;
constexpr std::size_t ipv4_destination = 16;

struct conditions {
  double rtt_ms = 76;
  double jitter_ms = 0;     ///< up to so much more each way
  double loss_percent = 0;  ///< of packets, each way
  std::size_t slow = ~std::size_t{0};
  double slow_ms = 0;  ///< what the host `slow` takes longer, each way

  void change(command const& line) {
    rtt_ms = std::stod(line.text("rtt_ms", std::to_string(rtt_ms)));
    jitter_ms = std::stod(line.text("jitter_ms", std::to_string(jitter_ms)));
    loss_percent = std::stod(line.text("loss_percent", std::to_string(loss_percent)));
    slow = line.number("slow", slow);
    slow_ms = std::stod(line.text("slow_ms", std::to_string(slow_ms)));
  }
};

class router {
 public:
  explicit router(std::size_t hosts) {
    for (std::size_t i = 0; i < hosts; ++i) {
      std::string const name = "kb" + std::to_string(i);
      int const fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
      ifreq request{};
      request.ifr_flags = IFF_TUN | IFF_NO_PI;
      std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
      if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        throw std::runtime_error("no device " + name + ": " + std::strerror(errno));
      devices_.push_back({fd, POLLIN, 0});
      names_.push_back(name);
    }
    devices_.push_back({STDIN_FILENO, POLLIN, 0});
  }

  std::vector<std::string> const& names() const noexcept { return names_; }
  conditions& rules() noexcept { return rules_; }

  /// Until standard input ends.
  void run() {
    for (;;) {
      deliver();
      timespec const wait = until_next();
      if (ppoll(devices_.data(), devices_.size(), &wait, nullptr) <= 0) continue;
      for (std::size_t i = 0; i < names_.size(); ++i)
        if ((devices_[i].revents & POLLIN) != 0) take_from(i);
      if (devices_.back().revents != 0 && !obey()) return;
    }
  }

 private:
  struct held {
    clock::time_point due;
    std::uint64_t order;  // packets that are due together leave as they came
    std::size_t to;
    std::vector<char> bytes;
    bool operator<(held const& other) const { return std::tie(due, order) > std::tie(other.due, other.order); }
  };

  void deliver() {
    while (!held_.empty() && held_.top().due <= clock::now()) {
      held const& next = held_.top();
      if (write(devices_[next.to].fd, next.bytes.data(), next.bytes.size()) < 0)
        ++refused_;
      else
        ++moved_;
      held_.pop();
    }
  }

  timespec until_next() const {
    static constexpr long rest_ns = 50'000'000;
    if (held_.empty()) return {0, rest_ns};
    auto const wait = std::chrono::duration_cast<std::chrono::nanoseconds>(held_.top().due - clock::now()).count();
    return {0, std::clamp<long>(wait, 0, rest_ns)};
  }

  void take_from(std::size_t host) {
    static constexpr int at_once = 64;
    for (int i = 0; i < at_once; ++i) {
      ssize_t const got = read(devices_[host].fd, buffer_.data(), buffer_.size());
      if (got <= 0) return;
      pass_on(host, static_cast<std::size_t>(got));
    }
  }

  /// Hosts are 10.99.0.1 and on, in the order of devices. What is not for one of them is nobody's.
  void pass_on(std::size_t from, std::size_t size_bytes) {
    if (size_bytes < ipv4_header_bytes || (buffer_[0] >> 4) != 4) return;
    std::uint32_t destination = 0;
    std::memcpy(&destination, buffer_.data() + ipv4_destination, sizeof destination);
    std::size_t const to = ntohl(destination) - first_host;
    if (to >= names_.size()) return;
    if (chance_(random_) * 100 < rules_.loss_percent || held_.size() >= max_held) {
      ++lost_;
      return;
    }
    double ms = rules_.rtt_ms / 2 + rules_.jitter_ms * chance_(random_);
    if (from == rules_.slow || to == rules_.slow) ms += rules_.slow_ms;
    auto const delay = std::chrono::duration_cast<clock::duration>(std::chrono::duration<double, std::milli>(ms));
    held_.push({clock::now() + delay, order_++, to, std::vector<char>(buffer_.data(), buffer_.data() + size_bytes)});
  }

  bool obey() {
    std::string line;
    if (!std::getline(std::cin, line) || line == "quit") return false;
    rules_.change(command(line));
    bench::say({{"moved", moved_}, {"lost", lost_}, {"refused", refused_}});
    return true;
  }

  static constexpr std::uint32_t first_host = (10U << 24) + (99U << 16) + 1;

  std::vector<pollfd> devices_;
  std::vector<std::string> names_;
  conditions rules_;
  std::priority_queue<held> held_;
  std::vector<char> buffer_ = std::vector<char>(max_packet_bytes);
  std::mt19937_64 random_{1};
  std::uniform_real_distribution<double> chance_{0, 1};
  std::uint64_t order_ = 0;
  std::uint64_t moved_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t refused_ = 0;  // by the kernel: its queue was full
};

}  // namespace

int main(int argc, char** argv) {
  command const settings(argc, argv);
  prctl(PR_SET_TIMERSLACK, 1);  // nanosecond: be on time
  try {
    router self(settings.number("hosts", 9));
    self.rules().change(settings);
    bench::say({{"devices", self.names()}});
    self.run();
  } catch (std::exception const& e) {
    std::cerr << "bench_delay_router: " << e.what() << '\n';
    return 1;
  }
}
