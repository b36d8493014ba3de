#include <doctest/doctest.h>

#include <memory>
#include <optional>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/udp_port.hpp"
#include "kadoro/kad/node.hpp"

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

/// A NAT of sockets, in front of one client of one server: it shows the server a port of its own, and the client has to
/// speak first. The client takes `door` for the server's address.
class nat_box {
 public:
  nat_box(io::context& on, io::endpoint const& server)
      : context_(on), server_(server), door_(on.open_udp(loopback()).value()) {
    door_->set_receiver(&outwards_);
    forget();
  }

  io::endpoint door() const { return door_->local(); }
  /// Where the server sees the client.
  io::endpoint outside() const { return outside_->local(); }
  std::size_t came_in() const noexcept { return inwards_.passed; }

  /// It is switched off and on: what was mapped is forgotten, and the client gets another port.
  void forget() {
    auto fresh = context_.open_udp(loopback()).value();  // before the old one goes, so that it is another
    fresh->set_receiver(&inwards_);
    outside_ = std::move(fresh);
    client_.reset();
  }

 private:
  struct outwards final : io::udp_port::receiver {
    explicit outwards(nat_box& of) noexcept : box(of) {}
    void on_datagrams(std::span<io::datagram> batch) override {
      for (io::datagram const& one : batch) {
        box.client_ = one.from;
        box.outside_->send(box.server_, one.data);
      }
    }
    void on_unreachable(io::endpoint const&) override {}
    nat_box& box;
  };
  struct inwards final : io::udp_port::receiver {
    explicit inwards(nat_box& of) noexcept : box(of) {}
    void on_datagrams(std::span<io::datagram> batch) override {
      for (io::datagram const& one : batch) {
        if (!box.client_ || one.from != box.server_) continue;
        ++passed;
        box.door_->send(*box.client_, one.data);
      }
    }
    void on_unreachable(io::endpoint const&) override {}
    nat_box& box;
    std::size_t passed = 0;
  };

  static io::endpoint loopback() { return io::endpoint::v4({127, 0, 0, 1}, 0); }

  io::context& context_;
  io::endpoint server_;
  std::optional<io::endpoint> client_;
  outwards outwards_{*this};
  inwards inwards_{*this};
  std::unique_ptr<io::udp_port> door_;
  std::unique_ptr<io::udp_port> outside_;
};

std::unique_ptr<kad::node> open(io::context& context, kad::peer_mode mode, std::vector<kad::multiaddr> bootstrap) {
  kad::node_options options;
  options.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
  options.mode = mode;
  options.bootstrap = std::move(bootstrap);
  return std::move(kad::node::open(context, crypto::identity::generate(context.random()), options).value());
}

/// The next that a watch tells, as text.
std::string next(io::context& context, kad::watch& from) {
  auto const e = context.run(coro::with_deadline(from.next(), duration(20s)));
  if (!e) return e.error().message();
  return std::string(to_string(e->what)) + " " + std::string(as_text(e->found.value.value));
}

}  // namespace

TEST_CASE(
    "behind a NAT: a watcher hears over the session that it opened, and goes on when the NAT gives it a new port") {
  io::asio::context context;
  auto const holder = open(context, kad::peer_mode::server, {});
  io::endpoint const at = *holder->addresses().front().udp_endpoint();
  nat_box box(context, at);
  auto const watcher = open(context, kad::peer_mode::client, {kad::multiaddr::datagram(box.door(), holder->id())});
  auto const writer = open(context, kad::peer_mode::client, holder->addresses());
  REQUIRE(context.run(watcher->join()).has_value());
  REQUIRE(context.run(writer->join()).has_value());
  auto const seen_at = [&] { return holder->peer_of(watcher->id())->addresses().front().where.udp_endpoint(); };
  CHECK(seen_at() == box.outside());

  auto changes = std::move(watcher->watch(as_bytes("key")).value());
  auto const first = context.run(writer->put(as_bytes("key"), as_bytes("one")));
  REQUIRE(first.has_value());
  CHECK(first->ok());
  CHECK(next(context, changes) == "add one");
  CHECK(box.came_in() > 0);

  // Whatever it says next comes from somewhere else; the holder makes sure, and goes on there.
  io::endpoint const before = box.outside();
  box.forget();
  REQUIRE(box.outside() != before);
  std::size_t const so_far = box.came_in();
  auto const asked = context.run(watcher->get(as_bytes("another key")));
  REQUIRE(asked.has_value());
  CHECK(asked->outcome() == kad::get_outcome::not_found);
  auto const second = context.run(writer->put(as_bytes("key"), as_bytes("two")));
  REQUIRE(second.has_value());
  CHECK(next(context, changes) == "change two");
  CHECK(seen_at() == box.outside());
  CHECK(box.came_in() > so_far);

  changes.close();
  for (kad::node* n : {watcher.get(), writer.get(), holder.get()}) context.run(n->close());
}
