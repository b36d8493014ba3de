#pragma once

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// Members come in crowds: what is known of them is told once it has been the same for a moment. While they keep coming
/// and going it is told less and less often, as each telling costs a request to every member.
KADORO_DECL void node_core::tell_views_soon() {
  static constexpr duration for_each_member = std::chrono::milliseconds(5);
  static constexpr duration calm = std::chrono::seconds(5);
  static constexpr duration longest = std::chrono::milliseconds(500);
  if (closed_ || views_.armed() || members_.view() == 0) return;
  time_point const now = context_.now();
  duration const moment = for_each_member * static_cast<int>(members_.size());
  views_pause_ = now - views_told_at_ > calm ? moment : std::clamp(2 * views_pause_, moment, longest);
  context_.arm(views_, now + views_pause_);
}

KADORO_DECL void node_core::tell_views() {
  if (closed_) return;
  views_told_at_ = context_.now();
  for (peer_ref const& who : members_.untold()) {
    members_.told(who->id(), members_.view());
    jobs_.spawn(view_job(*this, who));
  }
}

/// Somebody's view is not ours: one of the two knows somebody whom the other does not. One such member a second is
/// asked whom it knows; those that are new are called, and count once they have answered.
KADORO_DECL void node_core::compare_views() {
  if (closed_ || !settled_ || comparing_) return;
  if (peer_ref const who = members_.take_differing()) comparing_ = jobs_.spawn(compare_job(*this, who));
}

KADORO_DECL coro::task<void> node_core::compare_job(node_core& core, peer_ref with) {
  transport::message request;
  request.type = transport::message_type::view;
  request.sequence = core.members_.view();
  request.contacts_cursor = 1;
  for (std::size_t page = 0; page < core.members_.max_size(); ++page) {
    auto const answer = co_await core.transport_->request(with, request);
    if (!answer || answer->refusal) break;
    core.members_.heard(with->id(), answer->sequence);
    for (peer_ref const& who : answer->contacts)
      if (worth_meeting(*who) && core.checking_.size() < max_checks) core.check(who);
    if (answer->contacts_cursor <= request.contacts_cursor) break;
    request.contacts_cursor = answer->contacts_cursor;
  }
  core.comparing_ = false;
}

/// Our view, and whom we know if the other one asks.
KADORO_DECL void node_core::answer_view(peer_ref const& from, transport::message const& request,
                                        transport::message& answer) {
  if (members_.heard(from->id(), request.sequence)) look_soon();
  answer.sequence = members_.view();
  members_.told(from->id(), answer.sequence);
  if (request.contacts_cursor == 0) return;
  answer.contacts = members_.all();
  leave_out_passed(request, answer);
}

/// A put that took the members for everybody was right if nobody has told of anybody else within a second. If somebody
/// has, the record is placed once more.
KADORO_DECL void node_core::confirm_placements(time_point now) {
  static constexpr duration long_enough = std::chrono::seconds(1);
  bool const complete = members_.complete();
  std::erase_if(unconfirmed_, [&](auto const& waiting) {
    auto const& [key, view] = waiting;
    publication* const p = published(key);
    if (p == nullptr) return true;
    bool const early = now - p->put_at < long_enough;
    if (!early && complete && view == members_.view()) return true;
    if (early || p->busy || renewals_ >= max_renewals) return false;
    if (jobs_.spawn(place_job(*this, key))) {
      p->busy = true;
      ++renewals_;
    }
    return true;
  });
}

KADORO_DECL coro::task<void> node_core::view_job(node_core& core, peer_ref to) {
  transport::message request;
  request.type = transport::message_type::view;
  request.sequence = core.members_.view();
  auto const answer = co_await core.transport_->request(to, request);
  bool const said = answer && !answer->refusal;
  if (core.members_.heard(to->id(), said ? answer->sequence : 0)) core.look_soon();
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
