#include "strangers.hpp"

#include <algorithm>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;
namespace datagram = transport::datagram;

namespace {

constexpr std::uint64_t victims = 3;
constexpr std::uint64_t allowed = 3;  // times what came from an address, back to it

io::endpoint place_of(io::endpoint where) noexcept {
  where.set_port(0);
  return where;
}

/// Of a first flight, what its sender calls the session; else 0.
std::uint32_t index_of(recorded const& what) {
  bool const whole = what.first_flight() && what.data.size() == datagram::first_flight_bytes;
  return whole ? load_be<std::uint32_t>(what.data.data() + 4) : 0;
}

std::string name(recorded const& what) {
  return std::to_string(what.data.size()) + " bytes of type " + std::to_string(what.data.empty() ? 0 : what.data[0]) +
         " from " + what.from.to_string() + " to " + what.to.to_string();
}

}  // namespace

/// A whole transport with another swarm key, or none, that calls members.
class strangers::dialler final {
 public:
  dialler(run& in, std::uint8_t number, bool any_key, random_source& random)
      : run_(in),
        host_(std::make_unique<io::sim::context>(in.world(), address_in(realm::strangers, number, 4001))),
        self_(crypto::identity::generate(random)) {
    kad::node_options how;
    how.listen = address_in(realm::strangers, number, 4001);
    if (any_key) {
      how.swarm_key.emplace();
      random.fill(*how.swarm_key);
    }
    transport_ = std::move(transport_of(in.made_of())(*host_, book_, self_, how).value());
  }
  dialler(dialler const&) = delete;
  dialler& operator=(dialler const&) = delete;
  ~dialler() { host_->crash(); }

  void call(member const& whom) { host_->spawn(ask(*this, book_.intern(whom.id()), whom.address())); }

 private:
  static coro::task<void> ask(dialler& d, peer_ref to, kad::multiaddr where) {
    to->add_address(where, false);
    message m;
    m.type = message_type::find_node;
    m.key = as_bytes("who is there");
    auto const answer = co_await d.transport_->request(to, m);
    d.run_.judge().expect(!answer, check::stranger_silence,
                          [&] { return to->id().short_string() + " answers a stranger"; });
  }

  run& run_;
  std::unique_ptr<io::sim::context> host_;
  transport::peer_book book_;
  crypto::identity self_;
  std::unique_ptr<transport::transport> transport_;
};

strangers::strangers(run& in, errands& when, eavesdropper& ear, random_source& random)
    : run_(in), when_(when), ear_(ear), random_(random) {}

strangers::~strangers() = default;

/// Without a swarm key nobody is a stranger; a forged sender is one for everybody. What is overheard of streams is of
/// no use: they stand for connections that whoever listens cannot enter.
bool strangers::has(fault what) const {
  plan const& p = run_.made_of();
  bool const possible = what == fault::stranger || p.transport == transport_kind::datagram;
  return possible && p.faults.has(what) && (p.secret || what == fault::spoof);
}

void strangers::begin() {
  if (has(fault::stranger)) {
    diallers_.push_back(std::make_unique<dialler>(run_, 2, false, random_));
    diallers_.push_back(std::make_unique<dialler>(run_, 3, true, random_));
    repeat(2s, &strangers::knock);
    repeat(2s, &strangers::tamper);
    repeat(2s, &strangers::dial);
  }
  if (has(fault::replay)) repeat(700ms, &strangers::replay_some);
  if (has(fault::spoof)) repeat(1500ms, &strangers::spoof_some);
  if (has(fault::replay) || has(fault::spoof)) repeat(1s, &strangers::look_for_traces);
}

void strangers::end() {
  diallers_.clear();
  look_for_traces();
  judge_amplification();
}

void strangers::prepare() {
  if (!(has(fault::replay) || has(fault::spoof)) || one_in(2, random_)) return;
  io::sim::link_policy close;
  close.delay = 50us;
  for (auto const& m : run_.members()) {
    run_.world().set_link(address_in(realm::replayer, 1, 0), m->how().address, close);
    for (std::uint64_t i = 0; i < victims; ++i)
      run_.world().set_link(address_in(realm::victims, static_cast<std::uint8_t>(i + 1), 0), m->how().address, close);
  }
}

void strangers::repeat(duration mean, void (strangers::*what)()) {
  when_.after(around(mean, random_), [this, mean, what] {
    (this->*what)();
    repeat(mean, what);
  });
}

member* strangers::somebody() {
  auto const& all = run_.members();
  member* const m = all[static_cast<std::size_t>(random_.below(all.size()))].get();
  return m->running() && m->how().nat == nullptr ? m : nullptr;
}

