#include "sybils.hpp"

#include "kadoro/io/sim/context.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t most = 6;

coro::task<void> join(kad::node& n) {
  auto const joined = co_await n.join();
  static_cast<void>(joined);
}

}  // namespace

class sybils::one final : private idle_witness {
 public:
  one(sybils& all, io::sim::context& host, io::endpoint const& address) : all_(all), host_(host), address_(address) {
    auto const self = crypto::identity::generate(host.random());
    id_ = peer_id::of_ed25519(self.public_key());
    kad::node_options o;
    o.listen = address;
    o.bootstrap = all.run_.bootstrap();
    o.replicas = all.run_.made_of().replicas;
    o.table.k = all.run_.made_of().k;
    o.swarm_key = all.run_.swarm_key();
    o.transport = [this](io::context& context, transport::peer_book& book, crypto::identity const& identity,
                         kad::node_options const& from) -> result<std::unique_ptr<transport::transport>> {
      auto opened = transport_of(all_.run_.made_of())(context, book, identity, from);
      if (!opened) return fail(opened.error());
      witness& eyes = *this;
      return std::unique_ptr<transport::transport>(std::make_unique<observed_transport>(std::move(*opened), eyes));
    };
    node_ = std::move(kad::node::open(host, self, o).value());
    host.spawn(join(*node_));
  }

  void leave() { host_.spawn(node_->close()); }

 private:
  bool on_request(peer_ref const&, message const& request, message& answer, reply& how) override {
    if (request.type != message_type::find_node && request.type != message_type::get_value) return false;
    all_.run_.judge().injected(fault::sybils);
    how = reply::send;
    if (request.contacts_cursor > 0) return true;
    for (auto const& other : all_.all_) {
      if (other.get() == this) continue;
      peer_ref const who = node_->peer_of(other->id_);
      if (who->addresses().empty()) who->add_address(kad::multiaddr::datagram(other->address_), true);
      answer.contacts.push_back(who);
    }
    return true;
  }

  sybils& all_;
  io::sim::context& host_;
  io::endpoint address_;
  peer_id id_;
  std::unique_ptr<kad::node> node_;
};

sybils::sybils(run& in, errands& when, random_source& random) noexcept : run_(in), when_(when), random_(random) {}

sybils::~sybils() { remove(); }

void sybils::begin() {
  together_ = one_in(2, random_);
  std::size_t const count = 3 + static_cast<std::size_t>(random_.below(most - 2));
  for (std::size_t i = 0; i < count; ++i)
    when_.after(std::chrono::milliseconds(random_.below(5000)), [this, i] { start(i); });
}

void sybils::start(std::size_t index) {
  auto const host = static_cast<std::uint8_t>(together_ ? 1 : index + 1);
  auto const port = static_cast<std::uint16_t>(together_ ? 4001 + index : 4001);
  io::endpoint const address = address_in(realm::sybils, host, port);
  if (!together_ || hosts_.empty()) hosts_.push_back(std::make_unique<io::sim::context>(run_.world(), address));
  run_.note("sybil", address.to_string());
  all_.push_back(std::make_unique<one>(*this, *hosts_.back(), address));
}

void sybils::end() {
  for (auto const& each : all_) each->leave();
  if (!all_.empty()) run_.later(5s, [this] { remove(); });
}

void sybils::remove() {
  for (auto const& host : hosts_) host->crash();
  all_.clear();
  hosts_.clear();
}

}  // namespace kadoro_sim
