#include "liars.hpp"

#include <algorithm>

#include "kadoro/kad/content.hpp"
#include "kadoro/kad/key.hpp"
#include "kadoro/transport/datagram/fragment.hpp"
#include "malice.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t max_seen = 64;               // records that a liar keeps
constexpr std::size_t made_up_peers = 24;          // that a liar tells of
constexpr std::uint64_t out_of_reach = 1'000'000;  // no publisher gets that far with its sequence

/// Hands `what` to a member as if it were held here.
coro::task<void> hand_on(observed_transport& by, peer_ref to, std::shared_ptr<kad::record const> what) {
  message m;
  m.type = message_type::replicate;
  m.key = what->key;
  m.record = kad::to_wire(*what, kad::to_wire_ms(what->lifetime_max), false);
  auto const answer = co_await by.request(std::move(to), m);
  static_cast<void>(answer);
}

}  // namespace

/// One kind of lie. What its answers view lives here until the next one.
class liars::lying final : public liar {
 public:
  lying(liars& all, member& self, fault kind) : all_(all), self_(self), kind_(kind), random_(all.random_.next()) {
    way_ = random_.below(all.run_.made_of().provided > 0 ? 8 : 4);  // older seeds know four ways
    for (std::size_t i = 0; kind == fault::lie_contacts && i < made_up_peers; ++i)
      made_up_.push_back(peer_id::of_ed25519(crypto::identity::generate(random_).public_key()));
  }

  bool on_request(peer_ref const& from, message const& request, message& answer, witness::reply& how) override {
    how = witness::reply::send;
    switch (kind_) {
      case fault::lie_contacts: return about_contacts(from, request, answer);
      case fault::forge_records: return forge(from, request, answer);
      case fault::stale_records: return keep_old(from, request, answer);
      case fault::swallow_puts: return swallow(request);
      default: return false;
    }
  }

  void spread() {
    bool const has_records = kind_ == fault::stale_records || kind_ == fault::forge_records;
    bool const content = kind_ == fault::forge_records && !contents_.empty() && random_.below(3) == 0;
    if (!has_records || (seen_.empty() && !content) || !self_.running()) return;
    auto const& members = all_.run_.members();
    member& to = *members[static_cast<std::size_t>(random_.below(members.size()))];
    if (&to == &self_ || !to.running() || to.how().nat != nullptr) return;
    std::shared_ptr<kad::record const> what;
    if (content) {
      what = std::make_shared<kad::record const>(
          forged_content(contents_[static_cast<std::size_t>(random_.below(contents_.size()))]));
    } else {
      auto const some = std::next(seen_.begin(), static_cast<std::ptrdiff_t>(random_.below(seen_.size())));
      what = std::make_shared<kad::record const>(kind_ == fault::stale_records ? some->second : forged(some->second));
    }
    peer_ref target = self_.node()->peer_of(to.id());
    target->add_address(to.address(), false);
    count();
    self_.host().spawn(hand_on(*self_.transport(), std::move(target), what));
  }

 private:
  void count() { all_.run_.judge().injected(kind_); }

  static bool is_write(message const& request) noexcept {
    return request.type == message_type::put_value || request.type == message_type::replicate;
  }

  static bool is_search(message const& request) noexcept {
    return request.type == message_type::get_value || request.type == message_type::get_providers;
  }

  static bool is_renewal(message const& request) noexcept {
    return request.type == message_type::renew || request.type == message_type::renew_content;
  }

  /// Remembers a record that somebody brought: the first of its slot, or the last.
  void capture(message const& request, bool newer_too) {
    if (!request.record) return;
    if (kad::is_content(*request.record)) {
      bytes const key = to_bytes(request.key);
      bool const known = std::count(contents_.begin(), contents_.end(), key) > 0;
      if (!known && contents_.size() < max_seen) contents_.push_back(key);
      return;
    }
    auto what = kad::from_wire(*request.record, request.key);
    if (!what || !equal(what->key, request.key)) return;
    slot_name const slot{what->key, what->publisher};
    auto const at = seen_.find(slot);
    if (at != seen_.end() && newer_too) at->second = std::move(*what);
    if (at != seen_.end() || seen_.size() >= max_seen) return;
    if (what->signature != byte_array<64>{}) seen_.emplace(slot, std::move(*what));
  }

