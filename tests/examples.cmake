# The examples that need nobody else: each must come to its end, and be content.
foreach(name IN ITEMS asio_program close_within content_addressed find_node_server handle_from_threads providers shard_cover
                      simulated_network timers_race validators watch)
  if(TARGET example_${name})
    add_test(NAME examples/${name} COMMAND example_${name})
    set_tests_properties(examples/${name} PROPERTIES LABELS examples TIMEOUT ${KADORO_TEST_TIMEOUT_S})
  endif()
endforeach()
if(NOT TARGET example_tcp_echo_server)
  return()
endif()

# The others: servers and their clients, and a node that is started several times. Real processes and sockets, so alone.
set(kadoro_run_example Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/examples.py")
set(kadoro_example_tests examples/persistent_node)
add_test(NAME examples/persistent_node COMMAND ${kadoro_run_example} persistent $<TARGET_FILE:example_persistent_node>)
foreach(protocol IN ITEMS tcp udp)
  foreach(backend IN ITEMS asio uring)
    list(APPEND kadoro_example_tests examples/${protocol}_echo_${backend})
    add_test(NAME examples/${protocol}_echo_${backend}
      COMMAND ${kadoro_run_example} echo ${backend} $<TARGET_FILE:example_${protocol}_echo_server>
        $<TARGET_FILE:example_${protocol}_echo_client>)
  endforeach()
endforeach()
set_tests_properties(${kadoro_example_tests} PROPERTIES
  LABELS examples TIMEOUT ${KADORO_TEST_TIMEOUT_S} RUN_SERIAL TRUE SKIP_RETURN_CODE 77)
