// The other one of two files that include the umbrella.
#include "kadoro.hpp"

int portable_too() {
  kadoro::chacha20_random one(1);
  kadoro::chacha20_random two(1);
  auto const a = one.next();
  auto const b = two.next();
  return a == b ? 42 : 0;
}
