#pragma once

#include <cstdint>
#include <string_view>

#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro::inline KADORO_ABI::directory {

using multiformats::peer_id;

/// Something that changed in the map of shards.
struct directory_event {
  ///     (unknown) --found--> listed --suspect--> suspect --recovered--> listed
  ///                             \___________________\--lost--> (unknown)
  enum class kind : std::uint8_t {
    found,       ///< a holder's record was seen
    suspect,     ///< a contact with that holder failed, or it said goodbye: it does not count for now
    recovered,   ///< it answered again
    lost,        ///< its record is gone: see `reason`
    complete,    ///< every shard has a holder that was contacted, this node counted
    incomplete,  ///< that is over
    ready,       ///< complete, and every shard is loaded somewhere
    not_ready    ///< that is over
  };
  enum class loss : std::uint8_t {
    none,
    withdrawn,  ///< the holder said that it is over: a tombstone, or another shard instead
    left,       ///< it said goodbye, and its record ran out
    expired     ///< its record ran out
  };

  kind what = kind::found;
  std::uint32_t shard = 0;  ///< of found, suspect, recovered, lost
  peer_id holder;           ///< likewise
  loss reason = loss::none;
};

constexpr std::string_view to_string(directory_event::kind what) noexcept {
  switch (what) {
    case directory_event::kind::found: return "found";
    case directory_event::kind::suspect: return "suspect";
    case directory_event::kind::recovered: return "recovered";
    case directory_event::kind::lost: return "lost";
    case directory_event::kind::complete: return "complete";
    case directory_event::kind::incomplete: return "incomplete";
    case directory_event::kind::ready: return "ready";
    case directory_event::kind::not_ready: return "not_ready";
  }
  return "unknown";
}

constexpr std::string_view to_string(directory_event::loss reason) noexcept {
  switch (reason) {
    case directory_event::loss::none: return "none";
    case directory_event::loss::withdrawn: return "withdrawn";
    case directory_event::loss::left: return "left";
    case directory_event::loss::expired: return "expired";
  }
  return "unknown";
}

/// Hears what changes, in the order in which it happens, on the context's thread, never from inside the receive path.
/// Must not close or destroy the directory from inside the call.
class directory_observer {
 public:
  virtual void on_directory_event(directory_event const& event) = 0;

 protected:
  ~directory_observer() = default;
};

}  // namespace kadoro::inline KADORO_ABI::directory
