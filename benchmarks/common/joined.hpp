#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace bench {

/// Sends a batch of datagrams with as few messages as there can be: those of one size to one address that stand behind
/// each other are one message, which the kernel cuts again (UDP_SEGMENT), as kadoro's are.
template <std::size_t Capacity>
class joined_batch {
 public:
  /// Each of `single` has one part, and the parts of all stand in one array, in order. False if the system took less.
  bool send(int fd, std::span<mmsghdr const> single) {
    for (std::span<mmsghdr> left = join(single); !left.empty();) {
      int const now = sendmmsg(fd, left.data(), static_cast<unsigned>(left.size()), 0);
      if (now <= 0) return false;
      left = left.subspan(static_cast<std::size_t>(now));
    }
    return true;
  }

  /// The messages alone, valid until the next call.
  std::span<mmsghdr> join(std::span<mmsghdr const> single) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < single.size();) i += add(single, i, count++);
    return std::span(messages_).first(count);
  }

 private:
  static constexpr int segment_option = 103;  // UDP_SEGMENT
  static constexpr std::size_t longest_bytes = 65000;

  struct control {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> data;
  };

  static bool alike(msghdr const& a, msghdr const& b) {
    return a.msg_iov->iov_len == b.msg_iov->iov_len && a.msg_namelen == b.msg_namelen &&
           std::memcmp(a.msg_name, b.msg_name, a.msg_namelen) == 0;
  }

  /// Returns how many of `single` the message at `place` stands for.
  std::size_t add(std::span<mmsghdr const> single, std::size_t begin, std::size_t place) {
    msghdr const& first = single[begin].msg_hdr;
    std::size_t const size = first.msg_iov->iov_len;
    std::size_t end = begin + 1;
    while (end < single.size() && (end - begin + 1) * size <= longest_bytes && alike(first, single[end].msg_hdr)) ++end;
    msghdr& out = messages_[place].msg_hdr;
    out = first;
    out.msg_iovlen = end - begin;
    if (end - begin == 1) return 1;
    out.msg_control = controls_[place].data.data();
    out.msg_controllen = controls_[place].data.size();
    cmsghdr* const cut = CMSG_FIRSTHDR(&out);
    cut->cmsg_level = IPPROTO_UDP;
    cut->cmsg_type = segment_option;
    cut->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    auto const segment = static_cast<std::uint16_t>(size);
    std::memcpy(CMSG_DATA(cut), &segment, sizeof segment);
    return end - begin;
  }

  std::array<mmsghdr, Capacity> messages_{};
  std::array<control, Capacity> controls_{};
};

}  // namespace bench
