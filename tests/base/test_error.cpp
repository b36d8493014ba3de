#include <doctest/doctest.h>

#include <ostream>
#include <set>
#include <string>

#include "kadoro/base/result.hpp"

using namespace kadoro;

TEST_CASE("error: every code has its own sentence, and at least one condition unless it is a local one") {
  std::set<std::string> sentences;
  for (int i = static_cast<int>(errc::timed_out); i <= static_cast<int>(errc::in_use); ++i) {
    std::error_code const code = make_error_code(static_cast<errc>(i));
    CHECK(code.message() != "unknown error");
    CHECK(sentences.insert(code.message()).second);
    int conditions = 0;
    for (int c = static_cast<int>(condition::timeout); c <= static_cast<int>(condition::over_limit); ++c)
      conditions += code == make_error_condition(static_cast<condition>(c)) ? 1 : 0;
    bool const local = static_cast<errc>(i) == errc::invalid_argument || static_cast<errc>(i) == errc::address_in_use ||
                       static_cast<errc>(i) == errc::io_failure || static_cast<errc>(i) == errc::in_use;
    CHECK((conditions > 0) == !local);
  }
}

TEST_CASE("error: compares to codes and conditions, and tells its detail") {
  error const full(errc::refused_full, "peer X: full");
  CHECK(full == errc::refused_full);
  CHECK(full == condition::refused);
  CHECK(full == condition::over_limit);
  CHECK_FALSE(full == condition::timeout);
  CHECK(full.message() == "peer X: full");
  CHECK(error(errc::closed).message() == "closed");
  CHECK(std::error_code(errc::no_answer) == condition::no_answer);
  CHECK(std::string(error_category().name()) == "kadoro");
  CHECK(make_error_condition(condition::refused).message() == "refused");
}

TEST_CASE("result: a value, or why there is none") {
  auto const half = [](int n) -> result<int> {
    if (n % 2 != 0) return fail(errc::invalid_argument, "odd");
    return n / 2;
  };
  CHECK(half(4).value() == 2);
  REQUIRE_FALSE(half(3).has_value());
  CHECK(half(3).error().message() == "odd");
}
