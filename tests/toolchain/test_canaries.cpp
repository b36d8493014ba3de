// What compilers do with coroutine code that this project does not write, and that what it writes instead is right.
//
// Each row holds a form that g++ 12.2 gets wrong, and the form to use. The wrong forms run in a child process: some of
// them destroy an object twice, one crashes. On g++ 12.2 a form must be as wrong as documented here, on clang it must
// be right; either surprise fails the test, so that an upgrade tells us which rule may be relaxed. Other versions of
// g++ are not documented: what they do is printed. docs/coroutines.md has the table for people.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/coro.hpp"

namespace {

using kadoro::coro::environment;
using kadoro::coro::outcome;
using kadoro::coro::ready_node;
using kadoro::coro::scheduler;
using kadoro::coro::spawned;
using kadoro::coro::task;

/// Only a ready queue: the rows need awaits that really suspend, nothing else.
class queue final : public scheduler {
 public:
  kadoro::time_point now() const noexcept override { return {}; }
  void post(ready_node& node) noexcept override { node.link_before(ready_); }
  void arm(kadoro::coro::timer_node&, kadoro::time_point) noexcept override {}
  void disarm(kadoro::coro::timer_node&) noexcept override {}
  void run() {
    while (ready_.linked()) {
      ready_node& node = static_cast<ready_node&>(*ready_.next());
      node.unlink();
      node.run();
    }
  }

 private:
  kadoro::coro::list_node ready_;
};

class pause_awaiter : private ready_node {
 public:
  pause_awaiter() noexcept : ready_node(&pause_awaiter::on_ready) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    frame_ = h;
    h.promise().environment().sched().post(*this);
  }
  void await_resume() const noexcept {}

 private:
  static void on_ready(ready_node& self) { static_cast<pause_awaiter&>(self).frame_.resume(); }
  std::coroutine_handle<> frame_;
};

/// Counts constructions and destructions, and owns nothing: an object that is destroyed twice does no other harm.
class counted {
 public:
  static inline int alive = 0;
  explicit counted(int value = 0) noexcept : value_(value) { ++alive; }
  counted(counted const& other) noexcept : value_(other.value_) { ++alive; }
  counted(counted&& other) noexcept : value_(other.value_) { ++alive; }
  counted& operator=(counted const&) = default;
  ~counted() { --alive; }
  int value() const noexcept { return value_; }

 private:
  int value_;
};

struct aggregate {
  counted first;
  int second = 0;
};

class with_constructor {
 public:
  with_constructor(counted first, int second) : first_(std::move(first)), second_(second) {}
  int sum() const noexcept { return first_.value() + second_; }

 private:
  counted first_;
  int second_;
};

task<int> number(int n) {
  co_await pause_awaiter();
  co_return n;
}

task<int> number_of(counted n) {
  co_await pause_awaiter();
  co_return n.value();
}

task<counted> object(int n) {
  co_await pause_awaiter();
  co_return counted(n);
}

task<bool> truth(bool is) {
  co_await pause_awaiter();
  co_return is;
}

task<int> sum_of(aggregate both) {
  co_await pause_awaiter();
  co_return both.first.value() + both.second;
}

task<int> sum_of_constructed(with_constructor both) {
  co_await pause_awaiter();
  co_return both.sum();
}

template <class Function>
task<int> call(Function function) {
  co_await pause_awaiter();
  co_return function();
}

int add(aggregate const& both, int n) { return both.first.value() + both.second + n; }

struct aggregate_awaiter {
  counted first;
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise>) noexcept {
    return false;
  }
  int await_resume() const noexcept { return first.value(); }
};

aggregate_awaiter make_awaiter(int n) { return aggregate_awaiter{counted(n)}; }

struct aggregate_with_member {
  counted first;
  task<int> value() const {
    co_await pause_awaiter();
    co_return first.value();
  }
};

// The rows. Every form gives 3 where it is right.

namespace wrong {

task<int> row1_capturing_lambda() {
  counted x(3);
  int const got = co_await call([x] { return x.value(); });
  co_return got;
}

task<int> row2_aggregate_argument() {
  int const got = co_await sum_of(aggregate{counted(1), 2});
  co_return got;
}

task<int> row3_awaits_in_braces() {
  aggregate both{co_await object(1), co_await number(2)};
  co_return both.first.value() + both.second;
}

task<int> row4_aggregate_beside_await() {
  int const got = add(aggregate{counted(1), 1}, co_await number(1));
  co_return got;
}

task<int> row5_aggregate_awaiter() {
  int const got = co_await aggregate_awaiter{counted(3)};
  co_return got;
}

task<int> row6_member_of_temporary() {
  int const got = co_await aggregate_with_member{counted(3)}.value();
  co_return got;
}

task<int> row6_called_lambda() {
  counted x(3);
  int const got = co_await [x]() -> task<int> {
    co_await pause_awaiter();
    co_return x.value();
  }();
  co_return got;
}

task<int> row7_conditional_of_awaits(bool which) {
  counted const got = which ? co_await object(3) : co_await object(4);
  co_return got.value();
}

task<int> row8_await_of_conditional(bool which) {
  int const got = co_await (which ? number_of(counted(3)) : number_of(counted(4)));
  co_return got;
}

task<int> row9_await_in_if(bool is) {
  if (co_await truth(is)) co_return 3;
  co_return 4;
}

task<int> row9_await_in_while(int* turns) {
  while (co_await truth(++*turns < 3)) {
  }
  co_return *turns;
}

#if defined(__clang__)
task<int> row10_awaits_in_initializer_list() {
  std::vector<int> both{co_await number(1), co_await number(2)};
  co_return both[0] + both[1];
}
#endif

}  // namespace wrong

