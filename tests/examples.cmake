# The examples that need nobody else: each must come to its end, and be content. The others are servers, their clients, and
# a node that is started several times.
foreach(name IN ITEMS asio_program close_within content_addressed find_node_server handle_from_threads providers shard_cover
                      simulated_network timers_race validators watch)
  if(TARGET example_${name})
    add_test(NAME examples/${name} COMMAND example_${name})
    set_tests_properties(examples/${name} PROPERTIES LABELS examples TIMEOUT ${KADORO_TEST_TIMEOUT_S})
  endif()
endforeach()
