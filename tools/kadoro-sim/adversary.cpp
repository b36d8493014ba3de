#include "adversary.hpp"

#include <utility>

#include "flood.hpp"
#include "liars.hpp"
#include "malice.hpp"
#include "strangers.hpp"
#include "sybils.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

struct adversary::parts {
  explicit parts(run& in)
      : of(in),
        random(in.made_of().seed ^ 0x6d616c696365u),
        when(in.world()),
        ear(random),
        lying(in, random),
        many(in, when, random),
        loud(in, when, ear, random),
        outside(in, when, ear, random) {}

  bool has(fault what) const { return of.made_of().faults.has(what); }
  void spread_lies() {
    lying.spread();
    when.after(around(1s, random), [this] { spread_lies(); });
  }

  run& of;
  chacha20_random random;
  errands when;
  eavesdropper ear;
  liars lying;
  sybils many;
  flood loud;
  strangers outside;
  bool listening = false;
  bool twin = false;     // the next datagram that departs is a copy that the network made
  bool damaged = false;  // ... is not as it was sent
};

adversary::adversary(run& in) : parts_(std::make_unique<parts>(in)) {}

adversary::~adversary() = default;

void adversary::prepare() { parts_->outside.prepare(); }

void adversary::begin() {
  parts& p = *parts_;
  p.lying.begin();
  if (p.has(fault::forge_records) || p.has(fault::stale_records)) p.spread_lies();
  for (fault const f : {fault::flood, fault::replay, fault::spoof, fault::stranger})
    p.listening = p.listening || p.has(f);
  if (p.has(fault::sybils)) p.many.begin();
  if (p.has(fault::flood)) p.loud.begin();
  p.outside.begin();
}

void adversary::end() {
  parts& p = *parts_;
  p.listening = false;
  p.when.stop();
  p.lying.end();
  p.many.end();
  p.outside.end();
}

void adversary::on_datagram(io::endpoint const& from, io::endpoint const& to, bytes_view data, io::sim::fate what) {
  using io::sim::fate;
  parts& p = *parts_;
  realm const sender = realm_of(from);
  realm const target = realm_of(to);
  bool sent = false;
  bool overheard = true;
  switch (what) {
    case fate::duplicated: p.twin = true; return;
    case fate::corrupted: p.damaged = true; return;
    case fate::departed:
      sent = !std::exchange(p.twin, false);
      overheard = !std::exchange(p.damaged, false);
      break;
    case fate::lost:
    case fate::black_holed:
    case fate::queue_full: sent = true; break;
    case fate::delivered:
      p.of.judge().on_arrived(to, data, sender > realm::sybils);
      if (sender == realm::flooder) p.of.judge().injected(fault::flood);
      if (sender > realm::flooder) p.outside.on_reached(sender);
      return;
    default: return;
  }
  if (!sent || sender != realm::members) return;
  if (target == realm::flooder) p.loud.on_told(from, to, data);
  if (target > realm::flooder && target != realm::nobody) p.outside.on_told({from, to, to_bytes(data)}, target);
  if (target != realm::members || !overheard || !p.listening) return;
  if (data.empty() || (data[0] == 3 && !one_in(8, p.random))) return;  // most are sealed ones
  recorded const heard{from, to, to_bytes(data)};
  p.ear.hear(heard);
  p.outside.on_overheard(heard);
}

void adversary::on_confirmed(member const& at, peer_ref const& who) { parts_->outside.on_confirmed(at, who); }

}  // namespace kadoro_sim
