// Opens the best backend that this program was built with and this machine allows, and runs a task on it.
#include <cstdio>

#include "kadoro/io/system/open.hpp"

namespace {

kadoro::coro::task<int> answer(int value) { co_return value; }

}  // namespace

int main() {
  auto const context = kadoro::io::open();
  if (!context) {
    std::fprintf(stderr, "%s\n", context.error().message().c_str());
    return 1;
  }
  int const value = (*context)->run(answer(42));
  std::printf("kadoro on %s: %d\n", (*context)->backend_details().c_str(), value);
  return value == 42 ? 0 : 1;
}
