#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kadoro/base/block_pool.hpp"
#include "kadoro/base/error.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/coro/scheduler.hpp"
#include "kadoro/kad/kept_slot.hpp"
#include "kadoro/kad/record.hpp"
#include "kadoro/kad/verified_cache.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// How much a node keeps for others. A range is a range of addresses that one owner usually holds.
struct store_limits {
  std::size_t max_records = 65536;
  std::size_t max_bytes = std::size_t{256} << 20;  ///< of keys and values: 4,000 of the largest
  std::size_t max_records_per_publisher = max_records / 4;
  std::size_t max_bytes_per_publisher = max_bytes / 4;
  std::size_t max_records_per_range = max_records / 4;
  std::size_t max_bytes_per_range = max_bytes / 4;
  std::size_t max_value_bytes = record::max_value_bytes;
  /// Slots, that is pairs of key and publisher, whether their record lives or only its sequence is remembered: a new
  /// one is refused before an old one is forgotten too early. A publisher or a range gets a quarter of them.
  std::size_t max_remembered = 131072;
  std::size_t verify_backlog = 1024;  ///< records that wait for their signature to be verified
};

/// Every put and renew ends in exactly one of the first twelve.
struct store_counters {
  std::uint64_t stored = 0;     ///< a new sequence came in
  std::uint64_t renewed = 0;    ///< the publisher said the same again
  std::uint64_t unchanged = 0;  ///< another holder handed on what is held already
  std::uint64_t refused_malformed = 0;
  std::uint64_t refused_too_large = 0;
  std::uint64_t refused_stale = 0;
  std::uint64_t refused_signature = 0;
  std::uint64_t refused_hash = 0;  ///< content whose key is not the hash of its value
  std::uint64_t refused_unknown = 0;
  std::uint64_t refused_full = 0;            ///< the store, or its memory of sequences, is full
  std::uint64_t refused_full_publisher = 0;  ///< the publisher's share is
  std::uint64_t refused_full_range = 0;      ///< the share of the address range is
  std::uint64_t bad_signature = 0;           ///< acknowledged on the session, then found not to be signed, and dropped
  std::uint64_t verified_inline = 0;         ///< before the acknowledgement
  std::uint64_t verified_later = 0;          ///< idle, or because somebody wanted to read
  std::uint64_t expired = 0;
  std::uint64_t displaced = 0;  ///< unsigned ones, by a signed one of the publisher that they name
  std::uint64_t forgotten = 0;  ///< sequences that need not be remembered any more
};

/// The records that a node holds, one slot per key and publisher, with the rules of their life:
///
///     (nothing) --put--> pending --verified--> valid --expired--> remembered --forgotten--> (nothing)
///                           |                    ^  \__ renew, or a higher sequence
///                           +--- bad signature: dropped; the last valid copy beside it stays
///
/// - A record lives for min(remaining, lifetime_max) after it was put. Only its publisher extends that.
/// - The highest sequence counts, and is remembered for 1.05 lifetime_max after it expired, tombstones included, so
///   that no copy from elsewhere brings an old record back.
/// - What the publisher puts over its own session is acknowledged before its signature is verified, but neither shown
///   to anybody nor let replace a valid copy until it is.
/// - A record without signature stands in its publisher's slot if the publisher itself brought it; whatever else a peer
///   brings stands in one slot of that sender. It has no sequence, nobody renews it, nothing is remembered of it, and
///   it gives way to the signed word of the publisher that it names, as long as that is known or remembered.
///
/// - A record that was kept on disk while the machine booted sleeps: it is held, but not shown, until its publisher
///   renews it. Its sequence counts.
/// - Content, whose key is the hash of its value, stands in one slot that has no owner, and counts against the share of
///   who brought it first. Its hash is looked at before it is stored. It lives for the longest that anybody has granted
///   by a put or a renewal; to hand it on extends nothing. When it ends nothing is remembered of it.
///
/// Knows no clock: every `now` comes from the caller and never goes back. What is due by then has happened first.
class record_store {
 public:
  /// Who brought a record.
  enum class origin : std::uint8_t {
    publisher_session,  ///< its publisher, over its own confirmed session (the caller has compared the two)
    handed_on,          ///< another holder, or a reader that repairs
    own                 ///< this node itself: trusted, and counted against no limit
  };

  struct put_result {
    std::optional<errc> refused;
    std::optional<record_header> held;  ///< with `refused_stale`: the highest that is known
    bool changed = false;               ///< readers see something new, once it is verified
  };

