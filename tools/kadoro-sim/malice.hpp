#pragma once

#include <functional>
#include <map>
#include <vector>

#include "kadoro/io/sim/world.hpp"

namespace kadoro_sim {

/// Who lives at an address. Those who do not keep to the protocol have ranges of their own.
enum class realm : std::uint8_t {
  members,    ///< and the NATs in front of them
  sybils,     ///< have the swarm key; their range is a public one
  flooder,    ///< has the swarm key too
  strangers,  ///< have none: no byte may come here
  replayer,   ///< sends what it has recorded, from one port each
  victims,    ///< say nothing: whatever comes from here is forged
  nobody      ///< where made-up contacts are said to live
};

realm realm_of(kadoro::io::endpoint const& where) noexcept;
/// The `host`th address of a realm that is not the members'.
kadoro::io::endpoint address_in(realm in, std::uint8_t host, std::uint16_t port) noexcept;

/// Does things at exact instants of the world, outside the code of any host. The run's own agenda is looked at ten
/// times a second only, which is too late to overtake a datagram.
class errands final {
 public:
  explicit errands(kadoro::io::sim::world& in) noexcept : world_(in) {}
  errands(errands const&) = delete;
  errands& operator=(errands const&) = delete;

  void after(kadoro::duration delay, std::function<void()> what);
  /// Forgets everything, and takes nothing more.
  void stop() noexcept;

 private:
  class alarm final : public kadoro::coro::timer_node {
   public:
    explicit alarm(errands& of) noexcept
        : timer_node([](timer_node& node) { static_cast<alarm&>(node).owner_.run(); }), owner_(of) {}

   private:
    errands& owner_;
  };

  void run();

  kadoro::io::sim::world& world_;
  std::multimap<kadoro::time_point, std::function<void()>> due_;
  alarm alarm_{*this};
  bool stopped_ = false;
};

/// A datagram between two members, as somebody on the path saw it.
struct recorded {
  kadoro::io::endpoint from;
  kadoro::io::endpoint to;
  kadoro::bytes data;

  bool first_flight() const noexcept { return !data.empty() && data[0] == 1; }
};

/// Keeps some of what members say to each other, old and new: a full shelf loses any of its datagrams for a new one.
class eavesdropper final {
 public:
  explicit eavesdropper(kadoro::random_source& random) noexcept : random_(random) {}

  void hear(recorded const& what);
  /// Null if there is none.
  recorded const* any();
  recorded const* any_first_flight() { return pick(first_flights_); }

 private:
  static constexpr std::size_t max_each = 128;

  void keep(std::vector<recorded>& shelf, recorded const& what);
  recorded const* pick(std::vector<recorded> const& shelf);

  kadoro::random_source& random_;
  std::vector<recorded> first_flights_;
  std::vector<recorded> others_;
};

}  // namespace kadoro_sim
