#pragma once

#include <charconv>
#include <string>

#include "kadoro/base/result.hpp"
#include "kadoro/io/storage.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// The sequence numbers of one publisher: each higher than any before, across restarts. It reserves them in blocks, so
/// that a put rarely waits for the disk; after a crash the rest of a block is skipped.
class sequencer {
 public:
  static constexpr std::uint64_t block = 4096;

  sequencer() = default;

  /// Goes on behind what the blob says was reserved; a missing blob starts from 1. Errors: the storage's, and
  /// `malformed` for a blob that is no number.
  static result<sequencer> open(io::storage& storage, std::string blob) {
    sequencer s;
    s.storage_ = &storage;
    s.blob_ = std::move(blob);
    auto const content = storage.read(s.blob_);
    if (!content) {
      if (content.error() == errc::not_found) return s;
      return fail(content.error());
    }
    std::string_view const text = as_text(*content);
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), s.reserved_);
    if (problem != std::errc() || end == text.data())
      return fail(errc::malformed, s.blob_ + ": not a sequence number; remove the file to start again");
    s.last_ = s.reserved_;
    return s;
  }

  /// The next number. Fails with the storage's error if it cannot be reserved.
  result<std::uint64_t> next() {
    if (storage_ != nullptr && last_ == reserved_) {
      std::string const text = std::to_string(last_ + block);
      auto const written = storage_->write(blob_, as_bytes(text));
      if (!written) return fail(written.error());
      reserved_ = last_ + block;
    }
    return ++last_;
  }

  /// The latest number given, or reserved before a restart.
  std::uint64_t last() const noexcept { return last_; }

  /// Somebody remembers `seen` of ours: the next number is higher.
  void adopt(std::uint64_t seen) noexcept {
    if (seen <= last_ || seen == ~std::uint64_t{0}) return;
    last_ = seen;
    if (last_ > reserved_) reserved_ = last_;  // what follows is reserved anew
  }

 private:
  io::storage* storage_ = nullptr;
  std::string blob_;
  std::uint64_t last_ = 0;
  std::uint64_t reserved_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::kad
