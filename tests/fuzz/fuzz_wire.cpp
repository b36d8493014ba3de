// libFuzzer: whatever decodes can be encoded, in the size that was foretold, and reads as the same again.
#include <cstdlib>

#include "kadoro/wire/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace kadoro;
  auto const first = wire::decode({data, size});
  if (!first) return 0;
  bytes once(wire::encoded_size(*first));
  auto const written = wire::encode(*first, once);
  if (!written || *written != once.size()) std::abort();
  auto const second = wire::decode(once);
  if (!second) std::abort();
  bytes twice(wire::encoded_size(*second));
  if (!wire::encode(*second, twice) || once != twice) std::abort();
  return 0;
}
