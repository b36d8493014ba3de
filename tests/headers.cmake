# Every public header compiles alone, and twice in one file: as part of a compiled kadoro with g++, header-only with
# clang, since each of them takes minutes; header-only is something else for those that bring bodies along. One test per
# folder of headers: the compiler is called once with a tiny source for each of them.
file(GLOB_RECURSE kadoro_headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
     "${PROJECT_SOURCE_DIR}/include/*.hpp")
list(FILTER kadoro_headers EXCLUDE REGEX "/impl/|/src\\.hpp$")
if(NOT TARGET kadoro_lmdb)
  list(FILTER kadoro_headers EXCLUDE REGEX "^kadoro/io/lmdb/")
endif()
if(NOT TARGET kadoro_uring)
  list(FILTER kadoro_headers EXCLUDE REGEX "^kadoro/io/uring/")
endif()

set(kadoro_header_flags -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
    "-I${PROJECT_SOURCE_DIR}/include" -DASIO_STANDALONE)

set(mode compiled)
set(define -DKADORO_SEPARATE_COMPILATION)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(mode header_only)
  set(define "")
endif()

set(kadoro_header_folders "")
foreach(header IN LISTS kadoro_headers)
  if(mode STREQUAL "header_only")
    file(STRINGS "${PROJECT_SOURCE_DIR}/include/${header}" bodies REGEX "#include.*\\.ipp" LIMIT_COUNT 1)
    if(NOT bodies)
      continue()
    endif()
  endif()
  get_filename_component(folder "${header}" DIRECTORY)
  string(REGEX REPLACE "^kadoro/" "" folder "${folder}")
  if(folder STREQUAL "")
    set(folder umbrella)
  endif()
  string(REGEX REPLACE "[/.]" "_" name "${header}")
  set(source "${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
  list(APPEND kadoro_header_folders "${folder}")
  list(APPEND kadoro_header_sources_${folder} "${source}")
endforeach()
list(REMOVE_DUPLICATES kadoro_header_folders)

foreach(folder IN LISTS kadoro_header_folders)
  add_test(NAME "headers/${folder}/${mode}"
           COMMAND "${CMAKE_CXX_COMPILER}" ${kadoro_header_flags} ${define} ${kadoro_header_sources_${folder}})
  set_tests_properties("headers/${folder}/${mode}" PROPERTIES LABELS headers TIMEOUT ${KADORO_TEST_TIMEOUT_S})
endforeach()
