#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

/// @file
/// What a test needs, and not every machine gives.

namespace io_test {

/// The names in `list`, which has commas between them. Null: none.
inline std::vector<std::string> names_in(char const* list) {
  std::vector<std::string> names;
  std::string name;
  for (char const* at = list; at != nullptr; ++at) {
    if (*at != ',' && *at != '\0') {
      name += *at;
      continue;
    }
    if (!name.empty()) names.push_back(name);
    name.clear();
    if (*at == '\0') break;
  }
  return names;
}

/// What somebody knows that this machine has: `uring`, `netns` (a network of one's own, with a TAP device).
inline std::vector<std::string> required() { return names_in(std::getenv("KADORO_TEST_REQUIRE")); }

/// Says that a test does without `need`, because this machine does not give it. A failure where that is required.
inline void pass_over(std::string const& need, std::string const& why) {
  std::vector<std::string> const names = required();
  if (std::find(names.begin(), names.end(), need) == names.end())
    MESSAGE("passed over, for want of ", need, ": ", why);
  else
    FAIL_CHECK("this machine has ", need, ", says KADORO_TEST_REQUIRE, but: ", why);
}

}  // namespace io_test