// ---- without the key ------------------------------------------------------------------------------------------------

/// Something of every kind and size, and none of it right.
void strangers::knock() {
  member const* const to = somebody();
  if (to == nullptr) return;
  for (std::uint64_t i = 1 + random_.below(8); i > 0 && budget_ > 0; --i, --budget_) {
    std::uint64_t const type = random_.below(6);
    bool const exact = type == 1 && random_.below(2) == 0;
    bytes what(exact ? datagram::first_flight_bytes : 1 + static_cast<std::size_t>(random_.below(1400)));
    random_.fill(what);
    what[0] = static_cast<std::uint8_t>(type);
    if (what.size() > 1) what[1] = datagram::protocol_version;
    run_.world().inject(address_in(realm::strangers, 1, 4001), to->how().address, what);
  }
}

/// What a member has said, with one byte changed. Not in the last ones of a first flight, which answer a cookie and
/// mean nothing to whoever has asked for none: that would be a replay.
void strangers::tamper() {
  for (std::uint64_t i = 1 + random_.below(6); i > 0 && budget_ > 0; --i, --budget_) {
    recorded const* const one = ear_.any();
    if (one == nullptr) return;
    bytes what = one->data;
    std::size_t const spared = what.size() == datagram::first_flight_bytes ? datagram::mac_bytes : 0;
    auto const at = static_cast<std::size_t>(random_.below(what.size() - spared));
    auto const by = static_cast<std::uint8_t>(1 + random_.below(255));
    what[at] ^= by;
    run_.world().inject(address_in(realm::strangers, 1, 4001), one->to, what);
  }
}

void strangers::dial() {
  member const* const to = somebody();
  if (to == nullptr || budget_ == 0) return;
  --budget_;
  diallers_[static_cast<std::size_t>(random_.below(diallers_.size()))]->call(*to);
}

// ---- with the ears only ---------------------------------------------------------------------------------------------

void strangers::on_overheard(recorded const& what) {
  if (has(fault::replay)) note_dialling(what);
  // Some are sent again at once. Whatever is rare is worth more.
  std::uint64_t const rarity = what.data.empty() || what.data[0] == 3 ? 12 : 6;
  if (has(fault::replay) && one_in(rarity, random_)) replay(what, duration::zero());
  if (has(fault::spoof) && what.first_flight() && one_in(rarity, random_))
    when_.after(duration::zero(), [this, what] { spoof(what); });
}

void strangers::replay_some() {
  for (std::uint64_t i = 1 + random_.below(6); i > 0; --i) {
    recorded const* const one = ear_.any();
    if (one == nullptr) return;
    duration const delay = one_in(2, random_) ? duration::zero() : around(8s, random_);
    replay(*one, delay);
  }
}

void strangers::replay(recorded const& what, duration delay) {
  if (budget_ == 0) return;
  --budget_;
  std::uint16_t const port = next_port_++;
  replays_[port] = {what.from, what.to, what.data.size(), !what.data.empty() && what.data[0] == 3, index_of(what), 0};
  when_.after(delay,
              [this, what, port] { run_.world().inject(address_in(realm::replayer, 1, port), what.to, what.data); });
}

/// What a replay of it is compared with.
void strangers::note_dialling(recorded const& what) {
  if (is_answer(what.data)) answers_once(what.from, what.to, load_be<std::uint32_t>(what.data.data() + 8));
  std::uint32_t const index = index_of(what);
  if (index == 0) return;
  std::size_t const same = what.data.size() - datagram::mac_bytes;  // a cookie may come behind it
  dialled& known = dialled_.try_emplace({what.to, index}, dialled{what.data, false}).first->second;
  known.another = known.another || !equal(bytes_view(known.first).first(same), bytes_view(what.data).first(same));
}

bool strangers::is_answer(bytes const& what) const {
  return run_.made_of().transport == transport_kind::datagram && what.size() >= 12 &&
         what[0] == static_cast<std::uint8_t>(datagram::packet_type::answer);
}

bool strangers::answers_once(io::endpoint const& from, io::endpoint const& to, std::uint32_t index) {
  auto const& all = run_.members();
  auto const by = std::find_if(all.begin(), all.end(), [&from](auto const& m) { return m->how().address == from; });
  if (by == all.end()) return true;  // behind a NAT
  auto const flight = dialled_.find({from, index});
  if (flight == dialled_.end() || flight->second.another) return true;
  answered& first = answered_.try_emplace({from, index}, answered{(*by)->life(), to}).first->second;
  if (first.life != (*by)->life()) first = {(*by)->life(), to};
  return first.who == to;
}

