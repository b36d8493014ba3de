// The one definition of doctest's main; every test program links it. The second line is for where a precompiled header
// has included doctest before.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
