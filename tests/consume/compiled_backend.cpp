// With KADORO_SEPARATE_COMPILATION the bodies are compiled here, once; each backend brings its own.
#include "kadoro/io/asio/src.hpp"
#include "kadoro/io/posix/src.hpp"
#include "kadoro/src.hpp"
