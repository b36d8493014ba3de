#pragma once

#include <algorithm>
#include <cassert>
#include <string>

#include "kadoro/transport/datagram/impl/link.hpp"

/// @file
/// Messages that do not fit into one packet: sent in fragments as the peer's word of what has arrived allows, and put
/// together. The bytes are in fragment.hpp, the state of one message in outgoing_message.hpp and reassembly.hpp.

namespace kadoro::inline KADORO_ABI::transport::datagram {

KADORO_DECL bool datagram_transport::speaks_fragments(std::uint32_t features) const noexcept {
  return (features & options_.features & feature_fragments) != 0;
}

KADORO_DECL datagram_transport::large_traffic& datagram_transport::large_of(link& l) {
  if (!l.large) l.large = std::make_unique<large_traffic>();
  return *l.large;
}

// ---- sending --------------------------------------------------------------------------------------------------------

/// What is missing goes out, on whatever session is usable: the first time that is all of it.
KADORO_DECL void datagram_transport::send_in_fragments(link& l, pending& p) {
  if (!speaks_fragments(l.who->features)) {
    ++counts_.requests_failed;
    return complete(p, fail(errc::too_large, "the request needs " + std::to_string(p.encoded.size()) + " bytes, " +
                                                 l.who->id().to_string() + " takes " +
                                                 std::to_string(max_packet_message_bytes) + ": it knows no fragments"));
  }
  large_traffic& t = large_of(l);
  if (!p.in_fragments) {
    p.in_fragments = std::make_unique<outgoing>(*this, l, frame_kind::request, p.id, std::uint8_t{0}, p.encoded);
    p.in_fragments->where.link_before(t.sending);
    p.transmissions = 1;
    ++counts_.large_messages_sent;
  } else {
    ++counts_.retransmissions;
    if (p.in_fragments->pieces.presume_lost() > 0) t.window.on_silence();
  }
  ++p.on_session;
  p.timeout = p.on_session == 1 ? l.who->rtt.timeout() : 2 * p.timeout;
  p.where.link_before(l.in_flight);
  context_.arm(p.silence, next_look(p.progress, p.timeout));
  pump(l);
}

/// Not the peer is silent, but others of ours have their turn, and get on.
KADORO_DECL bool datagram_transport::is_queued(link const& l, pending const& p) const {
  if (!p.in_fragments || !p.in_fragments->pieces.waits() || !l.large) return false;
  time_point const now = context_.now();
  return now - l.large->progress < options_.patience && now - p.begun < long_patience * options_.patience;
}

/// The peer is at work on it: the patience begins again.
KADORO_DECL void datagram_transport::note_progress(pending& p) {
  time_point const now = context_.now();
  p.progress = now;
  if (!p.silence.armed()) return;  // it waits for a session
  p.on_session = 1;
  p.timeout = p.to->rtt.timeout();
  context_.arm(p.silence, std::clamp(now + p.timeout, now, std::max(now, p.begun + long_patience * options_.patience)));
}

KADORO_DECL void datagram_transport::answer_in_fragments(link& l, frame const& request, bytes answer) {
  large_traffic& t = large_of(l);
  byte_budget::share memory = sending_memory_.take(answer.size(), counted_range(where_of(l)));
  if (!memory || t.answers.size() == large_traffic::max_answers)  // it asks again, and by then there may be room
    return counts_.note(drop::large_answers_full, where_of(l));
  auto o = std::make_unique<outgoing>(*this, l, frame_kind::answer, request.id, request.transmission, answer);
  o->encoded = std::move(answer);  // the bytes stay where they are
  o->memory = std::move(memory);
  o->begun = o->progress = context_.now();
  o->timeout = l.who->rtt.timeout();
  o->where.link_before(t.sending);
  context_.arm(*o, o->begun + o->timeout);
  t.answers.push_back(std::move(o));
  ++counts_.large_messages_sent;
  pump(l);
}

KADORO_DECL bool datagram_transport::is_being_answered(link const& l, std::uint32_t id) const {
  return l.large && std::any_of(l.large->answers.begin(), l.large->answers.end(),
                                [id](std::unique_ptr<outgoing> const& o) { return o->id == id; });
}

/// Nothing was heard of an answer for its timeout: send again what is missing, or give up.
KADORO_DECL void datagram_transport::on_answer_silence(outgoing& o) {
  link& l = o.towards;
  large_traffic& t = *l.large;
  time_point const now = context_.now();
  time_point const heard = o.pieces.waits() ? std::max(o.progress, t.progress) : o.progress;
  if (usable(l) == nullptr || now - heard >= options_.patience || now - o.begun >= long_patience * options_.patience) {
    counts_.note(drop::large_answer_given_up, where_of(l));
    std::erase_if(t.answers, [&o](std::unique_ptr<outgoing> const& one) { return one.get() == &o; });
    return pump(l);
  }
  if (!o.pieces.waits()) {
    if (o.pieces.presume_lost() > 0) t.window.on_silence();
    o.timeout *= 2;
  }
  context_.arm(o, next_look(heard, o.timeout));
  pump(l);
}

/// Sends as many fragments as the window has room for, one of each message in turn. Only so many messages of a kind
/// are begun as the peer puts together at once.
KADORO_DECL void datagram_transport::pump(link& l) {
  if (!l.large) return;
  large_traffic& t = *l.large;
  if (usable(l) == nullptr) return;
  time_point const now = context_.now();
  std::size_t flying = 0;
  std::size_t open_requests = 0;
  std::size_t open_answers = 0;
  for (coro::list_node* at = t.sending.next(); at != &t.sending; at = at->next()) {
    outgoing const& o = static_cast<outgoing::place&>(*at).owner;
    flying += o.pieces.in_flight();
    if (o.pieces.begun() && !o.pieces.there()) ++(o.of == frame_kind::request ? open_requests : open_answers);
  }
  if (flying == 0) t.window.begin(now);
  for (bool sent = true; sent && flying < t.window.size();) {
    sent = false;
    for (coro::list_node* at = t.sending.next(); at != &t.sending && flying < t.window.size(); at = at->next()) {
      outgoing& o = static_cast<outgoing::place&>(*at).owner;
      std::size_t& open = o.of == frame_kind::request ? open_requests : open_answers;
      if (!o.pieces.begun()) {
        if (open == reassembly::max_messages) continue;
        ++open;
      }
      auto const piece = o.pieces.next(now);
      if (!piece) continue;
      session* const s = usable(l);  // sending wears it out
      if (s == nullptr) return;
      fragment f;
      f.of = o.of;
      f.id = o.id;
      f.transmission = o.transmission;
      f.index = piece->index;
      f.count = piece->count;
      f.number = piece->number;
      f.data = piece->data;
      byte_array<max_packet_bytes> packet;
      seal_packet(*s, packet, write_fragment(f, bytes_span(packet).subspan(sealed_header_bytes)));
      ++counts_.fragments_sent;
      if (piece->again) ++counts_.fragments_repeated;
      ++flying;
      sent = true;
    }
  }
}

/// The peer said what it has of a message of ours, or that it is at work on a request.
KADORO_DECL void datagram_transport::on_fragments_arrived(session& s, io::endpoint const& where, frame const& f) {
  auto const word = read_arrived(f);
  if (!word) return counts_.note(drop::malformed, where);
  link& l = link_of(s.peer);
  pending* p = nullptr;
  outgoing* o = nullptr;
  if (word->of == frame_kind::request) {
    p = asker_of(s.peer, f);
    if (p != nullptr) o = p->in_fragments.get();
    if (p != nullptr && !p->is_large() && word->bitmap == fragments_arrived::all) return note_progress(*p);
  } else if (l.large) {
    auto const at = std::find_if(l.large->answers.begin(), l.large->answers.end(),
                                 [&word](std::unique_ptr<outgoing> const& one) { return one->id == word->id; });
    if (at != l.large->answers.end()) o = at->get();
  }
  if (o == nullptr || o->transmission != word->transmission) {
    counts_.note(drop::unexpected, where);
    return pump(l);
  }
  large_traffic& t = *l.large;
  time_point const now = context_.now();
  auto const news = o->pieces.on_arrived(word->bitmap, word->newest, now);
  if (news.forgotten) {
    // What was served once may be served again, with another answer: that must not be mixed with the first.
    if (p == nullptr) {
      o->pieces.start_over(word->bitmap);
    } else if (o->transmission < 255) {
      p->transmissions = static_cast<std::uint8_t>(++o->transmission + 1);
      o->pieces.start_over(0);
    }
    return pump(l);
  }
  if (news.round_trip) l.who->rtt.sample(*news.round_trip);
  if (news.lost > 0) t.window.on_loss(now, l.who->rtt.smoothed());
  if (news.arrived > 0) {
    t.window.on_arrived(news.arrived, now);
    t.progress = now;
  }
  bool const at_work = o->pieces.there() && word->bitmap == fragments_arrived::all;
  if (p != nullptr) {
    if (news.arrived > 0 || at_work) note_progress(*p);
  } else if (o->pieces.there()) {
    std::erase_if(t.answers, [o](std::unique_ptr<outgoing> const& one) { return one.get() == o; });
  } else if (news.arrived > 0) {
    o->progress = now;
    o->timeout = l.who->rtt.timeout();
    context_.arm(*o, now + o->timeout);
  }
  pump(l);
}

// ---- receiving ------------------------------------------------------------------------------------------------------

KADORO_DECL bool datagram_transport::receiving(peer_ref const& who) const {
  auto const at = links_.find(who);
  return at != links_.end() && at->second.large && at->second.large->incoming.size(frame_kind::answer) > 0;
}

KADORO_DECL void datagram_transport::on_fragment(session& s, io::endpoint const& where, frame const& f) {
  auto const part = read_fragment(f);
  if (!part) return counts_.note(drop::malformed, where);
  if (!speaks_fragments(s.remote_features)) return counts_.note(drop::unexpected, where);
  ++counts_.fragments_received;
  link& l = link_of(s.peer);
  large_traffic& t = large_of(l);
  time_point const now = context_.now();
  fragments_arrived const enough{part->of, part->id, part->transmission, fragments_arrived::all, part->number};
  bool const is_request = part->of == frame_kind::request;
  pending* const asker = is_request ? nullptr : asker_of(s.peer, f);
  if (is_request) {
    auto const known = std::find_if(t.recently.begin(), t.recently.end(), [&part](large_traffic::served const& one) {
      return one.id == part->id && one.transmission >= part->transmission;
    });
    if (known != t.recently.end()) {
      if (!known->answer.empty() || is_being_answered(l, part->id)) owe_word(s, enough);
      return;
    }
  } else if (asker == nullptr) {  // it was cancelled, or answered already and the word of that was lost
    counts_.note(drop::unexpected, where);
    t.incoming.drop(part->of, part->id);
    return owe_word(s, enough);
  } else if (part->transmission >= asker->transmissions) {
    return counts_.note(drop::malformed, where);
  }

  bool const alone = t.incoming.size(part->of) == 0;
  byte_budget& budget = is_request ? request_memory_ : answer_memory_;
  auto outcome = t.incoming.add(*part, budget, now, s.range);
  if (outcome == reassembly::outcome::peer_full || outcome == reassembly::outcome::full) {
    expire_fragments(l);
    outcome = t.incoming.add(*part, budget, now, s.range);
  }
  switch (outcome) {
    case reassembly::outcome::peer_full: return counts_.note(drop::fragments_peer_full, where);
    case reassembly::outcome::full: return counts_.note(drop::fragments_full, where);
    case reassembly::outcome::mismatch: return counts_.note(drop::malformed, where);
    case reassembly::outcome::outdated: return owe_word(s, enough);
    case reassembly::outcome::repeated: return owe_word(s, t.incoming.arrived(*part));
    case reassembly::outcome::added:
      if (asker != nullptr) {
        // The first fragment leaves at once, unless other answers are before it.
        bool const timed = alone && part->number == 0 && !asker->is_large() &&
                           asker->transmissions - part->transmission <= static_cast<int>(asker->sent_at.size());
        if (timed) s.peer->rtt.sample(now - asker->sent_at[part->transmission % asker->sent_at.size()]);
        note_progress(*asker);
      }
      return owe_word(s, t.incoming.arrived(*part));
    case reassembly::outcome::whole: break;
  }
  ++counts_.large_messages_received;
  bytes whole = t.incoming.take(*part);
  if (!is_request) {
    owe_word(s, enough);
    return take_answer(*asker, where, std::move(whole));
  }
  std::erase_if(words_, [&](auto const& owed) {  // the answer says it
    return owed.first == s.local_index && owed.second.of == part->of && owed.second.id == part->id;
  });
  frame request;
  request.kind = frame_kind::request;
  request.id = part->id;
  request.transmission = part->transmission;
  request.message = whole;
  on_request_frame(s, where, request, true);
}

/// A large request was served: what comes of it again is not put together, and brings the same answer.
KADORO_DECL void datagram_transport::remember_served(session& s, frame const& f, served_answer const& answer) {
  large_traffic& t = large_of(link_of(s.peer));
  if (t.recently.size() == large_traffic::max_served) t.recently.erase(t.recently.begin());
  byte_budget::share memory = request_memory_.take(answer.frame.size(), s.range);
  if (memory) t.recently.push_back({f.id, f.transmission, context_.now(), to_bytes(answer.frame), std::move(memory)});
  if (answer.frame.empty() && answer.large.empty())
    owe_word(s, {frame_kind::request, f.id, f.transmission, fragments_arrived::all, 0});
}

/// One word for each message at the end of a batch is enough.
KADORO_DECL void datagram_transport::owe_word(session const& s, fragments_arrived const& word) {
  auto const owed = std::find_if(words_.begin(), words_.end(), [&](auto const& one) {
    return one.first == s.local_index && one.second.of == word.of && one.second.id == word.id &&
           one.second.transmission == word.transmission;
  });
  if (owed == words_.end()) {
    words_.emplace_back(s.local_index, word);
    return;
  }
  owed->second.bitmap = word.bitmap;
  owed->second.newest = std::max(owed->second.newest, word.newest);
}

KADORO_DECL void datagram_transport::send_words() {
  for (auto const& [index, word] : words_) {
    auto const at = sessions_.find(index);
    if (closed_ || at == sessions_.end()) continue;
    session& s = at->second;
    byte_array<max_packet_bytes> packet;
    bytes_span const plain = bytes_span(packet).subspan(sealed_header_bytes);
    std::size_t size = 0;
    link const& l = link_of(s.peer);
    if (l.large && word.of == frame_kind::request && word.bitmap == fragments_arrived::all)
      for (large_traffic::served const& one : l.large->recently)
        if (one.id == word.id && !one.answer.empty()) {
          std::copy(one.answer.begin(), one.answer.end(), plain.begin());
          size = one.answer.size();
          ++counts_.answers_repeated;
        }
    if (size == 0) size = write_arrived(word, plain);
    seal_packet(s, packet, size);
  }
  words_.clear();
}

KADORO_DECL void datagram_transport::expire_fragments(link& l) {
  large_traffic& t = *l.large;
  time_point const now = context_.now();
  std::size_t const expired = t.incoming.expire(now);
  for (std::size_t i = 0; i < expired; ++i) counts_.note(drop::fragments_expired, where_of(l));
  std::erase_if(t.recently,
                [now](large_traffic::served const& s) { return now - s.when >= large_traffic::served_life; });
}

/// For texts.
KADORO_DECL io::endpoint datagram_transport::where_of(link const& l) const {
  return l.sessions.empty() ? io::endpoint() : l.sessions.back()->remote;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
