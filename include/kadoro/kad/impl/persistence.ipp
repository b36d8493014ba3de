#pragma once

#include <algorithm>
#include <bit>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <utility>

#include "kadoro/crypto/sha256.hpp"
#include "kadoro/kad/persistence.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

/// The names of entries. A change of what is in them is another version.
inline constexpr std::string_view version_entry = "!version";  // before all others
inline constexpr std::string_view version_text = "kadoro 1";
inline constexpr std::string_view clock_entry = "\"clock";  // which boot the times are of, and when they were written
inline constexpr char blob_prefix = 'b';
inline constexpr char contact_prefix = 'c';
inline constexpr char slot_prefix = 's';

namespace contact_field {
inline constexpr std::uint32_t address = 1, rtt_us = 2;
}

inline bytes entry_name(char prefix, bytes_view rest) {
  bytes out(1, static_cast<std::uint8_t>(prefix));
  out.append(rest);
  return out;
}

inline constexpr std::size_t checksum_bytes = 8;

/// The database's file has no checksums of its own: every entry begins with one, over its name and content.
inline crypto::digest checksum(bytes_view name, bytes_view content) {
  crypto::sha256_hasher hash;
  hash.update(name);
  hash.update(content);
  return hash.finish();
}

inline bytes stamped(bytes_view name, bytes_view content) {
  crypto::digest const sum = checksum(name, content);
  bytes out(sum.begin(), sum.begin() + checksum_bytes);
  out.append(content);
  return out;
}

inline bytes encode_contact(transport::peer const& who) {
  std::string out;
  protozero::pbf_writer writer(out);
  for (transport::peer::address const& a : who.addresses()) {
    bytes_view const where = a.where.bytes();
    if (a.confirmed)
      writer.add_bytes(contact_field::address, reinterpret_cast<char const*>(where.data()), where.size());
  }
  // Rounded up to a power of two: it is a guess for the first minute, and must not make every contact change.
  auto const rtt = std::chrono::duration_cast<std::chrono::microseconds>(who.rtt.smoothed()).count();
  if (rtt > 0) writer.add_uint64(contact_field::rtt_us, std::bit_ceil(static_cast<std::uint64_t>(rtt)));
  return to_bytes(as_bytes(out));
}

}  // namespace detail

/// Reads one entry after the other: the times of a slot come right before its records.
class persistence::loader {
 public:
  loader(persistence& to, transport::peer_book& book) : to_(to), book_(book) {
    io::boot_instant const boot = to.context_.boot_now();
    scale_ = {to.context_.now(), boot.elapsed};
    boot_ = boot;
  }

  result<void> visit(bytes_view name, bytes_view entry) {
    bool const first = !std::exchange(begun_, true);
    bool const versioned = as_text(name) == detail::version_entry;
    if (first != versioned) return fail(errc::wrong_version, "no database of kadoro: it does not begin with a version");
    if (entry.size() < detail::checksum_bytes) return corrupt("is too short");
    bytes_view const content = entry.subspan(detail::checksum_bytes);
    crypto::digest const sum = detail::checksum(name, content);
    if (!equal(bytes_view(sum).first(detail::checksum_bytes), entry.first(detail::checksum_bytes)))
      return versioned ? fail(errc::wrong_version, "no database of kadoro, or of another version")
                       : result<void>(corrupt("does not match its checksum"));
    if (versioned) {
      if (as_text(content) == detail::version_text) return {};
      return fail(errc::wrong_version, "the database is of version '" + std::string(as_text(content)) +
                                           "', this program reads '" + std::string(detail::version_text) + "'");
    }
    if (as_text(name) == detail::clock_entry) return read_clock(content);
    switch (static_cast<char>(name.front())) {
      case detail::slot_prefix: return read_slot(name, content);
      case detail::contact_prefix: read_contact(name.subspan(1), content); [[fallthrough]];
      default: small_[to_bytes(name)] = to_bytes(content);
    }
    return {};
  }

  bool complete() const noexcept { return times_name_.empty(); }

  /// Once all has been read: half of what a node knew is worse than nothing.
  void hand_over() {
    for (kept_slot& slot : slots_) restore(slot);
    to_.contacts_ = std::move(contacts_);
    to_.small_ = std::move(small_);
    to_.status_.loaded_contacts = to_.contacts_.size();
    // What means something else now, or is of no use, must be written anew.
    to_.whole_ = !same_boot_ || to_.status_.loaded_dropped > 0;
  }

 private:
  static tl::unexpected<error> corrupt(char const* why) {
    return fail(errc::corrupt, std::string("an entry of the database ") + why +
                                   "; it is damaged: put a copy in its place, or remove it to start again");
  }

