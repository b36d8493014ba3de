# Installation: headers, targets, and a package config that finds the dependencies again on the consumer's machine.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(kadoro_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/kadoro")

install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp" PATTERN "*.ipp")
install(TARGETS kadoro EXPORT kadoro-targets)
install(EXPORT kadoro-targets NAMESPACE kadoro:: DESTINATION "${kadoro_package_dir}")
if(TARGET kadoro_asio)
  # A file of its own: it is only loaded when the component is asked for.
  install(TARGETS kadoro_asio EXPORT kadoro-asio-targets)
  install(EXPORT kadoro-asio-targets NAMESPACE kadoro:: DESTINATION "${kadoro_package_dir}")
endif()
if(TARGET kadoro_lmdb)
  install(TARGETS kadoro_lmdb EXPORT kadoro-lmdb-targets)
  install(EXPORT kadoro-lmdb-targets NAMESPACE kadoro:: DESTINATION "${kadoro_package_dir}")
endif()
if(TARGET kadoro_uring)
  install(TARGETS kadoro_uring EXPORT kadoro-uring-targets)
  install(EXPORT kadoro-uring-targets NAMESPACE kadoro:: DESTINATION "${kadoro_package_dir}")
endif()

configure_file(cmake/kadoro-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/kadoro-config.cmake" @ONLY)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/kadoro-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/kadoro-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/kadoro-config-version.cmake" cmake/FindAsio.cmake cmake/FindProtozero.cmake
        DESTINATION "${kadoro_package_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/kadoro")
