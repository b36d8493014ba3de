// With KADORO_SEPARATE_COMPILATION the bodies are compiled here, once.
#include "kadoro/src.hpp"