  bool about_contacts(peer_ref const& from, message const& request, message& answer) {
    if (request.type != message_type::find_node && !is_search(request)) return false;
    if (way_ > 3 && !is_search(request)) return false;
    count();
    switch (way_) {
      case 0: return farthest(from, request, answer);
      case 1: return nobody(request, answer, request.contacts_cursor == 0 ? made_up_.size() : 0);
      case 2: return nobody(request, answer, 12);  // and there are always more
      case 3: return fellows(request, answer);
      default: return endless(request, answer, way_ % 2 == 0);
    }
  }

  /// There is always one more page of records, at the same place or behind it, and nothing in it that means anything.
  /// The transport tells where to go on where something does not fit, so the second record fits nowhere.
  bool endless(message const& request, message& answer, bool same_place) {
    std::uint64_t const here = std::max(request.records_cursor, out_of_reach);
    store_be(place_.data(), (same_place ? here - 1 : here) << 1);
    too_large_.resize(transport::datagram::max_large_message_bytes);
    wire::record junk;
    junk.signature = no_signature_;
    answer.records.push_back(junk);
    junk.publisher = place_;
    junk.value = too_large_;
    answer.records.push_back(junk);
    return true;
  }

  bool farthest(peer_ref const& from, message const& request, message& answer) {
    std::vector<kad::contact> known;
    self_.node()->table().closest(kad::key::of(request.key), self_.node()->table().size(), known);
    std::reverse(known.begin(), known.end());
    if (request.contacts_cursor > 0) return true;
    for (kad::contact const& c : known)
      if (c.peer != from && answer.contacts.size() < 20) answer.contacts.push_back(c.peer);
    return true;
  }

  /// Peers that do not exist, at an address of nobody.
  bool nobody(message const& request, message& answer, std::size_t count) {
    answer.contacts_cursor = request.contacts_cursor;
    for (std::size_t i = 0; i < count; ++i) {
      peer_id id = made_up_[i];
      if (way_ == 2) {  // new ones in every answer
        byte_array<32> key{};
        random_.fill(key);
        id = peer_id::of_ed25519(key);
      }
      peer_ref const who = self_.node()->peer_of(id);
      auto const host = static_cast<std::uint8_t>(1 + random_.below(3));
      if (who->addresses().empty())
        who->add_address(kad::multiaddr::datagram(address_in(realm::nobody, host, 4001)), true);
      answer.contacts.push_back(who);
    }
    return true;
  }

  bool fellows(message const& request, message& answer) {
    if (request.contacts_cursor > 0) return true;
    for (auto const& [who, lies] : all_.all_) {
      if (who == &self_ || !who->running()) continue;
      peer_ref const fellow = self_.node()->peer_of(who->id());
      if (fellow->addresses().empty()) fellow->add_address(who->address().without_peer(), true);
      answer.contacts.push_back(fellow);
    }
    return true;
  }

  /// As an honest node does it.
  void true_contacts(peer_ref const& from, message const& request, message& answer) {
    if (request.contacts_cursor > 0) return;
    std::vector<kad::contact> known;
    self_.node()->table().closest(kad::key::of(request.key), 8, known);
    for (kad::contact const& c : known)
      if (c.peer != from) answer.contacts.push_back(c.peer);
  }

  /// Never with the content of a genuine record, so that it can be told from one.
  kad::record forged(kad::record r) {
    std::uint32_t const provides = r.flags & kad::record::flag_provider;
    if (random_.below(4) == 0) {
      r.sequence += out_of_reach;
      r.flags = provides | kad::record::flag_tombstone;
      r.value.clear();
    } else {
      r.flags = provides;
      r.sequence += random_.below(3);
      r.value.resize(std::min<std::size_t>(r.value.size(), 300));
      r.value.push_back(static_cast<std::uint8_t>(random_.next()));
      byte_array<8> mark{};
      random_.fill(mark);
      r.value.append(mark);
    }
    if (random_.below(2) == 0) random_.fill(r.signature);
    return r;
  }

