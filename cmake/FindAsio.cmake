# Finds standalone Asio, for which Debian ships neither a CMake package nor a .pc file.
# Defines Asio::asio, Asio_FOUND, Asio_INCLUDE_DIR and Asio_VERSION.
find_path(Asio_INCLUDE_DIR NAMES asio/version.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)

if(Asio_INCLUDE_DIR)
  # ASIO_VERSION is major * 100000 + minor * 100 + patch.
  file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" Asio_version_line REGEX "^#define ASIO_VERSION [0-9]+")
  if(Asio_version_line MATCHES "ASIO_VERSION ([0-9]+)")
    math(EXPR Asio_major "${CMAKE_MATCH_1} / 100000")
    math(EXPR Asio_minor "${CMAKE_MATCH_1} / 100 % 1000")
    math(EXPR Asio_patch "${CMAKE_MATCH_1} % 100")
    set(Asio_VERSION "${Asio_major}.${Asio_minor}.${Asio_patch}")
  endif()
endif()

include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio REQUIRED_VARS Asio_INCLUDE_DIR Threads_FOUND VERSION_VAR Asio_VERSION)

if(Asio_FOUND AND NOT TARGET Asio::asio)
  add_library(Asio::asio INTERFACE IMPORTED)
  set_target_properties(Asio::asio PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${Asio_INCLUDE_DIR}"
                                              INTERFACE_COMPILE_DEFINITIONS ASIO_STANDALONE
                                              INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
