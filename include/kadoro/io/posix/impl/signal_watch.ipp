#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <string>
#include <system_error>

#include "kadoro/io/posix/signal_watch.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

namespace detail {

/// One watch, as the signal handler sees it.
struct signal_slot {
  std::atomic<std::uint64_t> wanted = 0;  // bit n - 1: signal n
  std::atomic<std::uint64_t> come = 0;
  // Made once and never closed: a handler on another thread may be about to write to it.
  std::atomic<int> descriptor = -1;
  bool used = false;  // under the mutex
};

inline constexpr int last_signal = 64;

/// All watches of the process.
struct signal_table {
  std::mutex mutex;
  std::array<signal_slot, signal_watch::max_watches> slots;
  std::array<int, last_signal + 1> watchers{};
  std::array<struct sigaction, last_signal + 1> before{};
};

inline signal_table& signals_of_process() {
  static signal_table table;
  return table;
}

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a signal handler must not wait");

inline void on_signal(int number) {
  int const kept = errno;
  std::uint64_t const bit = std::uint64_t{1} << (number - 1);
  for (signal_slot& slot : signals_of_process().slots) {
    if ((slot.wanted.load() & bit) == 0) continue;
    slot.come.fetch_or(bit);
    std::uint64_t const one = 1;
    [[maybe_unused]] ssize_t const written = ::write(slot.descriptor.load(), &one, sizeof one);
  }
  errno = kept;
}

}  // namespace detail

KADORO_DECL result<void> signal_watch::open(std::vector<int> const& signals) {
  auto const failed = [](int number, int cause) {
    return fail(errc::io_failure, "signal " + std::to_string(number) + ": " + std::generic_category().message(cause));
  };
  auto& table = detail::signals_of_process();
  std::lock_guard const lock(table.mutex);
  for (int i = 0; i < max_watches && slot_ < 0; ++i) {
    if (!table.slots[static_cast<std::size_t>(i)].used) slot_ = i;
  }
  if (slot_ < 0) return fail(errc::queue_full, "signals: " + std::to_string(max_watches) + " waits at a time");
  detail::signal_slot& slot = table.slots[static_cast<std::size_t>(slot_)];
  if (slot.descriptor.load() < 0) {
    int const made = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (made < 0) {
      slot_ = -1;
      return failed(0, errno);
    }
    slot.descriptor.store(made);
  }
  slot.used = true;
  // A handler on another thread may have been on its way when the wait before this one ended.
  slot.come.store(0);
  std::uint64_t count = 0;
  [[maybe_unused]] ssize_t const emptied = ::read(slot.descriptor.load(), &count, sizeof count);
  for (int const number : signals) {
    if (number < 1 || number > detail::last_signal) return failed(number, EINVAL);
    std::uint64_t const bit = std::uint64_t{1} << (number - 1);
    if ((slot.wanted.load() & bit) != 0) continue;  // named twice
    slot.wanted.fetch_or(bit);
    auto const index = static_cast<std::size_t>(number);
    if (table.watchers[index] == 0) {
      struct sigaction action{};
      action.sa_handler = &detail::on_signal;
      ::sigfillset(&action.sa_mask);
      action.sa_flags = SA_RESTART;
      if (::sigaction(number, &action, &table.before[index]) != 0) {
        int const cause = errno;
        slot.wanted.fetch_and(~bit);
        return failed(number, cause);
      }
    }
    ++table.watchers[index];
    watched_.push_back(number);
  }
  return {};
}

KADORO_DECL signal_watch::~signal_watch() {
  if (slot_ < 0) return;
  auto& table = detail::signals_of_process();
  std::lock_guard const lock(table.mutex);
  detail::signal_slot& slot = table.slots[static_cast<std::size_t>(slot_)];
  slot.wanted.store(0);
  for (int const number : watched_) {
    auto const index = static_cast<std::size_t>(number);
    if (--table.watchers[index] == 0) ::sigaction(number, &table.before[index], nullptr);
  }
  slot.used = false;
}

KADORO_DECL int signal_watch::descriptor() const noexcept {
  return detail::signals_of_process().slots[static_cast<std::size_t>(slot_)].descriptor.load();
}

KADORO_DECL int signal_watch::take() noexcept {
  detail::signal_slot& slot = detail::signals_of_process().slots[static_cast<std::size_t>(slot_)];
  std::uint64_t const seen = slot.come.load() & slot.wanted.load();
  for (int number = 1; number <= detail::last_signal; ++number) {
    std::uint64_t const bit = std::uint64_t{1} << (number - 1);
    if ((seen & bit) == 0) continue;
    slot.come.fetch_and(~bit);
    return number;
  }
  return 0;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
