#pragma once

#include "kadoro/io/sim/storage.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

inline auto disk_error(errc code, std::string_view name, std::string_view why) {
  return fail(code, "simulated disk: '" + std::string(name) + "': " + std::string(why));
}

/// True, and one less to come, if this call is to fail.
inline bool use_up(std::uint64_t& failures) noexcept {
  if (failures == 0) return false;
  --failures;
  return true;
}

}  // namespace detail

KADORO_DECL result<bytes> storage::read(std::string_view name) {
  if (detail::use_up(failing_reads_)) return detail::disk_error(errc::io_failure, name, "injected read failure");
  auto const found = blobs_.find(name);
  if (found == blobs_.end()) return detail::disk_error(errc::not_found, name, "no such blob");
  return found->second;
}

KADORO_DECL result<void> storage::write(std::string_view name, bytes_view content) {
  if (detail::use_up(failing_writes_)) return detail::disk_error(errc::io_failure, name, "injected write failure");
  if (content.size() > max_blob_bytes) return detail::disk_error(errc::too_large, name, "too large");
  blobs_.insert_or_assign(std::string(name), to_bytes(content));
  ++writes_;
  return {};
}

KADORO_DECL result<void> storage::remove(std::string_view name) {
  if (detail::use_up(failing_writes_)) return detail::disk_error(errc::io_failure, name, "injected write failure");
  auto const found = blobs_.find(name);
  if (found != blobs_.end()) blobs_.erase(found);
  return {};
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