  struct held {
    record const* value = nullptr;  ///< valid until the store changes
    duration remaining{};
    bool relayed = false;  ///< unsigned, and brought by somebody else than the publisher that it names
  };

  /// Hears that readers of `key` see something else of `publisher` than before; `ended`: nothing any more. Called in
  /// the middle of the change: it must not use the store.
  using change_handler = std::function<void(bytes_view key, peer_id const& publisher, bool ended)>;

  /// Hears of every change, to keep it on disk.
  class listener {
   public:
    /// `times_only`: the records are as before, only until when they live has changed.
    virtual void on_slot_changed(bytes_view key, peer_id const& owner, bool relayed, bool times_only) = 0;

   protected:
    ~listener() = default;
  };

  /// `secret`: who knows it can choose keys that make the store slow.
  KADORO_DECL record_store(store_limits const& limits, verified_cache& cache, crypto::digest const& secret = {});
  record_store(record_store const&) = delete;
  record_store& operator=(record_store const&) = delete;
  KADORO_DECL ~record_store();

  void set_change_handler(change_handler hears) { on_change_ = std::move(hears); }

  /// Takes a record, or says why not: `malformed`, `refused_too_large`, `refused_stale`, `refused_signature`,
  /// `refused_full`. The same sequence again: from its publisher a renewal, from another holder no change; with another
  /// content `refused_stale`, as is a sequence that has expired here unless the publisher itself brings it.
  KADORO_DECL put_result put(record what, origin from, std::optional<std::uint64_t> range, duration remaining,
                             time_point now);

  /// Takes a record without signature that `sender` brought; its life is its `lifetime_max`. What the same sender put
  /// there before is replaced. `malformed`, `refused_too_large`, `refused_full` (the share is the sender's), and
  /// `refused_stale` if a signed record or tombstone of the publisher that it names is known, or only its sequence.
  KADORO_DECL put_result put_unsigned(record what, peer_id const& sender, std::optional<std::uint64_t> range,
                                      time_point now);

  /// The publisher says, over its own session, that exactly this sequence lives on: until now + lifetime_max.
  /// `refused_unknown` if no such copy is held, `refused_stale` if a higher sequence is known.
  KADORO_DECL std::optional<errc> renew(bytes_view key, peer_id const& publisher, std::uint64_t sequence,
                                        time_point now);

  /// Takes content that `sender` brought. `malformed`, `refused_too_large`, `refused_full` (the share is the sender's),
  /// `refused_hash`.
  KADORO_DECL put_result put_content(record what, origin from, peer_id const& sender,
                                     std::optional<std::uint64_t> range, duration remaining, time_point now);

  /// Somebody wants that content to live until now + `life` at least. `refused_unknown` if it is not held.
  KADORO_DECL std::optional<errc> renew_content(bytes_view key, duration life, time_point now);
  /// That content, if it is held.
  std::optional<held> find_content(bytes_view key, time_point now) { return find(key, peer_id(), now); }

  /// Which records of a key are wanted: those behind a place, and only as many as one answer can hold.
  struct page {
    std::uint64_t from = 0;                            ///< see `transport::cursor_of`
    std::size_t bytes = static_cast<std::size_t>(-1);  ///< roughly what they are in a message
    bool (*wanted)(record const&) = nullptr;           ///< null: all
  };

  /// The live records of a key, tombstones included, verified, in the order of `transport::cursor_of`, then of the
  /// publisher, content before them. One of each publisher: of unsigned ones, what it brought itself, else what lives
  /// longest. Clears `out` first. Returns where the next page begins, 0 if that was all. Costs what is in the page,
  /// and a step for each record that is not wanted or was relayed.
  KADORO_DECL std::uint64_t get(bytes_view key, time_point now, std::vector<held>& out, page const& which);
  void get(bytes_view key, time_point now, std::vector<held>& out) { get(key, now, out, page()); }
  /// What the publisher itself said; nothing that was relayed.
  KADORO_DECL std::optional<held> find(bytes_view key, peer_id const& publisher, time_point now);

  /// The sequence of the live record that the publisher itself brought, or that it signed, verified or not; 0 if it is
  /// not signed. Looks, and changes nothing.
  KADORO_DECL std::optional<std::uint64_t> sequence_of(bytes_view key, peer_id const& publisher) const;

  /// The highest sequence known of that slot, live or remembered.
  KADORO_DECL std::optional<record_header> highest(bytes_view key, peer_id const& publisher);

  /// A copy went to where it cannot be withdrawn: once it has expired here, its sequence is remembered until `until`
  /// at least. Nothing for a slot without a signed record.
  KADORO_DECL void remember_until(bytes_view key, peer_id const& publisher, time_point until);