namespace safe {

task<int> row1_named_lambda() {
  counted x(3);
  auto named = [x] { return x.value(); };
  int const got = co_await call(std::move(named));
  co_return got;
}

task<int> row2_named_aggregate() {
  aggregate named{counted(1), 2};
  int const got = co_await sum_of(std::move(named));
  co_return got;
}

task<int> row2_constructor() {
  int const got = co_await sum_of_constructed(with_constructor(counted(1), 2));
  co_return got;
}

task<int> row3_awaits_into_locals() {
  counted first = co_await object(1);
  int const second = co_await number(2);
  aggregate both{std::move(first), second};
  co_return both.first.value() + both.second;
}

task<int> row4_await_first() {
  int const one = co_await number(1);
  int const got = add(aggregate{counted(1), 1}, one);
  co_return got;
}

task<int> row5_awaiter_from_function() {
  int const got = co_await make_awaiter(3);
  co_return got;
}

task<int> row6_named_object() {
  aggregate_with_member const named{counted(3)};
  int const got = co_await named.value();
  co_return got;
}

task<int> row6_parameter_instead_of_capture() {
  counted x(3);
  auto function = [](counted by_value) -> task<int> {
    co_await pause_awaiter();
    co_return by_value.value();
  };
  int const got = co_await function(x);
  co_return got;
}

task<int> row7_if_and_else(bool which) {
  counted got(0);
  if (which) {
    got = co_await object(3);
  } else {
    got = co_await object(4);
  }
  co_return got.value();
}

task<int> row8_choose_before_await(bool which) {
  task<int> chosen = which ? number(3) : number(4);
  int const got = co_await std::move(chosen);
  co_return got;
}

task<int> row9_named_condition(bool is) {
  bool const yes = co_await truth(is);
  if (yes) co_return 3;
  co_return 4;
}

task<int> row9_named_in_loop(int* turns) {
  for (;;) {
    bool const more = co_await truth(++*turns < 3);
    if (!more) co_return *turns;
  }
}

task<int> row10_named_vector() {
  int const one = co_await number(1);
  int const two = co_await number(2);
  std::vector<int> const both{one, two};
  co_return both[0] + both[1];
}

}  // namespace safe

enum class behaviour { right = 0, wrong_value, destroyed_twice, leaked, never_ran, crashed, undefined };

std::string name_of(behaviour b) {
  switch (b) {
    case behaviour::right: return "is right";
    case behaviour::wrong_value: return "gives a wrong value";
    case behaviour::destroyed_twice: return "destroys an object twice";
    case behaviour::leaked: return "leaks an object";
    case behaviour::never_ran: return "never runs";
    case behaviour::crashed: return "crashes";
    case behaviour::undefined: break;
  }
  return "goes wrong in a way that differs by build";
}

/// Runs a form to its end in this process.
behaviour observe(task<int> form) {
  queue loop;
  outcome<int> out;
  bool done = false;
  environment const env(loop);
  auto set_flag = [](void* flag, std::exception_ptr) noexcept { *static_cast<bool*>(flag) = true; };
  spawned& root = spawned::create(std::move(form), out, env, set_flag, &done);
  root.post();
  loop.run();
  if (!done) return behaviour::never_ran;  // its frame is left alone: it was never made whole, destroying it crashes
  if (out.take() != 3) return behaviour::wrong_value;
  if (counted::alive < 0) return behaviour::destroyed_twice;
  return counted::alive > 0 ? behaviour::leaked : behaviour::right;
}

/// Runs it in a child process, silently; anything but an orderly end counts as a crash.
template <class Form, class... Arguments>
behaviour observe_apart(Form form, Arguments... arguments) {
  std::fflush(nullptr);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int const nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    counted::alive = 0;
    static constexpr int mark = 100;  // told apart from the exit codes of sanitizers
    ::_exit(mark + static_cast<int>(observe(form(arguments...))));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) < 100 || WEXITSTATUS(status) > 104) return behaviour::crashed;
  return static_cast<behaviour>(WEXITSTATUS(status) - 100);
}

#if defined(__clang__)
constexpr bool must_be_right = true;
constexpr bool must_be_as_documented = false;
#elif __GNUC__ == 12 && __GNUC_MINOR__ == 2
constexpr bool must_be_right = false;
constexpr bool must_be_as_documented = true;
#else
constexpr bool must_be_right = false;
constexpr bool must_be_as_documented = false;
#endif

