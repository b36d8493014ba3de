// What UDP on this machine allows: the exchanges that a DHT needs, by plain blocking system calls, with and without the
// cryptography that kadoro does for them. `serve` answers; a client is driven by lines on its standard input.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <deque>
#include <iostream>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "common/command.hpp"
#include "common/joined.hpp"
#include "common/samples.hpp"
#include "kadoro/crypto/aead.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/crypto/sha256.hpp"

namespace {

using namespace kadoro;
using bench::command;
using bench::json;

/// What a server that answers one by one does for a packet before it answers.
enum class work : std::uint16_t { none, verify, sign };

/// In front of every packet; as wide as what stands before a sealed payload in kadoro's own.
struct header {
  std::uint64_t counter = 0;
  std::uint32_t answer_bytes = 0;  ///< how long the answer is to be
  std::uint16_t sealed = 0;        ///< this packet is, and so is its answer
  work first = work::none;         ///< who answers does this first
};

constexpr std::size_t max_packet_bytes = 2048;
constexpr std::size_t batch_packets = 64;
constexpr char const* any_loopback = "127.0.0.1:0";
constexpr int silence_ms = 500;  ///< after which a packet counts as lost

using packet = byte_array<max_packet_bytes>;
crypto::aead_key const shared_key{1, 2, 3};

/// Puts a packet of `size_bytes` in all at `out`. The payload is what lies there already.
void write_packet(std::uint8_t* out, header const& head, std::size_t size_bytes) {
  std::memcpy(out, &head, sizeof head);
  if (head.sealed == 0) return;
  std::size_t const plain_bytes = size_bytes - sizeof head - crypto::tag_bytes;
  auto* const payload = out + sizeof head;
  crypto::seal(shared_key, head.counter, bytes_view(out, sizeof head), bytes_view(payload, plain_bytes),
               bytes_span(payload, plain_bytes + crypto::tag_bytes));
}

/// The header of what came in; opens the rest if it is sealed.
header read_packet(std::uint8_t* in, std::size_t size_bytes) {
  header head;
  if (size_bytes < sizeof head) throw std::runtime_error("a packet without a header");
  std::memcpy(&head, in, sizeof head);
  if (head.sealed == 0) return head;
  auto* const payload = in + sizeof head;
  std::size_t const sealed_bytes = size_bytes - sizeof head;
  if (!crypto::open(shared_key, head.counter, bytes_view(in, sizeof head), bytes_view(payload, sealed_bytes),
                    bytes_span(payload, sealed_bytes - crypto::tag_bytes)))
    throw std::runtime_error("a packet that does not open");
  return head;
}

sockaddr_in address_of(std::string const& text) {
  auto const colon = text.rfind(':');
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1))));
  if (inet_pton(AF_INET, text.substr(0, colon).c_str(), &at.sin_addr) != 1)
    throw std::runtime_error("no address: " + text);
  return at;
}

class socket_fd {
 public:
  explicit socket_fd(sockaddr_in at) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (fd_ < 0 || bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) throw std::runtime_error("no socket");
    int const buffer_bytes = 4 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
  }
  socket_fd(socket_fd const&) = delete;
  socket_fd& operator=(socket_fd const&) = delete;
  ~socket_fd() { close(fd_); }
  operator int() const noexcept { return fd_; }

  std::string address() const {
    sockaddr_in at{};
    socklen_t length = sizeof at;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &length);
    std::array<char, INET_ADDRSTRLEN> text{};
    inet_ntop(AF_INET, &at.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(at.sin_port));
  }
  /// The same address, and a free port.
  sockaddr_in any_port() const {
    sockaddr_in at{};
    socklen_t length = sizeof at;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &length);
    at.sin_port = 0;
    return at;
  }
  void set_patience() const {
    timeval const wait{0, silence_ms * 1000};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  }

 private:
  int fd_;
};

// --- servers

void answer_one_by_one(int fd, bool spin) {
  packet buffer{};
  auto const self = crypto::identity::from_seed({});
  bytes const message(300);
  auto signature = self.sign(message);
  for (;;) {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    ssize_t const got = recvfrom(fd, buffer.data(), buffer.size(), spin ? MSG_DONTWAIT : 0,
                                 reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0) continue;
    header const head = read_packet(buffer.data(), static_cast<std::size_t>(got));
    if (head.first == work::sign) signature = self.sign(message);
    if (head.first == work::verify && !crypto::verify(self.public_key(), message, signature)) continue;
    write_packet(buffer.data(), head, head.answer_bytes);
    sendto(fd, buffer.data(), head.answer_bytes, 0, reinterpret_cast<sockaddr*>(&from), length);
  }
}