  /// Idle work: verifies up to `max` of the records that wait. True if more wait.
  KADORO_DECL bool verify_some(std::size_t max);

  /// Drops what has expired, forgets what need not be remembered. Every function that takes a `now` does it first.
  KADORO_DECL void expire(time_point now);
  /// When `expire` has something to do next.
  KADORO_DECL std::optional<time_point> next_expiry() const;

  /// Calls `fn(held const&)` for every live record, verified, those of one key together, in an order that is the same
  /// in every run. `fn` must not change the store.
  template <class Function>
  void for_each(time_point now, Function&& fn) {
    expire(now);
    verify_some(backlog());
    for_each_slot([&fn, now](slot const& in) {
      if (in.valid) fn(as_held(in, now));
    });
  }

  /// `who` must outlive the store or the next call; null: nobody.
  void set_listener(listener* who) noexcept { listener_ = who; }
  /// What a slot holds; nothing if there is no such slot.
  KADORO_DECL std::optional<kept_slot> kept(bytes_view key, peer_id const& owner, bool relayed) const;
  /// Calls `fn(kept_slot)` for every slot, in an order that is the same in every run.
  template <class Function>
  void for_each_kept(Function&& fn) const {
    for_each_slot([&fn](slot const& in) { fn(as_kept(in)); });
  }
  /// Brings back what was kept, if there is no such slot and there is room. Whatever was verified is taken as such.
  KADORO_DECL bool restore(kept_slot what);

  /// Records that live here, own ones included, and the bytes of their keys and values.
  std::size_t size() const noexcept { return foreign_.records + own_.records; }
  std::size_t bytes() const noexcept { return foreign_.bytes + own_.bytes; }
  /// Records that wait for their signature to be verified.
  std::size_t backlog() const noexcept { return backlog_.size(); }
  /// Slots without a live record, of which the highest sequence is remembered; those whose record sleeps among them.
  std::size_t remembered() const noexcept { return foreign_.slots + own_.slots - size(); }
  store_counters const& counters() const noexcept { return counters_; }

 private:
  /// A slot's place among those of its key: in the order of publishers as `get` wants them, and behind these the
  /// senders of what is relayed.
  struct slot_name {
    bytes_view key;  ///< of its shelf
    bool relayed = false;
    std::uint64_t cursor = 0;
    peer_id owner;  ///< the publisher, or that sender: whose share it counts against
  };
  struct slot_view {
    KADORO_DECL slot_view(bytes_view slot_key, peer_id const& slot_owner, bool is_relayed = false) noexcept;
    /// The first there may be from that place on.
    slot_view(bytes_view slot_key, std::uint64_t place, bool is_relayed) noexcept
        : key(slot_key), relayed(is_relayed), cursor(place) {}
    slot_view(slot_name const& of) noexcept
        : key(of.key), relayed(of.relayed), cursor(of.cursor), owner(of.owner.bytes()) {}

    bytes_view key;
    bool relayed;
    std::uint64_t cursor;
    bytes_view owner;
  };
  /// Of slots with the same key.
  struct by_name {
    using is_transparent = void;
    KADORO_DECL bool operator()(slot_view const& a, slot_view const& b) const noexcept;
  };

  struct copy {
    record what;
    crypto::digest value_hash{};  ///< known once it is valid
    time_point expires{};

    record_header header() const {
      return {what.key, what.publisher, what.sequence, what.lifetime_max, what.flags, value_hash, what.signature};
    }
    std::size_t bytes() const noexcept { return what.key.size() + what.value.size(); }
  };

  struct shelf;
  struct slot;
  using agenda = pooled_map<std::pair<time_point, std::uint64_t>, slot*>;

  struct slot {
    std::unique_ptr<copy> valid;                ///< live and verified
    std::unique_ptr<copy> pending;              ///< live, a higher sequence than `valid`, not verified yet
    std::unique_ptr<record_header> remembered;  ///< the highest sequence, when nothing live has it
    std::unique_ptr<copy> dormant;              ///< the record of that sequence, if it may come back
    time_point remember_until{};
    std::optional<std::uint64_t> range;  ///< that it counts against: of who made the slot
    peer_id brought_by;                  ///< of content: who made the slot
    bool own = false;
    std::uint64_t arrival = 0;  ///< of `pending`, in `backlog_`
    agenda::iterator due;       ///< in `agenda_`
    slot_name const* name = nullptr;
    shelf* on = nullptr;