  result<void> read_clock(bytes_view content) {
    byte_array<16> boot{};
    if (content.size() != boot.size() + 8) return corrupt("has the wrong size");
    std::copy_n(content.begin(), boot.size(), boot.begin());
    same_boot_ = boot_.same_boot(boot);
    saved_ms_ = load_be<std::uint64_t>(content.data() + boot.size());
    return {};
  }

  result<void> read_slot(bytes_view name, bytes_view content) {
    if (name.back() == static_cast<std::uint8_t>(kept_slot::part::times)) {
      if (!times_name_.empty()) return corrupt("is missing");
      times_name_ = to_bytes(name);
      times_ = to_bytes(content);
      return {};
    }
    bool const pair = times_name_.size() == name.size() &&
                      equal(bytes_view(times_name_).first(name.size() - 1), name.first(name.size() - 1));
    if (!pair) return corrupt("is missing");
    times_name_.clear();
    auto slot = kept_slot::decode(name, content, times_, scale_);
    if (!slot) return corrupt(("holds " + slot.error().message()).c_str());
    slots_.push_back(std::move(*slot));
    return {};
  }

  void restore(kept_slot& slot) {
    time_point const now = scale_.now;
    persistence_status& status = to_.status_;
    bool const keep = same_boot_ || slot.put_to_sleep(scale_.from_ms(saved_ms_), now);
    auto const lives = [now](std::optional<kept_copy> const& c) { return c && c->expires > now; };
    bool const live = lives(slot.valid) || lives(slot.pending);
    bool const sleeping = slot.dormant.has_value();
    if (!keep || !to_.store_.restore(std::move(slot)))
      ++status.loaded_dropped;
    else
      ++(live ? status.loaded_live : sleeping ? status.loaded_sleeping : status.loaded_remembered);
  }

  /// One that cannot be read is not worth an error: it is asked for nothing but an address to try.
  void read_contact(bytes_view id, bytes_view content) try {
    auto const who = peer_id::from_bytes(id);
    if (!who || who->empty()) return;
    peer_ref const contact = book_.intern(*who);
    for (protozero::pbf_reader reader(reinterpret_cast<char const*>(content.data()), content.size()); reader.next();) {
      if (reader.tag() == detail::contact_field::address) {
        auto const view = reader.get_view();
        auto const where = transport::multiaddr::from_bytes(as_bytes({view.data(), view.size()}));
        if (where) contact->add_address(*where, false);
      } else if (reader.tag() == detail::contact_field::rtt_us) {
        duration const rtt = std::chrono::microseconds(std::min<std::uint64_t>(reader.get_uint64(), 10'000'000));
        if (rtt > duration::zero() && !contact->rtt.known()) contact->rtt.sample(rtt);
      } else {
        reader.skip();
      }
    }
    static constexpr std::size_t max_contacts = 256;
    if (contact->addresses().empty() || contacts_.size() == max_contacts) return;
    contacts_.push_back(contact);
  } catch (protozero::exception const&) {
    return;
  }

  persistence& to_;
  transport::peer_book& book_;
  io::boot_instant boot_;
  kept_slot::boot_scale scale_;
  bool begun_ = false;
  bool same_boot_ = false;
  std::uint64_t saved_ms_ = 0;
  std::vector<kept_slot> slots_;
  peer_list contacts_;
  std::map<kadoro::bytes, kadoro::bytes, bytes_less> small_;
  kadoro::bytes times_name_;
  kadoro::bytes times_;
};

inline persistence::persistence(io::context& context, record_store& store, options const& how)
    : context_(context), store_(store), how_(how) {}

KADORO_DECL persistence::~persistence() { store_.set_listener(nullptr); }

KADORO_DECL result<std::unique_ptr<persistence>> persistence::open(io::context& context, record_store& store,
                                                                   transport::peer_book& book, options const& how) {
  std::unique_ptr<persistence> made(new persistence(context, store, how));
  auto const loaded = made->load(book);
  if (loaded) {
    made->status_.now = persistence_status::state::working;
    store.set_listener(made.get());
    store.expire(context.now());
    // That it can be written is found out now, and not when somebody relies on it.
    if (made->commit()) return made;
  } else {
    made->status_.now = persistence_status::state::off;
    made->status_.why = loaded.error().message();
    how.database->close();
  }
  if (how.trouble == database_trouble::refuse) {
    error const why = loaded ? error(errc::io_failure, made->status_.why) : loaded.error();
    return fail(error(why.code(), "cannot run without its database, as configured: " + why.message()));
  }
  return made;
}

