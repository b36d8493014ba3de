# Finds protozero (header-only protobuf); Debian ships its headers alone.
# Defines Protozero::protozero, Protozero_FOUND, Protozero_INCLUDE_DIR and Protozero_VERSION.
find_path(Protozero_INCLUDE_DIR NAMES protozero/version.hpp)
mark_as_advanced(Protozero_INCLUDE_DIR)

if(Protozero_INCLUDE_DIR)
  file(STRINGS "${Protozero_INCLUDE_DIR}/protozero/version.hpp" Protozero_version_line
       REGEX "^#define PROTOZERO_VERSION_STRING ")
  if(Protozero_version_line MATCHES "\"([0-9.]+)\"")
    set(Protozero_VERSION "${CMAKE_MATCH_1}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Protozero REQUIRED_VARS Protozero_INCLUDE_DIR VERSION_VAR Protozero_VERSION)

if(Protozero_FOUND AND NOT TARGET Protozero::protozero)
  add_library(Protozero::protozero INTERFACE IMPORTED)
  set_target_properties(Protozero::protozero PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${Protozero_INCLUDE_DIR}")
endif()
