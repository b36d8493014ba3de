#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace bench {

constexpr int gro_option = 104;  // UDP_GRO
constexpr std::size_t longest_message_bytes = 65536;
constexpr std::size_t most_in_a_message = 128;  // datagrams; the kernel's own bound

/// Lets the kernel give several datagrams of one sender as one message, or no longer (UDP_GRO). Where it cannot, it
/// gives them one by one.
inline void take_joined(int fd, bool on) {
  int const value = on ? 1 : 0;
  static_cast<void>(setsockopt(fd, IPPROTO_UDP, gro_option, &value, sizeof value));
}

/// The size of each datagram in what was received, of which the last may be shorter; 0 if it is one.
inline std::size_t segment_bytes_of(msghdr const& from) {
  msghdr message = from;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != IPPROTO_UDP || part->cmsg_type != gro_option) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(part), sizeof size);
    return static_cast<std::size_t>(size);
  }
  return 0;
}

/// Datagrams as if each had been received for itself, and room for the parts of what answers them.
template <std::size_t Messages>
class cut_messages {
 public:
  static constexpr std::size_t capacity = Messages * most_in_a_message;

  void clear() { size_ = 0; }
  /// Those that do not fit are lost, like any other.
  void add(void* name, socklen_t name_bytes, std::uint8_t* data, std::size_t bytes, std::size_t segment_bytes) {
    std::size_t const step = segment_bytes == 0 ? longest_message_bytes : segment_bytes;
    for (std::size_t at = 0; (at < bytes || at == 0) && size_ < capacity; at += step, ++size_) {
      parts_[size_] = {data + at, std::min(step, bytes - at)};
      msghdr& one = messages_[size_].msg_hdr;
      one = {};
      one.msg_name = name;
      one.msg_namelen = name_bytes;
      one.msg_iov = &parts_[size_];
      one.msg_iovlen = 1;
    }
  }
  std::span<mmsghdr> all() { return {messages_.get(), size_}; }

 private:
  std::unique_ptr<mmsghdr[]> messages_ = std::make_unique_for_overwrite<mmsghdr[]>(capacity);
  std::unique_ptr<iovec[]> parts_ = std::make_unique_for_overwrite<iovec[]>(capacity);
  std::size_t size_ = 0;
};

/// Receives from `fd` as many datagrams as there are with one call, while it lives.
template <std::size_t Messages>
class joined_receiver {
 public:
  explicit joined_receiver(int fd) : fd_(fd) {
    take_joined(fd_, true);
    for (std::size_t i = 0; i < Messages; ++i) {
      parts_[i] = {rooms_.get() + i * stride_bytes, longest_message_bytes};
      msghdr& one = messages_[i].msg_hdr;
      one.msg_iov = &parts_[i];
      one.msg_iovlen = 1;
      one.msg_name = &addresses_[i];
      one.msg_control = controls_[i].data.data();
    }
  }
  joined_receiver(joined_receiver const&) = delete;
  joined_receiver& operator=(joined_receiver const&) = delete;
  ~joined_receiver() { take_joined(fd_, false); }

  /// Waits for one, takes all that is there; none if the patience of the socket ended.
  std::span<mmsghdr> receive() {
    for (std::size_t i = 0; i < used_; ++i) {
      messages_[i].msg_hdr.msg_namelen = sizeof addresses_[i];
      messages_[i].msg_hdr.msg_controllen = controls_[i].data.size();
    }
    int const got = recvmmsg(fd_, messages_.data(), Messages, MSG_WAITFORONE, nullptr);
    used_ = got < 0 ? 0 : static_cast<std::size_t>(got);
    cut_.clear();
    for (std::size_t i = 0; i < used_; ++i) {
      msghdr const& one = messages_[i].msg_hdr;
      cut_.add(one.msg_name, one.msg_namelen, rooms_.get() + i * stride_bytes, messages_[i].msg_len,
               segment_bytes_of(one));
    }
    return cut_.all();
  }

 private:
  static constexpr std::size_t stride_bytes = longest_message_bytes + 128;  // no multiple of a page, for the cache
  struct control {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> data;
  };

  int fd_;
  std::unique_ptr<std::uint8_t[]> rooms_ = std::make_unique_for_overwrite<std::uint8_t[]>(Messages * stride_bytes);
  std::array<mmsghdr, Messages> messages_{};
  std::array<iovec, Messages> parts_{};
  std::array<sockaddr_in, Messages> addresses_{};
  std::array<control, Messages> controls_{};
  std::size_t used_ = Messages;
  cut_messages<Messages> cut_;
};

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
  static constexpr std::size_t most = 64;  // older kernels take no more

  struct control {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> data;
  };

  static bool alike(msghdr const& a, msghdr const& b) {
    return a.msg_iov->iov_len == b.msg_iov->iov_len && a.msg_namelen == b.msg_namelen &&
           (a.msg_name == b.msg_name || std::memcmp(a.msg_name, b.msg_name, a.msg_namelen) == 0);
  }

  /// Returns how many of `single` the message at `place` stands for.
  std::size_t add(std::span<mmsghdr const> single, std::size_t begin, std::size_t place) {
    msghdr const& first = single[begin].msg_hdr;
    std::size_t const size = first.msg_iov->iov_len;
    std::size_t end = begin + 1;
    bool packed = true;
    for (; end < single.size() && end - begin < most && (end - begin + 1) * size <= longest_bytes; ++end) {
      if (!alike(first, single[end].msg_hdr)) break;
      auto const* const before = static_cast<std::uint8_t const*>(single[end - 1].msg_hdr.msg_iov->iov_base);
      packed = packed && before + size == single[end].msg_hdr.msg_iov->iov_base;
    }
    msghdr& out = messages_[place].msg_hdr;
    out = first;
    out.msg_iovlen = end - begin;
    if (end - begin == 1) return 1;
    if (packed) {
      wholes_[place] = {first.msg_iov->iov_base, (end - begin) * size};
      out.msg_iov = &wholes_[place];
      out.msg_iovlen = 1;
    }
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
  std::array<iovec, Capacity> wholes_{};
};

}  // namespace bench
