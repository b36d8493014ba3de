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
  run("${CXX}" ${flags} -DASIO_STANDALONE "${here}/backend.cpp" -lsodium -lnettle -pthread -o backend)
  run("${CXX}" ${flags} -DASIO_STANDALONE "${here}/either.cpp" -lsodium -lnettle -pthread -o either)
  run("${WORK_DIR}/portable")
  run("${WORK_DIR}/backend")
  run("${WORK_DIR}/either")
  if(EXISTS /usr/include/liburing.h)
    run("${CXX}" ${flags} -DASIO_STANDALONE -DKADORO_WITH_URING "${here}/either.cpp" -lsodium -lnettle -luring -pthread
        -o either_of_two)
    run("${WORK_DIR}/either_of_two")
  endif()
  return()
endif()

if(WAY STREQUAL "find_package")
  run("${CMAKE_COMMAND}" --install "${BINARY_DIR}" --prefix "${WORK_DIR}/prefix")
endif()
run("${CMAKE_COMMAND}" -S "${here}" -B "${WORK_DIR}/build" -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX}"
    -DCMAKE_BUILD_TYPE=None "-DWAY=${WAY}" "-DKADORO_SOURCE_DIR=${SOURCE_DIR}" "-DKADORO_WANTED_VERSION=${VERSION}"
    "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix" "-DFETCHCONTENT_SOURCE_DIR_KADORO=${SOURCE_DIR}")
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build")
run("${WORK_DIR}/build/portable")
run("${WORK_DIR}/build/backend")
run("${WORK_DIR}/build/either")
