#pragma once

#include <memory>
#include <utility>

#include "kadoro/io/context.hpp"

namespace kadoro_soak {

/// A context over another one, for one node: it counts the node's datagrams, and can cut it off, so that what is still
/// said from then on is not heard, as if its process had been killed. The other one must outlive it.
class silenced_context final : public kadoro::io::context {
 public:
  explicit silenced_context(kadoro::io::context& below) noexcept : below_(below) {}

  void silence() noexcept { shared_->silent = true; }
  /// Of the port, also after it is closed.
  kadoro::io::udp_counters const& counted() const noexcept { return shared_->counted; }

  kadoro::time_point now() const noexcept override { return below_.now(); }
  void post(kadoro::coro::ready_node& node) noexcept override { below_.post(node); }
  void arm(kadoro::coro::timer_node& node, kadoro::time_point due) noexcept override { below_.arm(node, due); }
  void disarm(kadoro::coro::timer_node& node) noexcept override { below_.disarm(node); }
  kadoro::random_source& random() noexcept override { return below_.random(); }
  kadoro::result<std::unique_ptr<kadoro::io::udp_port>> open_udp(
      kadoro::io::endpoint const& local, kadoro::io::udp_sharing sharing = kadoro::io::udp_sharing::alone) override {
    auto opened = below_.open_udp(local, sharing);
    if (!opened) return kadoro::fail(opened.error());
    return std::unique_ptr<kadoro::io::udp_port>(std::make_unique<port>(std::move(*opened), shared_));
  }
  kadoro::result<std::unique_ptr<kadoro::io::tcp_connection>> connect_tcp(kadoro::io::endpoint const& remote) override {
    return below_.connect_tcp(remote);
  }
  kadoro::result<std::unique_ptr<kadoro::io::tcp_acceptor>> listen_tcp(kadoro::io::endpoint const& local,
                                                                       std::size_t backlog) override {
    return below_.listen_tcp(local, backlog);
  }
  kadoro::io::boot_instant boot_now() const override { return below_.boot_now(); }
  std::vector<kadoro::io::endpoint> local_addresses() const override { return below_.local_addresses(); }
  kadoro::coro::task<kadoro::result<int>> wait_signal(std::initializer_list<int> signals) override {
    return below_.wait_signal(signals);
  }
  std::string_view backend() const noexcept override { return below_.backend(); }
  void spawn(kadoro::coro::task<void> work) override { below_.spawn(std::move(work)); }
  std::shared_ptr<kadoro::io::inbox> inbox() override { return below_.inbox(); }

 protected:
  void run_until(bool const&) override {}  // the one below is run

 private:
  struct state {
    bool silent = false;
    kadoro::io::udp_counters counted;
  };

  class port final : public kadoro::io::udp_port {
   public:
    port(std::unique_ptr<kadoro::io::udp_port> below, std::shared_ptr<state> shared) noexcept
        : below_(std::move(below)), shared_(std::move(shared)) {}
    ~port() override { shared_->counted = below_->counters(); }

    void set_receiver(receiver* to) noexcept override { below_->set_receiver(to); }
    void send(kadoro::io::endpoint const& to, kadoro::bytes_view data) noexcept override {
      if (!shared_->silent) below_->send(to, data);
      shared_->counted = below_->counters();
    }
    kadoro::io::endpoint local() const noexcept override { return below_->local(); }
    kadoro::io::udp_counters const& counters() const noexcept override { return below_->counters(); }

   private:
    std::unique_ptr<kadoro::io::udp_port> below_;
    std::shared_ptr<state> shared_;
  };

  kadoro::io::context& below_;
  std::shared_ptr<state> shared_ = std::make_shared<state>();
};

}  // namespace kadoro_soak
