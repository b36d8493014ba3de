# Short runs of kadoro-soak, so that it does not rot. What it is for takes hours: docs/soak.md.
add_test(NAME soak/churn COMMAND kadoro-soak churn --nodes 20 --minutes 0.2 --churn 60 --gets 20 --puts 2 --json)
set(kadoro_soak_tests soak/churn)
if(TARGET kadoro_lmdb AND NOT KADORO_SANITIZE)
  add_test(NAME soak/run
    COMMAND kadoro-soak run --minutes 0.75 --gap 2.5 --processes 5 --rate 20 --seed 4 --json)
  list(APPEND kadoro_soak_tests soak/run)
endif()
# Real processes and sockets: alone on the machine, as the other integration tests.
set_tests_properties(${kadoro_soak_tests} PROPERTIES
  LABELS "integration;soak" TIMEOUT ${KADORO_TEST_TIMEOUT_S} RUN_SERIAL TRUE)
