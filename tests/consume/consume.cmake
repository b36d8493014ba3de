# Each test builds the programs of this folder outside the tree, as a project would that uses kadoro.
foreach(way IN ITEMS find_package add_subdirectory fetch_content command_line compiled_once)
  add_test(NAME "consume/${way}"
           COMMAND "${CMAKE_COMMAND}" -D WAY=${way} -D "SOURCE_DIR=${PROJECT_SOURCE_DIR}"
                   -D "BINARY_DIR=${PROJECT_BINARY_DIR}" -D "WORK_DIR=${CMAKE_CURRENT_BINARY_DIR}/consume/${way}"
                   -D "CXX=${CMAKE_CXX_COMPILER}" -D "GENERATOR=${CMAKE_GENERATOR}" -D "VERSION=${PROJECT_VERSION}"
                   -P "${CMAKE_CURRENT_LIST_DIR}/run.cmake")
  set_tests_properties("consume/${way}" PROPERTIES LABELS consume TIMEOUT 600)
endforeach()
