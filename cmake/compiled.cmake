# kadoro_dev: the flags of our own programs. kadoro_compiled: kadoro built once, so that the tests compile fast.

add_library(kadoro_dev INTERFACE)
target_compile_options(kadoro_dev INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(KADORO_WERROR)
  target_compile_options(kadoro_dev INTERFACE -Werror)
endif()
if(KADORO_SANITIZE)
  set(kadoro_sanitize_flags "-fsanitize=${KADORO_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(kadoro_dev INTERFACE ${kadoro_sanitize_flags})
  target_link_options(kadoro_dev INTERFACE ${kadoro_sanitize_flags})
endif()
if(KADORO_COVERAGE)
  target_compile_options(kadoro_dev INTERFACE --coverage -fprofile-abs-path)
  target_link_options(kadoro_dev INTERFACE --coverage)
endif()
if(KADORO_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "kadoro: KADORO_BUILD_FUZZERS needs clang, libFuzzer comes with it")
  endif()
  target_compile_options(kadoro_dev INTERFACE -fsanitize=fuzzer-no-link)
endif()

# One generated source per folder of .ipp files: both cores have work, and one edit rebuilds one folder.
# That kadoro/src.hpp lists the same files is checked by the tidy test, that it compiles by the consumption tests.
file(GLOB_RECURSE kadoro_ipp_files CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
     "${PROJECT_SOURCE_DIR}/include/kadoro/*.ipp")
set(kadoro_folders "")
foreach(file IN LISTS kadoro_ipp_files)
  string(REGEX REPLACE "^kadoro/(.*)/impl/[^/]*$" "\\1" folder "${file}")
  string(REPLACE "/" "_" folder "${folder}")
  list(APPEND kadoro_folders "${folder}")
  string(APPEND kadoro_source_${folder} "#include \"${file}\"\n")
endforeach()
list(REMOVE_DUPLICATES kadoro_folders)
if(KADORO_COMPILED_FOLDERS)  # while a higher floor is under construction: only these, e.g. "base;coro;io"
  set(kadoro_folders ${KADORO_COMPILED_FOLDERS})
endif()

set(kadoro_sources "")
foreach(folder IN LISTS kadoro_folders)
  set(source "${PROJECT_BINARY_DIR}/compiled/${folder}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "${kadoro_source_${folder}}" @ONLY)
  list(APPEND kadoro_sources "${source}")
endforeach()

add_library(kadoro_compiled STATIC ${kadoro_sources})
target_compile_definitions(kadoro_compiled PUBLIC KADORO_SEPARATE_COMPILATION)
target_link_libraries(kadoro_compiled PUBLIC kadoro::asio kadoro_dev)
