#pragma once

#include <cstdint>
#include <string>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// What a node does when its database cannot be read or written.
enum class database_trouble : std::uint8_t {
  run_on,  ///< it runs without it, says so in its status, and calls nothing durable
  refuse   ///< it does not open; once it runs, it takes nothing from others but withdrawals as long as nothing can be
           ///< written
};

/// Whether what a node holds survives a crash, and if not why.
struct persistence_status {
  enum class state : std::uint8_t {
    none,     ///< no database was given
    working,  ///< what is called durable is on disk
    failing,  ///< a commit has failed; it is tried again and again
    off       ///< the database could not be read; it is left as it is
  };

  state now = state::none;
  std::string why;  ///< failing or off: the error

  std::uint64_t commits = 0;
  std::uint64_t failed_commits = 0;
  std::uint64_t entries_written = 0;
  std::uint64_t bytes_written = 0;     ///< of their keys and values
  std::uint64_t answered_durable = 0;  ///< who asked whether a record is on disk heard yes
  std::uint64_t answered_pending = 0;  ///< who asked heard "not yet"
  duration last_commit{};              ///< how long it held up the node
  duration longest_commit{};

  std::uint64_t loaded_live = 0;        ///< records that go on with what remained of their lives
  std::uint64_t loaded_sleeping = 0;    ///< records that wait for their publisher, because the machine has booted
  std::uint64_t loaded_remembered = 0;  ///< sequences without a record
  std::uint64_t loaded_contacts = 0;
  std::uint64_t loaded_dropped = 0;  ///< expired, or beyond the limits of the store
};

/// `working`, `failing: no space left ...`: one line for people.
inline std::string to_string(persistence_status const& s) {
  switch (s.now) {
    case persistence_status::state::none: return "none";
    case persistence_status::state::working: return "working";
    case persistence_status::state::failing: return "failing: " + s.why;
    case persistence_status::state::off: return "off: " + s.why;
  }
  return {};
}

}  // namespace kadoro::inline KADORO_ABI::kad
