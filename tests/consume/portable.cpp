// One of two files that include the umbrella: uses the library without a backend.
#include <cstdio>

#include "kadoro.hpp"

int portable_too();

int main() {
  kadoro::chacha20_random random(7);
  auto const first = random.below(100);
  std::printf("kadoro %s: %d, random %d\n", KADORO_VERSION_STRING, portable_too(), static_cast<int>(first));
  return portable_too() == 42 && first < 100 ? 0 : 1;
}
