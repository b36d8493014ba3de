#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace kadoro_soak {

/// What must never happen.
enum class rule : std::uint8_t {
  lost,           ///< a live record that was acknowledged is not found
  older,          ///< a get with quorum gives a sequence below one that was acknowledged
  resurrected,    ///< a get with quorum gives a record below a tombstone that was acknowledged
  invented,       ///< a sequence above all that its publisher has ever put
  put_failed,     ///< a put whose quorum was not met
  watch_behind,   ///< a watch that has not come to what a get saw
  watch_expired,  ///< a watch that says of a live record that it ran out
  deadline,       ///< an operation that was still under way when its deadline came
  hang,           ///< one that does not end even then
  twice,          ///< one that ended twice
  crash,          ///< a process that ended by itself
  stubborn,       ///< one that does not leave when it is asked to
  busy,           ///< one that computes for seconds without coming back to its loop
  memory          ///< a process that grows
};
inline constexpr std::size_t rule_count = 14;
std::string_view to_string(rule what) noexcept;

struct violation {
  rule what = rule::lost;
  double at_ms = 0;
  std::string text;
};

/// Knows what every process has published, and when which of them was down, and so what a get may give.
///
/// A process is **disturbed** from the signal on until `heal_ms` after it has joined again or goes on; so is one that
/// the machine did not run, or whose disk did not answer, for a quarter of a second (a stall: it says so itself). While
/// more processes than the quorum tolerates (r minus a majority of r) are disturbed, what is missing or old is excused,
/// and counted as such; so is what a process sees that was stopped meanwhile. Everything else is a violation:
///
/// - F is the last statement of a publisher that was acknowledged by a majority before the get began. A record must be
///   found if F is one and it lives: its publisher has run ever since, or F's lifetime has not passed. Later statements
///   that began before the get ended may be seen instead.
/// - A get with quorum that could ask enough (`unconfirmed` otherwise) gives no record below F, whether F is a record
/// or
///   a tombstone. A get for the first valid copy may; that is counted.
/// - F is not counted on if it was not put as durable, and more processes than the quorum tolerates were killed before
///   they can have committed it: within `commit_ms` after it was acknowledged, and five times the longest stall around
///   then, because a disk that takes so long for a commit is left alone for four times as long.
class judge {
 public:
  static constexpr double heal_ms = 10'000;
  static constexpr double commit_ms = 2'000;

  judge(std::size_t processes, std::size_t replicas, double start_ms);

  // What the parent does and sees.
  void went(std::size_t who, double at_ms, bool killed);  ///< down, or stopped
  void back(std::size_t who, double at_ms);               ///< has joined, or goes on
  void died(std::size_t who, unsigned life, double at_ms);
  /// Its loop did not turn from then to then, and used so much of that to compute.
  void stalled(std::size_t who, double from_ms, double to_ms, double cpu_ms);
  void name_is(std::size_t who, std::string name) { names_[std::move(name)] = who; }

  // What a process says.
  void heard(std::size_t who, unsigned life, nlohmann::json const& line);

  /// Judges what ended so long ago that everything that matters to it has been heard.
  void settle(double now_ms);
  void broke(rule what, double at_ms, std::string text);

  /// How many are disturbed at some instant between the two.
  std::size_t disturbed(double from_ms, double to_ms) const;
  std::size_t tolerated() const noexcept { return tolerated_; }

  std::vector<violation> const& violations() const noexcept { return violations_; }
  std::uint64_t violated() const noexcept { return violated_; }
  std::array<std::uint64_t, rule_count> const& by_rule() const noexcept { return by_rule_; }

  struct tallies {
    std::uint64_t judged = 0;          ///< gets of slots of which something was known
    std::uint64_t expected_live = 0;   ///< of these, where a record had to be found
    std::uint64_t expected_gone = 0;   ///< of these, where a withdrawn one had to stay away
    std::uint64_t excused = 0;         ///< missing or old, while too many were disturbed
    std::uint64_t unconfirmed = 0;     ///< gets with quorum that could not ask enough
    std::uint64_t first_stale = 0;     ///< gets for the first valid copy that gave an older one
    std::uint64_t not_counted_on = 0;  ///< statements that were not durable when many were killed
    std::uint64_t stalls = 0;
    double longest_stall_ms = 0;
    std::uint64_t watch_events = 0;
    std::uint64_t watch_checks = 0;
    std::uint64_t puts_acknowledged = 0;
    std::uint64_t puts_durable = 0;
    std::uint64_t puts_not_durable = 0;  ///< acknowledged, but too few could say in time that it is on their disks
    std::uint64_t puts_failed = 0;       ///< excused or not
  };
  tallies const& counts() const noexcept { return counts_; }

 private:
  static constexpr double never = 1e300;
  static constexpr double wait_ms = 3'000;
  static constexpr double remember_ms = 60'000;
  static constexpr std::size_t texts_kept = 100;

  struct span {
    double from_ms;
    double to_ms;
  };
  struct statement {
    std::uint64_t id = 0;
    unsigned life = 0;
    bool tombstone = false;
    bool wants_durable = false;
    bool acknowledged = false;
    bool durable = false;
    double lifetime_ms = 0;
    double begun_ms = 0;
    double ended_ms = never;
    std::uint64_t sequence = 0;  ///< known once it has ended
  };
  /// A key's record of one publisher.
  struct slot {
    std::deque<statement> said;
    std::uint64_t highest = 0;
  };
  using slot_name = std::pair<std::string, std::size_t>;

  void put_begun(std::size_t who, unsigned life, nlohmann::json const& line);
  void put_ended(std::size_t who, unsigned life, nlohmann::json const& line);
  void judge_line(std::size_t who, nlohmann::json const& line);
  void judge_get(std::size_t who, nlohmann::json const& line);
  void judge_slot(std::size_t reader, slot_name const& name, slot const& of, nlohmann::json const& line);
  void judge_put(std::size_t who, nlohmann::json const& line);
  void judge_behind(std::size_t who, nlohmann::json const& line);
  void judge_expired(std::size_t who, nlohmann::json const& line);

  statement const* last_before(slot const& of, double at_ms);
  bool may_be_lost(statement const& s) const;
  bool lives(std::size_t publisher, statement const& s, double at_ms) const;
  bool excused(std::size_t who, double from_ms, double to_ms) const;
  void forget(double now_ms);
  static std::string told(statement const& s);

  std::size_t tolerated_;
  double start_ms_;
  std::map<std::string, std::size_t> names_;
  std::vector<std::deque<span>> down_;
  std::vector<span> stalls_;  ///< of all processes
  std::deque<std::pair<double, std::size_t>> kills_;
  std::vector<std::map<unsigned, double>> deaths_;
  std::map<slot_name, slot> slots_;
  std::map<std::pair<std::size_t, std::uint64_t>, slot_name> open_puts_;  ///< of a process's present life
  struct waiting_line {
    double heard_ms;
    std::size_t who;
    nlohmann::json line;
  };
  std::deque<waiting_line> waiting_;
  std::vector<violation> violations_;
  std::uint64_t violated_ = 0;
  std::array<std::uint64_t, rule_count> by_rule_{};
  tallies counts_;
};

}  // namespace kadoro_soak
