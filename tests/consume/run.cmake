# Builds the consumer in WORK_DIR in the way WAY and runs it; see consume.cmake.
cmake_minimum_required(VERSION 3.25)

function(run)
  list(JOIN ARGN " " line)
  message(STATUS "${line}")
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${WORK_DIR}" RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed (${status}): ${line}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")
file(MAKE_DIRECTORY "${WORK_DIR}")
set(here "${CMAKE_CURRENT_LIST_DIR}")

if(WAY STREQUAL "command_line")
  # What a user without CMake types: headers, libsodium and Nettle, nothing else.
  set(flags -std=c++20 -Wall -Wextra -Wpedantic -Werror "-I${SOURCE_DIR}/include")
  run("${CXX}" ${flags} "${here}/portable.cpp" "${here}/portable_too.cpp" -lsodium -lnettle -o portable)
  set(uring "")
  if(EXISTS /usr/include/liburing.h)
    set(uring -DKADORO_WITH_URING -luring)
    run("${CXX}" ${flags} -DASIO_STANDALONE -fsyntax-only "${here}/either.cpp")  # and without
  endif()
  run("${CXX}" ${flags} -DASIO_STANDALONE "${here}/either.cpp" -lsodium -lnettle ${uring} -pthread -o either)
  run("${WORK_DIR}/portable")
  run("${WORK_DIR}/either")
  return()
endif()

# Each of them takes half a minute to compile: all by find_package and compiled once, elsewhere what may differ there.
set(programs portable backend either)
if(WAY STREQUAL "fetch_content")
  set(programs backend)
elseif(WAY STREQUAL "add_subdirectory")
  set(programs portable either)
endif()

if(WAY STREQUAL "find_package")
  run("${CMAKE_COMMAND}" --install "${BINARY_DIR}" --prefix "${WORK_DIR}/prefix")
endif()
run("${CMAKE_COMMAND}" -S "${here}" -B "${WORK_DIR}/build" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX}"
    -DCMAKE_BUILD_TYPE=None "-DWAY=${WAY}" "-DKADORO_SOURCE_DIR=${SOURCE_DIR}" "-DKADORO_WANTED_VERSION=${VERSION}"
    "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix" "-DFETCHCONTENT_SOURCE_DIR_KADORO=${SOURCE_DIR}")
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build" --target ${programs})
foreach(program IN LISTS programs)
  run("${WORK_DIR}/build/${program}")
endforeach()
