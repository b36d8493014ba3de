#include "observed_transport.hpp"

namespace kadoro_sim {

using namespace kadoro;

namespace {

/// One request under way, however it ends.
class asked {
 public:
  asked(witness& eyes, peer_ref const& to, message const& what) : eyes_(eyes), number_(eyes.on_asked(to, what)) {}
  asked(asked const&) = delete;
  asked& operator=(asked const&) = delete;
  ~asked() {
    if (!answered_) eyes_.on_abandoned(number_);
  }

  void answered(result<message> const& answer) {
    answered_ = true;
    eyes_.on_answered(number_, answer);
  }

 private:
  witness& eyes_;
  std::uint64_t number_;
  bool answered_ = false;
};

}  // namespace

coro::task<result<message>> observed_transport::request(peer_ref to, message const& what) {
  asked under_way(eyes_, to, what);
  auto answer = co_await inner_->request(std::move(to), what);
  under_way.answered(answer);
  co_return answer;
}

void observed_transport::set_handler(handler* to) noexcept {
  handler_ = to;
  inner_->set_handler(to == nullptr ? nullptr : this);
}

transport::handler::reply observed_transport::on_request(peer_ref const& from, message const& request,
                                                         message& answer) {
  reply how = reply::send;
  if (eyes_.on_request(from, request, answer, how)) return how;
  how = handler_->on_request(from, request, answer);
  eyes_.on_served(from, request, answer, how);
  return how;
}

void observed_transport::on_peer_confirmed(peer_ref const& who) {
  eyes_.on_confirmed(who);
  handler_->on_peer_confirmed(who);
}

void observed_transport::on_peer_lost(peer_ref const& who, error const& why) { handler_->on_peer_lost(who, why); }

}  // namespace kadoro_sim