    bool live() const noexcept { return valid || pending; }
    /// Whether its publisher's signed word is known, once it is settled.
    bool speaks() const noexcept { return remembered || (valid && valid->what.is_signed()); }
  };

  /// The slots of one key, nearly always one, and what a list of all shelves needs.
  struct shelf : coro::list_node {
    std::map<slot_name, slot, by_name> slots;
  };

  /// With a secret, because strangers choose the keys. Not noexcept: for that libstdc++ keeps each hash with its key.
  struct key_hash {
    using is_transparent = void;
    KADORO_DECL std::size_t operator()(bytes_view key) const;
    crypto::digest secret;
  };
  struct same_key {
    using is_transparent = void;
    bool operator()(bytes_view a, bytes_view b) const noexcept { return equal(a, b); }
  };

  struct usage {
    std::size_t records = 0;
    std::size_t bytes = 0;
    std::size_t slots = 0;
  };

  /// In the order in which their keys came.
  template <class Function>
  void for_each_slot(Function&& fn) const {
    for (coro::list_node* at = shelves_.next(); at != &shelves_; at = at->next())
      for (auto const& [name, in] : static_cast<shelf*>(at)->slots) fn(in);
  }
  /// Whose share it counts against.
  static peer_id const& charged(slot const& in) noexcept {
    return in.brought_by.empty() ? in.name->owner : in.brought_by;
  }
  KADORO_DECL static slot_view view_of(record const& signed_one) noexcept;
  KADORO_DECL static kept_slot as_kept(slot const& in);
  static held as_held(slot const& in, time_point now) noexcept {
    return {&in.valid->what, in.valid->expires - now, in.name->relayed};
  }
  KADORO_DECL shelf* find_shelf(bytes_view key);
  KADORO_DECL slot* find_slot(slot_view const& name);
  slot const* find_slot(slot_view const& name) const { return const_cast<record_store&>(*this).find_slot(name); }
  KADORO_DECL slot* find_settled(slot_view const& name);
  KADORO_DECL put_result refuse(errc why) noexcept;
  KADORO_DECL put_result refuse_stale(slot const& known);
  KADORO_DECL put_result put_same(slot& in, record&& what, origin from, time_point now);
  KADORO_DECL put_result put_new(slot* known, record&& what, origin from, std::optional<std::uint64_t> range,
                                 duration life, time_point now);
  /// The slot, made if it is null, in the middle of a change.
  KADORO_DECL slot& open_slot(slot* known, slot_view const& name, peer_id const& owner,
                              std::optional<std::uint64_t> range);
  /// What a record of so many bytes needs beyond what the slot has, if there is one.
  KADORO_DECL static usage growth(slot const* known, std::size_t bytes) noexcept;
  /// Content that is held already lives on for `life` at least. `put`: and who asked for that may want it on disk.
  KADORO_DECL void extend(slot& in, duration life, bool own, bool put, time_point now);
  KADORO_DECL void drop_relayed(bytes_view key, peer_id const& publisher);
  /// The counter of the limit that stands against this much more; null if there is room.
  KADORO_DECL std::uint64_t* no_room(peer_id const& owner, std::optional<std::uint64_t> range, usage const& more);
  KADORO_DECL static void retire_valid(slot& in);
  /// What sleeps there is live again.
  KADORO_DECL void wake(slot& in);
  /// Verifies what is pending. False if nothing was left, and the slot is gone, with its shelf if that is empty.
  KADORO_DECL bool settle(slot& in);
  /// Every change of a slot stands between these two, which keep tallies and agenda; the second answers as `settle`.
  KADORO_DECL void begin_change(slot& in);
  KADORO_DECL bool end_change(slot& in, bool times_only = false);
  KADORO_DECL void tally(slot const& in, bool add);
  KADORO_DECL void tell(record const& of, bool ended = false) const;

  store_limits limits_;
  verified_cache& cache_;
  change_handler on_change_;
  coro::list_node shelves_;                                              ///< all, in the order in which they came
  std::unordered_map<kadoro::bytes, shelf, key_hash, same_key> by_key_;  ///< only to find one
  agenda agenda_;                             ///< by when a slot next changes by itself, then by which came first
  pooled_map<std::uint64_t, slot*> backlog_;  ///< by arrival
  usage own_;
  usage foreign_;
  std::map<peer_id, usage> per_publisher_;
  std::map<std::uint64_t, usage> per_range_;
  std::uint64_t next_serial_ = 0;
  listener* listener_ = nullptr;
  store_counters counters_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/record_store.ipp"
#include "kadoro/kad/impl/record_store_content.ipp"
#endif
