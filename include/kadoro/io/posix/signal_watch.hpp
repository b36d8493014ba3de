#pragma once

#include <vector>

#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Catches signals for one waiter, whichever thread of the process gets them: a descriptor becomes readable. Several
/// may watch the same signal. While somebody watches a signal, what it did before is suspended; afterwards it is put
/// back. (Not signalfd(2): that wants the signal blocked in every thread, also in those that are none of our business.)
class signal_watch {
 public:
  /// At most so many in a process.
  static constexpr int max_watches = 32;

  signal_watch() noexcept = default;
  signal_watch(signal_watch const&) = delete;
  signal_watch& operator=(signal_watch const&) = delete;
  KADORO_DECL ~signal_watch();

  /// Once. Errors: `io_failure` (no such signal, or it cannot be caught), `queue_full` (`max_watches`).
  KADORO_DECL result<void> open(std::vector<int> const& signals);

  /// Readable when one has come.
  KADORO_DECL int descriptor() const noexcept;

  /// The number of one that has come, 0 if none has.
  KADORO_DECL int take() noexcept;

 private:
  int slot_ = -1;
  std::vector<int> watched_;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/signal_watch.ipp"
#endif
