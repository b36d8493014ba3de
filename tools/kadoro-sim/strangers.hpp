#pragma once

#include <map>
#include <memory>
#include <vector>

#include "malice.hpp"
#include "run.hpp"

namespace kadoro_sim {

/// Those without the swarm key, and what they are told: nothing. Some of them listen on the path of the members'
/// datagrams, send these again from elsewhere, or forge where they come from.
class strangers final {
 public:
  strangers(run& in, errands& when, eavesdropper& ear, kadoro::random_source& random);
  ~strangers();

  /// One run in two, those who listen are close to the members: what they send again arrives first.
  void prepare();
  void begin();
  void end();

  /// Two members speak: what `ear` heard.
  void on_overheard(recorded const& what);
  /// A member has sent something to one of us.
  void on_told(recorded const& what, realm to);
  /// One of us has got something through to a member.
  void on_reached(realm from);
  void on_confirmed(member const& at, peer_ref const& who);

 private:
  /// A datagram that was sent again, and what came of it.
  struct replayed {
    kadoro::io::endpoint original_from;
    kadoro::io::endpoint to;
    std::size_t size = 0;
    bool sealed = false;
    std::uint32_t index = 0;  ///< of a first flight: what its sender calls the session
    std::size_t answers = 0;
  };
  /// The first answer to a first flight.
  struct answered {
    std::uint64_t life = 0;    ///< of who has answered
    kadoro::io::endpoint who;  ///< to whom
  };
  /// What was heard of one who dials under one index.
  struct dialled {
    kadoro::bytes first;   ///< its first flight
    bool another = false;  ///< and one that is not the same: an answer may be to either
  };
  struct forged_from {
    std::uint64_t in_bytes = 0;   ///< sent in its name
    std::uint64_t out_bytes = 0;  ///< sent to it
  };
  class dialler;

  bool has(fault what) const;
  void repeat(kadoro::duration mean, void (strangers::*what)());
  member* somebody();
  void knock();
  void tamper();
  void dial();
  void replay_some();
  void replay(recorded const& what, kadoro::duration delay);
  void relay(replayed const& of, recorded const& answer);
  void note_dialling(recorded const& what);
  bool is_answer(kadoro::bytes const& what) const;
  /// Whether `from` has given no answer to that first flight in this life yet, or gave it to `to`.
  bool answers_once(kadoro::io::endpoint const& from, kadoro::io::endpoint const& to, std::uint32_t index);
  void spoof_some();
  void spoof(recorded const& what);
  void look_for_traces();
  bool known_stranger(kadoro::kad::multiaddr const& where) const;
  void judge_amplification();

  run& run_;
  errands& when_;
  eavesdropper& ear_;
  kadoro::random_source& random_;
  std::size_t budget_ = 3000;  ///< datagrams of ours
  std::uint16_t next_port_ = 1024;
  std::map<std::uint16_t, replayed> replays_;
  std::map<std::pair<kadoro::io::endpoint, std::uint32_t>, answered> answered_;
  std::map<std::pair<kadoro::io::endpoint, std::uint32_t>, dialled> dialled_;
  std::map<kadoro::io::endpoint, forged_from> victims_;
  std::vector<std::unique_ptr<dialler>> diallers_;
};

}  // namespace kadoro_sim
