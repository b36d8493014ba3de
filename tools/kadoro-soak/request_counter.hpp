#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "kadoro-sim/observed_transport.hpp"
#include "kadoro/kad/node_options.hpp"

namespace kadoro_soak {

/// Counts what a node asks, by type. Outlives the node.
class request_counter final : public kadoro_sim::idle_witness {
 public:
  /// The datagram transport, seen by this.
  kadoro::kad::transport_factory factory() {
    return
        [this](
            kadoro::io::context& context, kadoro::transport::peer_book& book, kadoro::crypto::identity const& self,
            kadoro::kad::node_options const& options) -> kadoro::result<std::unique_ptr<kadoro::transport::transport>> {
          auto opened = kadoro::kad::open_datagram(context, book, self, options);
          if (!opened) return kadoro::fail(opened.error());
          return std::unique_ptr<kadoro::transport::transport>(
              std::make_unique<kadoro_sim::observed_transport>(std::move(*opened), *this));
        };
  }

  using counts = std::map<kadoro_sim::message_type, std::uint64_t>;
  counts const& asked() const noexcept { return asked_; }

 private:
  std::uint64_t on_asked(kadoro_sim::peer_ref const&, kadoro_sim::message const& what) override {
    ++asked_[what.type];
    return 0;
  }

  counts asked_;
};

}  // namespace kadoro_soak
