// With KADORO_SEPARATE_COMPILATION the bodies are compiled here, once; each backend brings its own.
#include "kadoro/io/posix/src.hpp"
#include "kadoro/io/system/src.hpp"
#include "kadoro/src.hpp"
#if defined(KADORO_WITH_URING)
#include "kadoro/io/uring/src.hpp"
#endif

#include "kadoro/io/asio/src.hpp"
