#pragma once

#include <chrono>
#include <span>

#include "kadoro/io/posix/receive_block.hpp"
#include "kadoro/io/posix/receive_notes.hpp"
#include "kadoro/io/posix/received_batch.hpp"
#include "kadoro/io/posix/send_queue.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/io/posix/udp_joining.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// What a UDP port of every real backend does, whoever tells it that its socket is ready: it calls the system, and
/// keeps the queue, the counters and the receiver. The socket belongs to the backend.
class udp_channel {
 public:
  /// `blocks` must live until `close`.
  udp_channel(int descriptor, send_pool& blocks) noexcept
      : descriptor_(descriptor), local_(bound_address(descriptor)), runs_(takes_segments(descriptor)), queue_(blocks) {}
  udp_channel(udp_channel const&) = delete;
  udp_channel& operator=(udp_channel const&) = delete;

  bool is_open() const noexcept { return descriptor_ >= 0; }
  endpoint local() const noexcept { return local_; }
  udp_port::receiver* receiver() const noexcept { return receiver_; }
  void set_receiver(udp_port::receiver* to) noexcept { receiver_ = to; }
  udp_counters const& counters() const noexcept { return counters_; }

  /// Queues a copy. False if it was dropped, and counted.
  KADORO_DECL bool push(endpoint const& to, bytes_view data) noexcept;

  /// Sends what is queued, as far as the system takes it at once. ICMP errors on the way go to the receiver.
  KADORO_DECL void flush();
  /// The same before the end of the loop turn, at most twice in 100 us, and not while this port delivers: whoever asks
  /// many is answered by the first while it still asks the last, and what is sent close together leaves together. What
  /// goes on with a run (several to one address, which left joined) waits for more of it: until there are 16, or for
  /// 50 us. No callback. False if something is left for `flush`.
  KADORO_DECL bool flush_early() noexcept;
  bool unsent() const noexcept { return !queue_.empty(); }

  /// Hands a batch to the receiver, and counts it. Where there is no receiver any more it is dropped, and counted.
  KADORO_DECL void deliver(received_batch& batch);
  /// Hands what the socket has to the receiver, through `room`. For backends that are told when it is readable.
  KADORO_DECL void receive(receive_block& room);

  /// Tells the receiver what ICMP said.
  KADORO_DECL void drain_errors();

  /// Sends what is queued, as far as the system takes it at once. No callback afterwards.
  KADORO_DECL void close() noexcept;

  // For backends that receive by other means.
  udp_counters& counters() noexcept { return counters_; }
  receive_notes& notes() noexcept { return notes_; }

 private:
  KADORO_DECL bool flush_some() noexcept;
  KADORO_DECL bool early_is_due() noexcept;
  KADORO_DECL bool run_is_due() noexcept;

  int descriptor_;  // -1 once closed
  endpoint local_;
  udp_port::receiver* receiver_ = nullptr;
  udp_counters counters_;
  receive_notes notes_;
  bool runs_;  // the system may take several datagrams as one message
  bool delivering_ = false;
  bool errors_due_ = false;                         // of an early flush
  std::chrono::steady_clock::time_point early_at_;  // the first of the latest pair
  bool early_again_ = false;                        // the second may follow
  endpoint last_to_;                                // of what was queued last
  bool ran_ = false;                                // what was sent last was a run
  bool in_run_ = false;                             // and what was queued last goes on with it
  std::chrono::steady_clock::time_point run_at_;    // its first in the queue
  send_queue queue_;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/udp_channel.ipp"
#endif