/// Packets with all that sendmmsg needs.
struct packet_batch {
  packet_batch() {
    for (std::size_t i = 0; i < batch_packets; ++i) {
      parts[i] = {packets[i].data(), packets[i].size()};
      messages[i].msg_hdr = {};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_name = &addresses[i];
      messages[i].msg_hdr.msg_namelen = sizeof addresses[i];
    }
  }
  /// What is not sent is lost: the client's patience ends.
  void send(int fd, std::size_t count) { static_cast<void>(joined.send(fd, std::span(messages).first(count))); }

  std::array<packet, batch_packets> packets{};
  std::array<iovec, batch_packets> parts{};
  std::array<sockaddr_in, batch_packets> addresses{};
  std::array<mmsghdr, batch_packets> messages{};
  bench::joined_batch<batch_packets> joined;
};

void answer_in_batches(int fd) {
  using receiver = bench::joined_receiver<batch_packets>;
  constexpr std::size_t most = bench::cut_messages<batch_packets>::capacity;
  receiver in(fd);
  auto const out = std::make_unique<bench::joined_batch<most>>();
  // For answers that would run into the packet behind.
  auto const elsewhere = std::make_unique_for_overwrite<std::uint8_t[]>(most * max_packet_bytes);
  for (;;) {
    std::span<mmsghdr> const all = in.receive();
    std::size_t used = 0;
    for (mmsghdr& one : all) {
      iovec& part = *one.msg_hdr.msg_iov;
      header const head = read_packet(static_cast<std::uint8_t*>(part.iov_base), part.iov_len);
      if (head.answer_bytes > max_packet_bytes) throw std::runtime_error("an answer of such a size cannot be");
      if (head.answer_bytes > part.iov_len) {
        part.iov_base = elsewhere.get() + used;
        used += head.answer_bytes;
      }
      part.iov_len = head.answer_bytes;
      write_packet(static_cast<std::uint8_t*>(part.iov_base), head, part.iov_len);
    }
    static_cast<void>(out->send(fd, all));
  }
}

// --- clients

/// What one line asks for. `servers` are addresses, separated by commas.
struct exchange {
  explicit exchange(command const& line)
      : count(line.number("count", 1)),
        request_bytes(line.number("request", 100)),
        answer_bytes(line.number("answer", 100)),
        in_flight(line.number("in_flight", 64)),
        askers(line.number("askers", 1)),
        sealed(line.number("sealed") != 0),
        sign(line.number("sign") != 0),
        verify(line.number("verify") != 0),
        servers_do(servers_work(line)),
        spin(line.number("spin") != 0) {
    std::istringstream in(line.text("servers"));
    for (std::string one; std::getline(in, one, ',');) servers.push_back(address_of(one));
    std::size_t const least = sizeof(header) + (sealed ? crypto::tag_bytes : 0);
    if (std::min(request_bytes, answer_bytes) < least || std::max(request_bytes, answer_bytes) > max_packet_bytes)
      throw std::runtime_error("packets of such a size cannot be");
  }

  static work servers_work(command const& line) {
    if (line.number("servers_verify") != 0) return work::verify;
    return line.number("servers_sign") != 0 ? work::sign : work::none;
  }

  std::vector<sockaddr_in> servers;
  std::size_t count;
  std::size_t request_bytes;
  std::size_t answer_bytes;
  std::size_t in_flight;
  std::size_t askers;
  bool sealed;
  bool sign;    ///< once an operation, before it is sent
  bool verify;  ///< once an operation, after the last answer
  work servers_do;
  bool spin;
};

class client {
 public:
  explicit client(sockaddr_in const& at) : fd_(at) { fd_.set_patience(); }

  /// Sends to all servers and waits for all answers, `count` times.
  json rounds(exchange const& what) {
    bench::samples times(what.count);
    byte_array<64> signature = self_.sign(message_);
    for (std::size_t i = 0; i < what.count; ++i) {
      auto const began = bench::clock::now();
      if (what.sign) signature = self_.sign(message_);
      for (sockaddr_in const& to : what.servers) send(what, to);
      std::size_t answers = 0;
      while (answers < what.servers.size() && receive(what.spin)) ++answers;
      bool good = answers == what.servers.size();
      if (what.verify) good = crypto::verify(self_.public_key(), message_, signature) && good;
      if (good)
        times.add(began, bench::clock::now());
      else
        times.fail("no answer");
    }
    return times.report();
  }

  /// Keeps `in_flight` requests under way until `count` are answered: of `askers`, each with a socket of its own and
  /// the same share of them, who ask the servers in turn.
  json rate(exchange const& what) {
    bench::samples const times(0);
    std::deque<asker> askers;
    for (std::size_t i = 0; i < what.askers; ++i)
      askers.emplace_back(fd_.any_port(), what.servers[i % what.servers.size()]);
    std::size_t const share = what.in_flight / what.askers;
    for (asker& each : askers) ask(what, each, share);
    std::size_t answered = 0;
    std::size_t lost = 0;
    for (std::size_t turn = 0; answered + lost < what.count; ++turn) {
      asker& by = askers[turn % askers.size()];
      std::span<mmsghdr> const all = by.in.receive();
      for (mmsghdr const& one : all)
        read_packet(static_cast<std::uint8_t*>(one.msg_hdr.msg_iov->iov_base), one.msg_hdr.msg_iov->iov_len);
      answered += all.size();
      if (all.empty()) lost += std::exchange(by.under_way, 0);
      by.under_way -= std::min(all.size(), by.under_way);
      ask(what, by, share);
    }
    json report = times.report();
    report["answered"] = answered;
    report["lost"] = lost;
    return report;
  }