/// The answer to a replay goes on to whom it was meant for, as if from its true sender.
void strangers::relay(replayed const& of, recorded const& answer) {
  if (budget_ == 0) return;
  --budget_;
  when_.after(duration::zero(),
              [this, from = of.to, to = of.original_from, what = answer.data] { run_.world().inject(from, to, what); });
}

void strangers::spoof_some() {
  recorded const* const one = one_in(4, random_) ? ear_.any() : ear_.any_first_flight();
  if (one == nullptr) return;
  recorded const what = *one;
  for (std::uint64_t i = 1 + random_.below(4); i > 0; --i) spoof(what);
}

void strangers::spoof(recorded const& what) {
  if (budget_ == 0) return;
  --budget_;
  auto const host = static_cast<std::uint8_t>(1 + random_.below(victims));
  auto const victim = address_in(realm::victims, host, static_cast<std::uint16_t>(4001 + random_.below(2)));
  victims_[place_of(victim)].in_bytes += what.data.size();
  run_.world().inject(victim, what.to, what.data);
}

// ---- what comes of it -----------------------------------------------------------------------------------------------

void strangers::on_told(recorded const& what, realm to) {
  oracle& judge = run_.judge();
  if (to == realm::strangers) {
    judge.broke(check::stranger_silence, "a stranger is told " + name(what));
  } else if (to == realm::replayer) {
    auto const at = replays_.find(what.to.port());
    if (at == replays_.end())
      return judge.broke(check::replay_one_answer, "a port that sent nothing is told " + name(what));
    replayed& r = at->second;
    ++r.answers;
    // What a session says is answered by nothing but a challenge to the new address.
    std::size_t const most =
        r.sealed ? std::min(allowed * r.size, std::uint64_t{datagram::path_packet_bytes}) : r.size - 1;
    if (r.answers > 1 || what.data.size() > most)
      return judge.broke(check::replay_one_answer, "a replay of " + std::to_string(r.size) + " bytes to " +
                                                       r.to.to_string() + " got " + std::to_string(r.answers) +
                                                       " answers, the last " + name(what));
    if (is_answer(what.data) && !answers_once(r.to, what.to, r.index))
      return judge.broke(check::replay_one_answer, r.to.to_string() + " answers a first flight of " +
                                                       r.original_from.to_string() + " a second time, to " +
                                                       what.to.to_string());
    if (has(fault::replay) && one_in(2, random_)) relay(r, what);
  } else if (to == realm::victims) {
    victims_[place_of(what.to)].out_bytes += what.data.size();
    judge_amplification();
  }
}

void strangers::on_reached(realm from) {
  oracle& judge = run_.judge();
  if (from == realm::strangers) {
    judge.injected(fault::stranger);
    judge.passed(check::stranger_silence);
  } else if (from == realm::replayer) {
    judge.injected(fault::replay);
    judge.passed(check::replay_one_answer);
  } else if (from == realm::victims) {
    judge.injected(fault::spoof);
    judge.passed(check::amplification);
  }
}

void strangers::judge_amplification() {
  for (auto const& [who, v] : victims_) {
    if (v.out_bytes <= allowed * v.in_bytes) continue;
    run_.judge().broke(check::amplification, who.to_string() + " got " + std::to_string(v.out_bytes) +
                                                 " bytes, while " + std::to_string(v.in_bytes) + " came in its name");
  }
}

bool strangers::known_stranger(kad::multiaddr const& where) const {
  auto const at = where.udp_endpoint();
  if (!at) return false;
  realm const r = realm_of(*at);
  return r == realm::strangers || r == realm::replayer || r == realm::victims;
}

void strangers::on_confirmed(member const& at, peer_ref const& who) {
  if (replays_.empty() && victims_.empty()) return;
  for (transport::peer::address const& a : who->addresses())
    if (a.confirmed && known_stranger(a.where))
      run_.judge().broke(
          check::replay_teaches_nothing,
          at.id().short_string() + " believes that " + who->id().short_string() + " lives at " + a.where.to_string());
  run_.judge().passed(check::replay_teaches_nothing);
}

/// Nobody has any of our addresses from anywhere.
void strangers::look_for_traces() {
  for (auto const& m : run_.members()) {
    if (m->node() == nullptr) continue;
    m->node()->table().for_each([&](kad::contact const& c) {
      for (transport::peer::address const& a : c.peer->addresses())
        if (known_stranger(a.where))
          run_.judge().broke(check::replay_teaches_nothing, m->id().short_string() + " thinks that " +
                                                                c.peer->id().short_string() + " may live at " +
                                                                a.where.to_string());
    });
  }
}

}  // namespace kadoro_sim
