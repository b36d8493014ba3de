#pragma once

#include <optional>
#include <span>
#include <string>

#include "kadoro/transport/observed_addresses.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// Whether others can call a node, as far as it can know.
struct reachability {
  enum class kind : std::uint8_t {
    unknown,   ///< see `why`
    local,     ///< it is seen at a private address of its own: it can be called from its own network
    open,      ///< it is seen at a public address of its own, and was dialled there by a peer that it had never called
    nat_easy,  ///< behind a NAT that maps it to one address and port for all
    nat_hard   ///< behind a NAT that maps it to another port for each remote: nobody can be told where to call
  };

  kind now = kind::unknown;
  std::optional<io::endpoint> observed = {};  ///< where enough peers see it
  std::size_t agreeing = 0;                   ///< how many sources say so
  bool dialled_back = false;                  ///< by a peer that it had never called; a NAT then lets in everybody
  std::string why;                            ///< for people
};

/// `public`, `nat easy`, ...
KADORO_DECL std::string_view to_string(reachability::kind what) noexcept;
/// One line for people: the verdict, the address, and why.
KADORO_DECL std::string to_string(reachability const& r);

/// What came of asking others to dial an address of ours back.
struct dial_back_record {
  std::optional<io::endpoint> verified;  ///< the last address where a stranger got through
  std::optional<io::endpoint> tried;     ///< the last one where one tried
  std::size_t failed = 0;                ///< dials to `tried` of which nothing was heard
  bool nobody = false;                   ///< the last helper knew nobody whom we had not called
};

/// The verdict of what peers have said and done.
KADORO_DECL reachability judge_reachability(std::span<transport::observation const> words,
                                            dial_back_record const& dials);

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/reachability.ipp"
#endif