  /// Time of one piece of cryptography, in a loop.
  json crypto_cost(command const& line) {
    std::size_t const count = line.number("count", 1000);
    bytes const message(line.number("bytes", 300));
    auto const signature = self_.sign(message);
    bench::samples times(count);
    for (std::size_t i = 0; i < count; ++i) {
      auto const began = bench::clock::now();
      bool const good = run_crypto(line.text("what"), message, signature);
      if (good)
        times.add(began, bench::clock::now());
      else
        times.fail("wrong");
    }
    return times.report();
  }

 private:
  struct asker {
    asker(sockaddr_in const& at, sockaddr_in const& server) : fd(at), to(server), in(fd) { fd.set_patience(); }

    socket_fd fd;
    sockaddr_in to;
    bench::joined_receiver<batch_packets> in;
    std::size_t under_way = 0;
  };

  /// Fills its share up.
  void ask(exchange const& what, asker& by, std::size_t share) {
    while (by.under_way < share) {
      std::size_t const now = std::min(batch_packets, share - by.under_way);
      for (std::size_t i = 0; i < now; ++i) {
        write_packet(out_.packets[i].data(), next_header(what), what.request_bytes);
        out_.parts[i].iov_len = what.request_bytes;
        out_.addresses[i] = by.to;
      }
      out_.send(by.fd, now);
      by.under_way += now;
    }
  }

  bool run_crypto(std::string const& what, bytes const& message, byte_array<64> const& signature) {
    if (what == "sign") return self_.sign(message) == signature;
    if (what == "verify") return crypto::verify(self_.public_key(), message, signature);
    if (what == "x25519") return crypto::x25519(self_.x25519().secret, self_.x25519().public_key).has_value();
    if (what == "sha256") return crypto::sha256(message) != crypto::digest{};
    throw std::runtime_error("no such cryptography: " + what);
  }

  header next_header(exchange const& what) {
    return {++counter_, static_cast<std::uint32_t>(what.answer_bytes), static_cast<std::uint16_t>(what.sealed),
            what.servers_do};
  }
  void send(exchange const& what, sockaddr_in const& to) {
    write_packet(buffer_.data(), next_header(what), what.request_bytes);
    sendto(fd_, buffer_.data(), what.request_bytes, 0, reinterpret_cast<sockaddr const*>(&to), sizeof to);
  }
  bool receive(bool spin) {
    auto const give_up = bench::clock::now() + std::chrono::milliseconds(silence_ms);
    for (;;) {
      ssize_t const got = recv(fd_, answer_.data(), answer_.size(), spin ? MSG_DONTWAIT : 0);
      if (got >= 0) {
        read_packet(answer_.data(), static_cast<std::size_t>(got));
        return true;
      }
      if (!spin || bench::clock::now() > give_up) return false;
    }
  }

  socket_fd fd_;
  crypto::identity self_ = crypto::identity::from_seed({});
  packet buffer_{};
  packet answer_{};
  bytes message_ = bytes(300);  // what is signed
  std::uint64_t counter_ = 0;
  packet_batch out_;
};

json answer(client& self, command const& line) {
  if (line.word() == "rounds") return self.rounds(exchange(line));
  if (line.word() == "rate") return self.rate(exchange(line));
  if (line.word() == "crypto") return self.crypto_cost(line);
  if (line.word() == "usage") return bench::usage();
  return {{"error", "no such command: " + line.word()}};
}

void serve(command const& settings) {
  socket_fd const fd(address_of(settings.text("listen", any_loopback)));
  bench::say({{"address", fd.address()}});
  std::string const how = settings.text("serve");
  // A server that is asked how much it has used answers on its standard input's thread; the loop below never ends.
  std::thread([] {
    std::string line;
    while (std::getline(std::cin, line) && line != "quit") bench::say(bench::usage());
    std::_Exit(0);
  }).detach();
  if (how == "batch") answer_in_batches(fd);
  answer_one_by_one(fd, how == "spin");
}

}  // namespace

int main(int argc, char** argv) {
  command const settings(argc, argv);
  if (!settings.text("serve").empty()) {
    serve(settings);
    return 0;
  }
  bench::say({{"ready", true}});
  client self(address_of(settings.text("listen", any_loopback)));
  std::string line;
  while (std::getline(std::cin, line) && line != "quit") bench::say(answer(self, command(line)));
  return 0;
}
