# The version has one home, include/kadoro/base/version.hpp; this reads it into `kadoro_header_version`.
file(STRINGS "${CMAKE_CURRENT_SOURCE_DIR}/include/kadoro/base/version.hpp" kadoro_version_line
     REGEX "^#define KADORO_VERSION_STRING ")
if(NOT kadoro_version_line MATCHES "\"([0-9]+\\.[0-9]+\\.[0-9]+)\"")
  message(FATAL_ERROR "kadoro: no KADORO_VERSION_STRING in include/kadoro/base/version.hpp")
endif()
set(kadoro_header_version "${CMAKE_MATCH_1}")
