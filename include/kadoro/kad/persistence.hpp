#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kadoro/io/context.hpp"
#include "kadoro/io/database.hpp"
#include "kadoro/io/storage.hpp"
#include "kadoro/kad/persistence_status.hpp"
#include "kadoro/kad/record_store.hpp"
#include "kadoro/kad/routing_table.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// Keeps on disk what a node must know after a crash: what its store holds and remembers, the sequence of its own
/// records, and whom it knows.
///
/// Changes gather, and are committed together: after `gather` if nobody asks, at once if somebody wants to hear that
/// his record is on disk. A commit holds up the node for as long as the disk syncs, so the next one waits for four
/// times that long; who asks meanwhile hears "not yet", asks again, and one commit answers all of them.
class persistence final : private record_store::listener, private io::storage {
 public:
  struct options {
    io::database* database = nullptr;  ///< must outlive the node
    database_trouble trouble = database_trouble::run_on;
    duration gather{};
  };

  /// Loads what the database has into `store` and `book`. Fails with the database's error, `corrupt` or
  /// `wrong_version`, if `options::trouble` says so; else it is off, and its status says why.
  KADORO_DECL static result<std::unique_ptr<persistence>> open(io::context& context, record_store& store,
                                                               transport::peer_book& book, options const& how);
  persistence(persistence const&) = delete;
  persistence& operator=(persistence const&) = delete;
  KADORO_DECL ~persistence();

  /// Whom the node knew, with addresses to try and round-trip times. Once.
  peer_list take_contacts() noexcept { return std::move(contacts_); }

  /// For the sequence of the node's own records; null if the database is off.
  io::storage* blobs() noexcept { return status_.now == persistence_status::state::off ? nullptr : this; }

  /// Answers whoever wants to hear whether the record of that slot is on disk, and commits if it may.
  KADORO_DECL wire::durability ask(bytes_view key, peer_id const& publisher);

  /// Notes whom the node knows, at most every few seconds unless `at_once`.
  KADORO_DECL void note_contacts(routing_table const& table, bool at_once);

  /// Commits what has gathered, and gives the database up.
  KADORO_DECL void close();

  /// Whether nothing but withdrawals may be taken from others: see `database_trouble::refuse`.
  bool refuses() const noexcept {
    return how_.trouble == database_trouble::refuse && status_.now == persistence_status::state::failing;
  }
  persistence_status const& status() const noexcept { return status_; }

 private:
  static constexpr duration contacts_interval = std::chrono::seconds(5);
  static constexpr duration shortest_retry = std::chrono::seconds(5);
  static constexpr duration longest_retry = std::chrono::minutes(5);

  /// The slot a change is about; whether its records have changed too.
  struct change {
    kadoro::bytes key;
    peer_id owner;
    bool relayed = false;
    bool records = false;
  };

  class loader;

  struct commit_timer : coro::timer_node {
    explicit commit_timer(persistence& of) noexcept
        : timer_node([](timer_node& n) { static_cast<commit_timer&>(n).owner.commit(); }), owner(of) {}
    persistence& owner;
  };

  persistence(io::context& context, record_store& store, options const& how);

  // record_store::listener
  KADORO_DECL void on_slot_changed(bytes_view key, peer_id const& owner, bool relayed, bool times_only) override;
  // io::storage: a blob is an entry
  KADORO_DECL result<bytes> read(std::string_view name) override;
  KADORO_DECL result<void> write(std::string_view name, bytes_view content) override;
  KADORO_DECL result<void> remove(std::string_view name) override;

  KADORO_DECL result<void> load(transport::peer_book& book);
  KADORO_DECL void commit_by(time_point when);
  KADORO_DECL bool commit();
  KADORO_DECL std::vector<io::database_change> gathered() const;
  KADORO_DECL void note_cost(duration took);
  KADORO_DECL void fail_over(error const& why);

  io::context& context_;
  record_store& store_;
  options how_;
  persistence_status status_;
  peer_list contacts_;
  std::map<kadoro::bytes, change, bytes_less> changed_;       ///< by the name of the entry with its times
  std::map<kadoro::bytes, kadoro::bytes, bytes_less> small_;  ///< blobs and contacts, as they are to be on disk
  std::map<kadoro::bytes, std::optional<kadoro::bytes>, bytes_less> unwritten_;  ///< what of these is not there yet
  bool whole_ = false;        ///< the next commit replaces everything
  time_point next_commit_{};  ///< not before
  time_point next_contacts_{};
  std::size_t noted_contacts_ = 0;  ///< the size of the table then
  duration retry_ = shortest_retry;
  commit_timer timer_{*this};
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/persistence.ipp"
#endif
