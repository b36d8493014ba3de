#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <vector>

#include "kadoro/io/sim/world.hpp"
#include "member.hpp"
#include "oracle.hpp"
#include "plan.hpp"
#include "verdict.hpp"

namespace kadoro_sim {

class adversary;
class chaos;

/// Sees what happens in a run, for a trace.
class run_observer {
 public:
  virtual void on_datagram(kadoro::time_point now, std::uint64_t event, kadoro::io::endpoint const& from,
                           kadoro::io::endpoint const& to, kadoro::bytes_view data, kadoro::io::sim::fate what) = 0;
  /// A fault, an operation, a phase: `kind` and a few words.
  virtual void on_event(kadoro::time_point now, std::uint64_t event, std::string_view kind, std::string_view text) = 0;

 protected:
  ~run_observer() = default;
};

struct run_options {
  std::uint64_t until_event = 0;  ///< stop there; 0: to the end
  run_observer* observer = nullptr;
};

/// One swarm in one world: it starts, lives with faults, comes to rest, is judged, and closes. The same plan gives the
/// same run.
class run final : private kadoro::io::sim::observer {
 public:
  run(plan const& of, run_options how);
  ~run();
  run(run const&) = delete;
  run& operator=(run const&) = delete;

  verdict go();

  // For those who make trouble.
  kadoro::io::sim::world& world() noexcept { return world_; }
  plan const& made_of() const noexcept { return plan_; }
  oracle& judge() noexcept { return oracle_; }
  kadoro::random_source& random() noexcept { return random_; }
  std::vector<std::unique_ptr<member>>& members() noexcept { return members_; }
  std::vector<kadoro::kad::multiaddr> bootstrap() const;
  std::optional<kadoro::byte_array<32>> swarm_key() const;
  /// Calls `what` after `delay`, outside the code of any host.
  void later(kadoro::duration delay, std::function<void()> what);
  /// For the trace.
  void note(std::string_view kind, std::string_view text);
  /// Power on, again and again until it works.
  void start(member& m);
  /// Whether faults may still begin.
  bool in_trouble() const noexcept { return trouble_; }

 private:
  void on_datagram(kadoro::time_point now, kadoro::io::endpoint const& from, kadoro::io::endpoint const& to,
                   kadoro::bytes_view data, kadoro::io::sim::fate what) override;
  bool over() const noexcept;
  void advance(kadoro::duration length);
  bool advance_until(std::function<bool()> const& done, kadoro::duration limit);
  void add_member(bool has_directory);
  void look_around();
  void watch_views();
  void check_bounds();
  void check_ranges(member& m);

  void calm();
  void bring_back();
  std::vector<peer_id> servers() const;
  bool well_kept(member& m, kadoro::bytes_view key) const;
  bool overshadowed(member const& m, kadoro::bytes_view key) const;
  bool views_agree(std::string& why);
  void check_views(std::string_view since);
  void check_latecomer();
  void check_watch();
  void check_recall();
  void check_receipts();
  void judge_receipt(member& by, std::string const& key, kadoro::kad::put_receipt const& receipt);
  void check_first_puts(member& newcomer);
  void check_kept();
  void check_published();
  void check_providers();
  struct inheritance;
  std::vector<inheritance> inheritance_of(member& leaver) const;
  void check_leave();
  void check_islands();
  void check_rest();
  double rest_budget() const;
  void close_all(std::uint64_t frames_before);

  plan plan_;
  run_options how_;
  verdict verdict_;
  kadoro::io::sim::world world_;
  kadoro::chacha20_random random_;
  oracle oracle_;
  std::vector<std::unique_ptr<member>> members_;
  std::multimap<kadoro::time_point, std::function<void()>> agenda_;
  std::map<peer_id, kadoro::time_point> last_alive_;
  std::unique_ptr<chaos> chaos_;
  std::unique_ptr<adversary> adversary_;
  bool trouble_ = false;
};

/// Runs what `of` says; one seed in sixteen twice, the second time without faults, to compare the traffic.
verdict simulate(plan const& of, run_options how = {});

}  // namespace kadoro_sim
