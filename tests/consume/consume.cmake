# Each test builds the programs of this folder outside the tree, as a project would that uses kadoro: each takes minutes,
# so each compiler has some of the ways.
set(kadoro_ways find_package command_line compiled_once)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(kadoro_ways add_subdirectory fetch_content)
endif()
foreach(way IN LISTS kadoro_ways)
  add_test(NAME "consume/${way}"
           COMMAND "${CMAKE_COMMAND}" -D WAY=${way} -D "SOURCE_DIR=${PROJECT_SOURCE_DIR}"
                   -D "BINARY_DIR=${PROJECT_BINARY_DIR}" -D "WORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/consume/${way}"
                   -D "CXX=${CMAKE_CXX_COMPILER}" -D "GENERATOR=${CMAKE_GENERATOR}" -D "VERSION=${PROJECT_VERSION}"
                   -P "${CMAKE_CURRENT_LIST_DIR}/run.cmake")
  set_tests_properties("consume/${way}" PROPERTIES LABELS consume TIMEOUT 600)
endforeach()
