#include "required.hpp"

using namespace io_test;

TEST_CASE("required: names with commas between them") {
  using names = std::vector<std::string>;
  CHECK(names_in(nullptr) == names{});
  CHECK(names_in("") == names{});
  CHECK(names_in("uring") == names{"uring"});
  CHECK(names_in("uring,netns") == names{"uring", "netns"});
  CHECK(names_in(",netns,") == names{"netns"});
}

TEST_CASE("required: KADORO_TEST_REQUIRE names only what tests ask for") {
  for (std::string const& name : required()) {
    CAPTURE(name);
    bool const is_known = name == "uring" || name == "netns";
    CHECK(is_known);
  }
}
