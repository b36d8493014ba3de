// The counting `operator new` of the tests of the floor below.
#include "io/allocations.cpp"