KADORO_DECL result<void> persistence::load(transport::peer_book& book) {
  loader reader(*this, book);
  auto loaded = how_.database->load([&reader](bytes_view name, bytes_view entry) { return reader.visit(name, entry); });
  if (loaded && !reader.complete()) loaded = fail(errc::corrupt, "an entry of the database is missing: it is damaged");
  if (loaded) reader.hand_over();
  return loaded;
}

// ---- what has changed -----------------------------------------------------------------------------------------------

KADORO_DECL void persistence::on_slot_changed(bytes_view key, peer_id const& owner, bool relayed, bool times_only) {
  if (status_.now != persistence_status::state::working) return;  // the next commit writes everything
  change& noted = changed_[kept_slot::entry_key(key, owner, relayed, kept_slot::part::times)];
  if (noted.key.empty()) {
    noted.key = to_bytes(key);
    noted.owner = owner;
    noted.relayed = relayed;
  }
  noted.records = noted.records || !times_only;
  commit_by(context_.now() + how_.gather);
}

KADORO_DECL void persistence::commit_by(time_point when) {
  when = std::max(when, next_commit_);
  if (!timer_.armed() || when < timer_.due()) context_.arm(timer_, when);
}

KADORO_DECL wire::durability persistence::ask(bytes_view key, peer_id const& publisher) {
  if (status_.now != persistence_status::state::working) return wire::durability::not_said;
  kadoro::bytes const name = kept_slot::entry_key(key, publisher, false, kept_slot::part::times);
  auto const at = changed_.find(name);
  if (at != changed_.end() && at->second.records) {
    if (context_.now() < next_commit_) {
      commit_by(next_commit_);
      ++status_.answered_pending;
      return wire::durability::pending;
    }
    if (!commit()) return wire::durability::not_said;
  }
  ++status_.answered_durable;
  return wire::durability::on_disk;
}

KADORO_DECL void persistence::note_contacts(routing_table const& table, bool at_once) {
  time_point const now = context_.now();
  bool const due = at_once || now >= next_contacts_ || table.size() != noted_contacts_;
  if (status_.now == persistence_status::state::off || !due) return;
  next_contacts_ = now + contacts_interval;
  noted_contacts_ = table.size();
  std::map<kadoro::bytes, transport::peer const*> known;
  table.for_each([&known](contact const& c) {
    if (c.peer->unanswered == 0)
      known.emplace(detail::entry_name(detail::contact_prefix, c.peer->id().bytes()), c.peer.get());
  });
  if (known.empty()) return;  // alone: who was known before is all there is to try
  auto const first = small_.lower_bound(kadoro::bytes(1, static_cast<std::uint8_t>(detail::contact_prefix)));
  for (auto at = first; at != small_.end() && at->first.front() == static_cast<std::uint8_t>(detail::contact_prefix);) {
    auto const here = at++;
    if (known.contains(here->first)) continue;
    unwritten_[here->first] = std::nullopt;
    small_.erase(here);
  }
  for (auto const& [name, who] : known) {
    bool const addressed = std::any_of(who->addresses().begin(), who->addresses().end(),
                                       [](transport::peer::address const& a) { return a.confirmed; });
    if (!addressed) continue;
    kadoro::bytes const content = detail::encode_contact(*who);
    auto const at = small_.find(name);
    if (at != small_.end() && at->second == content) continue;
    small_[name] = content;
    unwritten_[name] = content;
  }
  if (!unwritten_.empty() && status_.now == persistence_status::state::working) commit_by(now + how_.gather);
}

KADORO_DECL void persistence::close() {
  context_.disarm(timer_);
  if (status_.now == persistence_status::state::off) return;
  if (status_.now == persistence_status::state::failing || !changed_.empty() || !unwritten_.empty()) commit();
  context_.disarm(timer_);
  store_.set_listener(nullptr);
  how_.database->close();
  if (status_.now != persistence_status::state::working) return;
  status_.now = persistence_status::state::off;
  status_.why = "closed";
}

// ---- commits --------------------------------------------------------------------------------------------------------