void check_wrong_form(std::string const& form, behaviour seen, behaviour on_gcc_12) {
  INFO("the form: ", form);
  INFO("here it ", name_of(seen), "; on g++ 12.2 it ", name_of(on_gcc_12));
  if (must_be_right) {
    INFO("this compiler was right so far: add it to the table in docs/coroutines.md");
    CHECK(seen == behaviour::right);
  } else if (must_be_as_documented && seen == behaviour::right) {
    FAIL_CHECK("better than documented: the rule against this form may be relaxed");
  } else if (must_be_as_documented && on_gcc_12 != behaviour::undefined) {
    INFO("wrong in another way than documented: correct the table in docs/coroutines.md");
    CHECK(seen == on_gcc_12);
  } else if (!must_be_as_documented) {
    MESSAGE(form, " ", name_of(seen), " (on g++ 12.2 it ", name_of(on_gcc_12), ")");
  }
}

/// The safe form must be right on every compiler.
behaviour observe_safe(task<int> form) {
  counted::alive = 0;
  return observe(std::move(form));
}

}  // namespace

TEST_CASE("canary 1: a capturing lambda in a statement with co_await") {
  check_wrong_form("co_await f([x]{..})", observe_apart(wrong::row1_capturing_lambda), behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row1_named_lambda()) == behaviour::right);
}

TEST_CASE("canary 2: an aggregate with non-trivial members as an argument of what is awaited") {
  check_wrong_form("co_await f(Aggregate{..})", observe_apart(wrong::row2_aggregate_argument),
                   behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row2_named_aggregate()) == behaviour::right);
  CHECK(observe_safe(safe::row2_constructor()) == behaviour::right);
}

TEST_CASE("canary 3: co_await in the braces of an aggregate") {
  check_wrong_form("Aggregate a{co_await x, co_await y}", observe_apart(wrong::row3_awaits_in_braces),
                   behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row3_awaits_into_locals()) == behaviour::right);
}

TEST_CASE("canary 4: an aggregate beside a co_await") {
  check_wrong_form("use(Aggregate{..}, co_await x)", observe_apart(wrong::row4_aggregate_beside_await),
                   behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row4_await_first()) == behaviour::right);
}

TEST_CASE("canary 5: an awaiter that is an aggregate") {
  check_wrong_form("co_await Aggregate_awaiter{..}", observe_apart(wrong::row5_aggregate_awaiter),
                   behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row5_awaiter_from_function()) == behaviour::right);
}

TEST_CASE("canary 6: a member coroutine of a temporary, a coroutine lambda called where it stands") {
  check_wrong_form("co_await S{..}.member()", observe_apart(wrong::row6_member_of_temporary),
                   behaviour::destroyed_twice);
  check_wrong_form("co_await [x]() -> task<int> {..}()", observe_apart(wrong::row6_called_lambda),
                   behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row6_named_object()) == behaviour::right);
  CHECK(observe_safe(safe::row6_parameter_instead_of_capture()) == behaviour::right);
}

TEST_CASE("canary 7: a conditional operator over awaits of class type") {
  check_wrong_form("c ? co_await a : co_await b", observe_apart(wrong::row7_conditional_of_awaits, true),
                   behaviour::destroyed_twice);
  CHECK(observe_safe(safe::row7_if_and_else(true)) == behaviour::right);
}

TEST_CASE("canary 8: co_await of a conditional operator") {
  // The awaited task itself is destroyed twice, and its frame with it.
  check_wrong_form("co_await (c ? f() : g())", observe_apart(wrong::row8_await_of_conditional, true),
                   behaviour::undefined);
  CHECK(observe_safe(safe::row8_choose_before_await(true)) == behaviour::right);
}

TEST_CASE("canary 9: co_await in a condition of a coroutine without locals") {
  // Nothing of the body runs, not even what stands before the condition; no warning. Whether the awaiter hangs or the
  // task ends without a value differs by build. Any local anywhere in the body hides it.
  check_wrong_form("if (co_await x)", observe_apart(wrong::row9_await_in_if, true), behaviour::undefined);
  int turns = 0;
  check_wrong_form("while (co_await x)", observe_apart(wrong::row9_await_in_while, &turns), behaviour::undefined);
  CHECK(observe_safe(safe::row9_named_condition(true)) == behaviour::right);
  CHECK(observe_safe(safe::row9_named_in_loop(&turns)) == behaviour::right);
}

TEST_CASE("canary 10: initializer lists around co_await") {
  // Does not compile with g++ 12: "array used as initializer". A test that does not compile cannot watch for the day
  // when it does; try it by hand after an upgrade.
#if defined(__clang__)
  check_wrong_form("std::vector<int> v{co_await a, co_await b}", observe_apart(wrong::row10_awaits_in_initializer_list),
                   behaviour::undefined);
#endif
  CHECK(observe_safe(safe::row10_named_vector()) == behaviour::right);
}
