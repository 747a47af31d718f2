# install.cmake - what `cmake --install` puts where, and how other projects find libquern.
# SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)

install(TARGETS quern_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS libquern EXPORT quern ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES engine/quern.h formats/quern_status.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/quern)
install(DIRECTORY models/bundled/ DESTINATION ${CMAKE_INSTALL_DATADIR}/quern)

# The CMake package: quern::quern.
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/quern)
set_target_properties(libquern PROPERTIES EXPORT_NAME quern)
install(EXPORT quern FILE quernTargets.cmake NAMESPACE quern:: DESTINATION ${package_dir})
configure_package_config_file(cmake/quernConfig.cmake.in ${PROJECT_BINARY_DIR}/quernConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/quernConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/quernConfig.cmake ${PROJECT_BINARY_DIR}/quernConfigVersion.cmake
        DESTINATION ${package_dir})

# The pkg-config file. Its prefix is relative, so that an installed tree can be moved. A static library
# cannot say what it needs, so there the private libraries are everybody's.
file(RELATIVE_PATH QUERN_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" QUERN_PC_PREFIX ${QUERN_PC_PREFIX})
set(link_flags "")
foreach(library IN LISTS OpenMP_C_LIBRARIES)
    # gcc finds its own libgomp; any other OpenMP needs the folder.
    get_filename_component(folder ${library} DIRECTORY)
    if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
        list(APPEND link_flags -L${folder})
    endif()
endforeach()
list(TRANSFORM OpenMP_C_LIB_NAMES REPLACE "^(lib)?(.+)$" "-l\\2" OUTPUT_VARIABLE openmp_flags)
list(TRANSFORM QUERN_CXX_RUNTIME PREPEND -l OUTPUT_VARIABLE cxx_flags)
list(APPEND link_flags ${openmp_flags} ${cxx_flags} -lm)
list(REMOVE_DUPLICATES link_flags)
list(JOIN link_flags " " link_flags)
list(JOIN QUERN_PC_PACKAGES " " packages)
if(BUILD_SHARED_LIBS)
    set(QUERN_PC_REQUIRES_PRIVATE ${packages})
    set(QUERN_PC_LIBS_PRIVATE ${link_flags})
else()
    set(QUERN_PC_REQUIRES ${packages})
    set(QUERN_PC_LIBS ${link_flags})
endif()
configure_file(cmake/quern.pc.in ${PROJECT_BINARY_DIR}/quern.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/quern.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
