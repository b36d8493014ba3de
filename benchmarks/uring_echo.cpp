// The echo of io_echo on io_uring, by hand and without any library: a multishot receive into a ring of buffers, answers
// by sendmmsg, both in batches. The limit that kadoro's backend is compared with. `send=submit`: answers are submitted
// to the ring instead, with the next wait.

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <thread>

#include "common/command.hpp"
#include "common/joined.hpp"
#include "common/samples.hpp"

namespace {

constexpr unsigned ring_entries = 256;
constexpr unsigned buffers = 64;  // a power of two; so few stay in the cache
constexpr unsigned control_bytes = CMSG_SPACE(sizeof(int));
constexpr unsigned buffer_bytes = static_cast<unsigned>(bench::longest_message_bytes) + sizeof(io_uring_recvmsg_out) +
                                  sizeof(sockaddr_in) + control_bytes;
constexpr unsigned stride_bytes = (buffer_bytes + 63) / 64 * 64;  // no multiple of a page, for the cache
static_assert(stride_bytes % 4096 != 0);
constexpr unsigned longest_answer_bytes = 2048;
constexpr unsigned batch = 64;
constexpr int group = 0;
constexpr std::size_t answer_bytes_at = 8;  // in the header of raw_limit

void check(int got, char const* what) {
  if (got < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(-got));
}

class echo {
 public:
  explicit echo(bool submits) : submits_(submits), fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) throw std::runtime_error("no socket");
    int const size = 4 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);

    io_uring_params params{};
    params.flags =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
    params.cq_entries = 1024;
    check(io_uring_queue_init_params(ring_entries, &ring_, &params), "io_uring_setup");
    io_uring_register_ring_fd(&ring_);  // saves a look-up at each call, where the kernel can
    make_buffers();
    shape_.msg_namelen = sizeof(sockaddr_in);
    shape_.msg_controllen = control_bytes;
    bench::take_joined(fd_, true);
  }
  echo(echo const&) = delete;
  echo& operator=(echo const&) = delete;

  std::string address() const {
    sockaddr_in at{};
    socklen_t length = sizeof at;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &length);
    return "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  }

  [[noreturn]] void run() {
    receive();
    for (;;) {
      int const submitted = io_uring_submit_and_wait(&ring_, 1);
      if (submitted != -EINTR) check(submitted, "io_uring_enter");
      while (take_batch()) answer();
    }
  }

 private:
  void make_buffers() {
    std::size_t const bytes = buffers * sizeof(io_uring_buf);
    void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("no memory");
    free_ = static_cast<io_uring_buf_ring*>(at);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(at);
    registration.ring_entries = buffers;
    registration.bgid = group;
    check(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(free_);
    for (unsigned i = 0; i < buffers; ++i) give_back(static_cast<std::uint16_t>(i), static_cast<int>(i));
    io_uring_buf_ring_advance(free_, static_cast<int>(buffers));
  }
  unsigned char* buffer(unsigned id) { return memory_.get() + std::size_t{id} * stride_bytes; }
  void give_back(std::uint16_t id, int place) {
    io_uring_buf_ring_add(free_, buffer(id), buffer_bytes, id, io_uring_buf_ring_mask(buffers), place);
  }

  void receive() {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    io_uring_prep_recvmsg_multishot(entry, fd_, &shape_, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = group;
  }

  /// Up to one batch of what has come in; false if nothing has.
  bool take_batch() {
    std::array<io_uring_cqe*, batch> done{};
    unsigned const count = io_uring_peek_batch_cqe(&ring_, done.data(), batch);
    taken_ = 0;
    cut_.clear();
    bool again = false;
    for (unsigned i = 0; i < count; ++i) {
      if ((done[i]->flags & IORING_CQE_F_MORE) == 0) again = true;
      if ((done[i]->flags & IORING_CQE_F_BUFFER) != 0)
        take(static_cast<std::uint16_t>(done[i]->flags >> IORING_CQE_BUFFER_SHIFT), done[i]->res);
    }
    io_uring_cq_advance(&ring_, count);
    if (again) receive();
    return count > 0;
  }

  void take(std::uint16_t id, int size) {
    ids_[taken_++] = id;
    io_uring_recvmsg_out* const out = io_uring_recvmsg_validate(buffer(id), size, &shape_);
    if (out == nullptr) return;
    auto* const name = static_cast<unsigned char*>(io_uring_recvmsg_name(out));
    msghdr beside{};
    beside.msg_control = name + sizeof(sockaddr_in);
    beside.msg_controllen = out->controllen;
    cut_.add(name, out->namelen, static_cast<unsigned char*>(io_uring_recvmsg_payload(out, &shape_)),
             io_uring_recvmsg_payload_length(out, size, &shape_), bench::segment_bytes_of(beside));
  }

  void answer() {
    std::span<mmsghdr> const all = cut_.all();
    for (mmsghdr& one : all) {
      iovec& part = *one.msg_hdr.msg_iov;
      std::uint32_t wanted = 0;
      std::memcpy(&wanted, static_cast<unsigned char*>(part.iov_base) + answer_bytes_at, sizeof wanted);
      part.iov_len = std::min(wanted, longest_answer_bytes);
    }
    if (submits_)
      submit(joined_->join(all));
    else
      static_cast<void>(joined_->send(fd_, all));
    for (unsigned i = 0; i < taken_; ++i) give_back(ids_[i], static_cast<int>(i));
    io_uring_buf_ring_advance(free_, static_cast<int>(taken_));
  }

  /// The kernel sends a datagram as it takes the submission, so its buffers are free afterwards.
  void submit(std::span<mmsghdr> all) {
    for (mmsghdr& one : all) {
      io_uring_sqe* entry = io_uring_get_sqe(&ring_);
      if (entry == nullptr) {
        check(io_uring_submit(&ring_), "io_uring_enter");
        entry = io_uring_get_sqe(&ring_);
      }
      io_uring_prep_sendmsg(entry, fd_, &one.msg_hdr, 0);
      entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    check(io_uring_submit(&ring_), "io_uring_enter");
  }

  bool submits_;
  int fd_;
  io_uring ring_{};
  io_uring_buf_ring* free_ = nullptr;
  // The longest answer to what stands at the very end is read from behind it.
  std::unique_ptr<unsigned char[]> memory_ =
      std::make_unique_for_overwrite<unsigned char[]>(std::size_t{buffers} * stride_bytes + longest_answer_bytes);
  msghdr shape_{};
  bench::cut_messages<batch> cut_;
  std::unique_ptr<bench::joined_batch<bench::cut_messages<batch>::capacity>> joined_ =
      std::make_unique<bench::joined_batch<bench::cut_messages<batch>::capacity>>();
  std::array<std::uint16_t, batch> ids_{};
  unsigned taken_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    echo self(bench::command(argc, argv).text("send") == "submit");
    bench::say({{"address", self.address()}});
    std::thread([] {
      std::string line;
      while (std::getline(std::cin, line) && line != "quit") bench::say(bench::usage());
      std::_Exit(0);
    }).detach();
    self.run();
  } catch (std::exception const& e) {
    std::cerr << "bench_uring_echo: " << e.what() << '\n';
    return 3;
  }
}
