#include "malice.hpp"

#include <algorithm>

namespace kadoro_sim {

using namespace kadoro;

namespace {

constexpr std::uint8_t first_range = 64;  // 10.64 and up are not the members'
constexpr std::uint8_t public_net = 45;   // where the sybils live: limits of address ranges do not hold in private ones

}  // namespace

realm realm_of(io::endpoint const& where) noexcept {
  bytes_view const raw = where.address();
  if (raw.size() == 4 && raw[0] == public_net) return realm::sybils;
  if (raw.size() != 4 || raw[0] != 10 || raw[1] <= first_range) return realm::members;
  auto const number = static_cast<std::uint8_t>(raw[1] - first_range);
  return number <= static_cast<std::uint8_t>(realm::nobody) ? static_cast<realm>(number) : realm::members;
}

io::endpoint address_in(realm in, std::uint8_t host, std::uint16_t port) noexcept {
  auto const range = static_cast<std::uint8_t>(first_range + static_cast<std::uint8_t>(in));
  return io::endpoint::v4({in == realm::sybils ? public_net : std::uint8_t{10}, range, 0, host}, port);
}

void errands::after(duration delay, std::function<void()> what) {
  if (stopped_) return;
  due_.emplace(world_.now() + delay, std::move(what));
  world_.arm(alarm_, due_.begin()->first);
}

void errands::stop() noexcept {
  stopped_ = true;
  due_.clear();
  world_.disarm(alarm_);
}

void errands::run() {
  while (!due_.empty() && due_.begin()->first <= world_.now()) {
    auto const what = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    what();
  }
  if (!due_.empty()) world_.arm(alarm_, due_.begin()->first);
}

void eavesdropper::hear(recorded const& what) { keep(what.first_flight() ? first_flights_ : others_, what); }

void eavesdropper::keep(std::vector<recorded>& shelf, recorded const& what) {
  if (shelf.size() < max_each)
    shelf.push_back(what);
  else
    shelf[static_cast<std::size_t>(random_.below(max_each))] = what;
}

recorded const* eavesdropper::pick(std::vector<recorded> const& shelf) {
  return shelf.empty() ? nullptr : &shelf[static_cast<std::size_t>(random_.below(shelf.size()))];
}

recorded const* eavesdropper::any() {
  bool const first = random_.below(3) != 0;  // they are few, and worth most
  recorded const* const one = pick(first ? first_flights_ : others_);
  return one != nullptr ? one : pick(first ? others_ : first_flights_);
}

}  // namespace kadoro_sim