  /// Something else under that key.
  kad::record forged_content(bytes const& key) {
    bytes value(16);
    random_.fill(value);
    return kad::make_content(key, value, std::chrono::seconds(5));
  }

  void show(message const& request, message& answer, bool forge_them) {
    shown_.clear();
    auto const first = seen_.lower_bound({to_bytes(request.key), peer_id()});
    for (auto at = first; at != seen_.end() && equal(at->first.key, request.key); ++at) {
      if (transport::cursor_of(at->first.publisher.bytes()) < request.records_cursor) continue;
      shown_.push_back(forge_them ? forged(at->second) : at->second);
    }
    std::sort(shown_.begin(), shown_.end(), [](kad::record const& a, kad::record const& b) {
      return transport::cursor_of(a.publisher.bytes()) < transport::cursor_of(b.publisher.bytes());
    });
    for (kad::record const& r : shown_)
      answer.records.push_back(kad::to_wire(r, kad::to_wire_ms(r.lifetime_max), false));
    if (!shown_.empty()) count();
  }

  bool forge(peer_ref const& from, message const& request, message& answer) {
    if (is_write(request)) capture(request, true);
    if (!is_search(request)) return false;
    if (request.record && kad::is_content(*request.record)) {
      shown_ = {forged_content(to_bytes(request.key))};
      answer.records.push_back(kad::to_wire(shown_[0], kad::to_wire_ms(shown_[0].lifetime_max), false));
      count();
    } else {
      show(request, answer, true);
    }
    true_contacts(from, request, answer);
    return true;
  }

  bool keep_old(peer_ref const& from, message const& request, message& answer) {
    if (is_write(request)) capture(request, false);
    if (is_write(request) || is_renewal(request)) return true;
    if (!is_search(request)) return false;
    show(request, answer, false);
    true_contacts(from, request, answer);
    return true;
  }

  bool swallow(message const& request) {
    if (!is_write(request) && !is_renewal(request)) return false;
    count();
    return true;
  }

  liars& all_;
  member& self_;
  fault kind_;
  chacha20_random random_;
  std::uint64_t way_ = 0;
  std::vector<peer_id> made_up_;
  std::map<slot_name, kad::record> seen_;
  std::vector<bytes> contents_;  // keys
  std::vector<kad::record> shown_;
  byte_array<8> place_{};  // a publisher's last bytes, which say where to go on
  byte_array<64> no_signature_{};
  bytes too_large_;
};

void liars::begin() {
  std::vector<fault> kinds;
  bool const datagrams = run_.made_of().transport == transport_kind::datagram;
  for (fault const f : {fault::lie_contacts, fault::swallow_puts})
    if (run_.made_of().faults.has(f)) kinds.push_back(f);
  for (fault const f : {fault::forge_records, fault::stale_records})
    if (datagrams && run_.made_of().faults.has(f)) kinds.push_back(f);
  if (kinds.empty()) return;
  std::size_t left = run_.members().size() / 5;
  for (auto const& m : run_.members()) {
    auto const& how = m->how();
    bool const may = !how.seed && !how.has_directory && how.nat == nullptr && how.mode == kad::peer_mode::server;
    if (!may || left == 0 || random_.below(3) == 0) continue;
    --left;
    fault const kind = kinds[static_cast<std::size_t>(random_.below(kinds.size()))];
    run_.note("liar", std::to_string(how.index) + " " + std::string(to_string(kind)));
    all_.emplace_back(m.get(), std::make_shared<lying>(*this, *m, kind));
    m->set_liar(all_.back().second);
  }
}

void liars::end() {
  for (auto const& [who, lies] : all_) who->set_liar(nullptr);
  all_.clear();
}

void liars::spread() {
  for (auto const& [who, lies] : all_) lies->spread();
}

}  // namespace kadoro_sim
