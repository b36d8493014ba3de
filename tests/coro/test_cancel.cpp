#include <array>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

class listener : public cancel_hook {
 public:
  listener(std::vector<int>& heard, int name) : cancel_hook(&listener::on_request), heard_(heard), name_(name) {}
  listener* also_leaves = nullptr;

 private:
  static void on_request(cancel_hook& hook) noexcept {
    auto& self = static_cast<listener&>(hook);
    self.heard_.push_back(self.name_);
    if (self.also_leaves != nullptr) self.also_leaves->unlink();
  }
  std::vector<int>& heard_;
  int name_;
};

}  // namespace

TEST_CASE("cancel: a request reaches every hook once, in the order of registration") {
  std::vector<int> heard;
  cancel_source source;
  listener a(heard, 1), b(heard, 2), c(heard, 3);
  CHECK(source.token().attach(b));
  CHECK(source.token().attach(a));
  CHECK(source.token().attach(c));
  CHECK_FALSE(source.requested());
  source.request();
  source.request();
  CHECK(source.requested());
  CHECK(heard == std::vector<int>{2, 1, 3});
}

TEST_CASE("cancel: a hook that is destroyed, or leaves during the request, is not called") {
  std::vector<int> heard;
  cancel_source source;
  listener first(heard, 1), second(heard, 2);
  {
    listener gone(heard, 3);
    CHECK(source.token().attach(gone));
  }
  CHECK(source.token().attach(first));
  CHECK(source.token().attach(second));
  first.also_leaves = &second;
  source.request();
  CHECK(heard == std::vector<int>{1});
}

TEST_CASE("cancel: what comes after the request is told so") {
  std::vector<int> heard;
  cancel_source source;
  source.request();
  listener late(heard, 1);
  CHECK_FALSE(source.token().attach(late));
  CHECK(source.token().requested());
  CHECK(heard.empty());
}

TEST_CASE("cancel: an empty token never asks") {
  std::vector<int> heard;
  cancel_token const none;
  listener alone(heard, 1);
  CHECK_FALSE(static_cast<bool>(none));
  CHECK_FALSE(none.requested());
  CHECK(none.attach(alone));
}

TEST_CASE("cancel: a parent's request reaches its children, not the other way round") {
  std::vector<int> heard;
  cancel_source parent;
  cancel_source child(parent.token());
  cancel_source sibling(&parent);
  cancel_source grandchild(child.token());
  listener deep(heard, 1), beside(heard, 2);
  CHECK(grandchild.token().attach(deep));
  CHECK(sibling.token().attach(beside));
  sibling.request();
  CHECK(heard == std::vector<int>{2});
  CHECK_FALSE(parent.requested());
  CHECK_FALSE(child.requested());
  parent.request();
  CHECK(heard == std::vector<int>{2, 1});
  CHECK(grandchild.requested());
  cancel_source const late(parent.token());
  CHECK(late.requested());
}

TEST_CASE("cancel: a child may die before its parent") {
  cancel_source parent;
  {
    cancel_source const child(parent.token());
  }
  parent.request();
  CHECK(parent.requested());
}
