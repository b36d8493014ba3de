#pragma once

#include <map>
#include <vector>

#include "member.hpp"
#include "run.hpp"

namespace kadoro_sim {

/// Members that lie for a while, and whom they know of.
class liars final {
 public:
  liars(run& in, kadoro::random_source& random) noexcept : run_(in), random_(random) {}

  /// Makes up to a fifth of the members lie: servers that nobody bootstraps from, without a directory.
  void begin();
  /// They keep to the protocol again.
  void end();
  /// They hand old and forged records on to others.
  void spread();

 private:
  class lying;

  run& run_;
  kadoro::random_source& random_;
  std::vector<std::pair<member*, std::shared_ptr<lying>>> all_;
};

}  // namespace kadoro_sim
