# The targets that users link: kadoro::kadoro (everything portable), kadoro::asio (the Asio backend), kadoro::uring (the
# io_uring backend), and kadoro::lmdb (a database in a file).
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

if(KADORO_STATIC)
  set(kadoro_library_suffixes "${CMAKE_FIND_LIBRARY_SUFFIXES}")
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(kadoro_crypto REQUIRED IMPORTED_TARGET GLOBAL libsodium nettle)
find_package(tl-expected REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Protozero REQUIRED)

add_library(kadoro INTERFACE)
add_library(kadoro::kadoro ALIAS kadoro)
target_compile_features(kadoro INTERFACE cxx_std_20)
target_include_directories(kadoro INTERFACE "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
                                            "$<INSTALL_INTERFACE:include>")
target_link_libraries(kadoro INTERFACE PkgConfig::kadoro_crypto tl::expected nlohmann_json::nlohmann_json
                                       Protozero::protozero)
if(NOT PROJECT_IS_TOP_LEVEL)
  set_target_properties(kadoro PROPERTIES SYSTEM ON)  # the consumer's warning flags are for the consumer's code
endif()

# A consumer that only wants the portable part needs no Asio; our own programs do.
if(PROJECT_IS_TOP_LEVEL)
  find_package(Asio REQUIRED)
else()
  find_package(Asio QUIET)
endif()
if(Asio_FOUND)
  add_library(kadoro_asio INTERFACE)
  add_library(kadoro::asio ALIAS kadoro_asio)
  set_target_properties(kadoro_asio PROPERTIES EXPORT_NAME asio)
  target_link_libraries(kadoro_asio INTERFACE kadoro Asio::asio)
endif()

# Persistence is for those who want it: kadoro::lmdb is there where liblmdb is.
option(KADORO_LMDB "Offer kadoro::lmdb, if liblmdb is found" ON)
if(KADORO_LMDB)
  pkg_check_modules(kadoro_liblmdb QUIET IMPORTED_TARGET GLOBAL lmdb)
endif()
if(TARGET PkgConfig::kadoro_liblmdb)
  add_library(kadoro_lmdb INTERFACE)
  add_library(kadoro::lmdb ALIAS kadoro_lmdb)
  set_target_properties(kadoro_lmdb PROPERTIES EXPORT_NAME lmdb)
  target_link_libraries(kadoro_lmdb INTERFACE kadoro PkgConfig::kadoro_liblmdb)
elseif(PROJECT_IS_TOP_LEVEL)
  message(STATUS "kadoro: without kadoro::lmdb, nodes keep nothing across restarts (Debian: liblmdb-dev)")
endif()

# The second real backend is there where liburing is: io::open takes it in programs that link it, if the system lets them.
option(KADORO_URING "Offer kadoro::uring, if liburing is found" ON)
if(KADORO_URING)
  pkg_check_modules(kadoro_liburing QUIET IMPORTED_TARGET GLOBAL liburing>=2.3)
endif()
if(TARGET PkgConfig::kadoro_liburing)
  add_library(kadoro_uring INTERFACE)
  add_library(kadoro::uring ALIAS kadoro_uring)
  set_target_properties(kadoro_uring PROPERTIES EXPORT_NAME uring)
  target_link_libraries(kadoro_uring INTERFACE kadoro PkgConfig::kadoro_liburing)
  target_compile_definitions(kadoro_uring INTERFACE KADORO_WITH_URING)
elseif(PROJECT_IS_TOP_LEVEL)
  message(STATUS "kadoro: without kadoro::uring, io::open has only Asio to offer (Debian: liburing-dev)")
endif()

if(KADORO_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES "${kadoro_library_suffixes}")
endif()
