# What must hold before anything else is configured.
if(CMAKE_SOURCE_DIR STREQUAL CMAKE_BINARY_DIR)
  message(FATAL_ERROR "kadoro: in-source builds are not supported, they bury the sources in build files. "
                      "Remove CMakeCache.txt and CMakeFiles/, then: cmake -S . -B build")
endif()

# A single-configuration build without a type would be unoptimised without a word about it.
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# -std=c++20, not gnu++20: our own programs see the language that users may have.
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
endif()