KADORO_DECL std::vector<io::database_change> persistence::gathered() const {
  std::vector<io::database_change> out;
  auto const put = [&out](kadoro::bytes name, bytes_view content) {
    kadoro::bytes entry = detail::stamped(name, content);
    out.push_back({std::move(name), std::move(entry)});
  };
  io::boot_instant const boot = context_.boot_now();
  kept_slot::boot_scale const scale{context_.now(), boot.elapsed};
  kadoro::bytes clock(boot.boot.begin(), boot.boot.end());
  clock.resize(clock.size() + 8);
  store_be(clock.data() + boot.boot.size(), scale.to_ms(scale.now));
  put(to_bytes(as_bytes(detail::clock_entry)), clock);

  auto const put_slot = [&](kept_slot const& s, bool records) {
    put(kept_slot::entry_key(s.key, s.owner, s.relayed, kept_slot::part::times), s.encode_times(scale));
    if (records) put(kept_slot::entry_key(s.key, s.owner, s.relayed, kept_slot::part::records), s.encode_records());
  };
  if (whole_) {
    put(to_bytes(as_bytes(detail::version_entry)), as_bytes(detail::version_text));
    for (auto const& [name, content] : small_) put(name, content);
    store_.for_each_kept([&put_slot](kept_slot const& s) { put_slot(s, true); });
    return out;
  }
  for (auto const& [name, content] : unwritten_) {
    if (content)
      put(name, *content);
    else
      out.push_back({name, std::nullopt});
  }
  for (auto const& [name, what] : changed_) {
    if (auto const s = store_.kept(what.key, what.owner, what.relayed)) {
      put_slot(*s, what.records);
      continue;
    }
    out.push_back({name, std::nullopt});
    out.push_back({kept_slot::entry_key(what.key, what.owner, what.relayed, kept_slot::part::records), std::nullopt});
  }
  return out;
}

/// True if nothing is left to be written.
KADORO_DECL bool persistence::commit() {
  if (status_.now == persistence_status::state::off) return false;
  context_.disarm(timer_);
  auto const batch = gathered();
  duration const begun = context_.boot_now().elapsed;
  auto const done = how_.database->commit(batch, whole_ ? io::database::batch::whole : io::database::batch::changes);
  note_cost(context_.boot_now().elapsed - begun);
  if (!done) {
    fail_over(done.error());
    return false;
  }
  ++status_.commits;
  status_.entries_written += batch.size();
  for (io::database_change const& c : batch) status_.bytes_written += c.key.size() + (c.value ? c.value->size() : 0);
  changed_.clear();
  unwritten_.clear();
  whole_ = false;
  retry_ = shortest_retry;
  status_.now = persistence_status::state::working;
  status_.why.clear();
  return true;
}

/// At most a fifth of the time goes to the disk, and a disk that costs nothing is not asked all the time either.
KADORO_DECL void persistence::note_cost(duration took) {
  static constexpr duration shortest_pause = std::chrono::milliseconds(2);
  status_.last_commit = took;
  status_.longest_commit = std::max(status_.longest_commit, took);
  next_commit_ = context_.now() + took + std::max(4 * took, shortest_pause);
}

/// Nothing gathers as long as nothing can be written, so that it needs no bound; then everything is written anew.
KADORO_DECL void persistence::fail_over(error const& why) {
  ++status_.failed_commits;
  status_.now = persistence_status::state::failing;
  status_.why = why.message();
  changed_.clear();
  unwritten_.clear();
  whole_ = true;
  context_.arm(timer_, context_.now() + retry_);
  retry_ = std::min(2 * retry_, longest_retry);
}

// ---- blobs ----------------------------------------------------------------------------------------------------------

KADORO_DECL result<bytes> persistence::read(std::string_view name) {
  auto const at = small_.find(detail::entry_name(detail::blob_prefix, as_bytes(name)));
  if (at == small_.end()) return fail(errc::not_found, "the database has no '" + std::string(name) + "'");
  return at->second;
}

KADORO_DECL result<void> persistence::write(std::string_view name, bytes_view content) {
  kadoro::bytes const entry = detail::entry_name(detail::blob_prefix, as_bytes(name));
  small_[entry] = to_bytes(content);
  if (status_.now == persistence_status::state::working) unwritten_[entry] = to_bytes(content);
  if (commit() || how_.trouble == database_trouble::run_on) return {};
  return fail(errc::io_failure, "'" + std::string(name) + "' cannot be written: " + status_.why);
}

KADORO_DECL result<void> persistence::remove(std::string_view name) {
  kadoro::bytes const entry = detail::entry_name(detail::blob_prefix, as_bytes(name));
  if (small_.erase(entry) == 0) return {};
  if (status_.now == persistence_status::state::working) unwritten_[entry] = std::nullopt;
  if (commit() || how_.trouble == database_trouble::run_on) return {};
  return fail(errc::io_failure, "'" + std::string(name) + "' cannot be removed: " + status_.why);
}

}  // namespace kadoro::inline KADORO_ABI::kad
