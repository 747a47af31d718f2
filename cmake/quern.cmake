# quern.cmake - how quern's targets are made: objects, library, programs, tests, fuzz targets.
# SPDX-License-Identifier: MIT
# A folder's CMakeLists.txt lists its sources and calls one of these; flags are decided only here.
# Libraries to link, when a folder needs one: OpenMP::OpenMP_C, PkgConfig::SENTENCEPIECE,
# PkgConfig::JANSSON.

# Warnings. A sanitizer build keeps them as such: gcc no longer sees that a shift it has instrumented is
# never negative, and warns of right code.
set(QUERN_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wundef -Wvla)
set(QUERN_WARNINGS_C -Wmissing-prototypes -Wstrict-prototypes)
if(QUERN_WERROR AND NOT QUERN_SANITIZE)
    list(APPEND QUERN_WARNINGS -Werror)
endif()

# Flags that every target has. -std by hand: CMake 3.20 does not know C_STANDARD 17. Contraction is off
# because results are the same bits on every compiler, so fma stands only where the source says fmaf.
function(quern_configure target)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/formats)
    target_compile_definitions(
        ${target} PRIVATE QUERN_VERSION="${PROJECT_VERSION}" $<$<PLATFORM_ID:Linux>:_GNU_SOURCE>
                          $<$<PLATFORM_ID:Darwin>:_DARWIN_C_SOURCE>)
    target_compile_options(
        ${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:-std=c17> -ffp-contract=off ${QUERN_WARNINGS}
                          "$<$<COMPILE_LANGUAGE:C>:${QUERN_WARNINGS_C}>")
    set_target_properties(
        ${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
                             C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
                             VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
endfunction()

# quern_add_objects(NAME source...)
# An object library that becomes part of libquern. A folder of kernels for an instruction set is named
# quern_kernels_LEVEL and adds its -m flags with target_compile_options(); no other target may have any
# (tests/isa_flags.sh looks at the machine code).
function(quern_add_objects name)
    add_library(${name} OBJECT ${ARGN})
    quern_configure(${name})
    set_property(GLOBAL APPEND PROPERTY QUERN_OBJECTS ${name})
endfunction()

# quern_objects: every object above and what it links, for whatever sees more than the public API.
# Called once, after the folders.
function(quern_collect_objects)
    get_property(objects GLOBAL PROPERTY QUERN_OBJECTS)
    add_library(quern_objects INTERFACE)
    foreach(name IN LISTS objects)
        target_sources(quern_objects INTERFACE $<TARGET_OBJECTS:${name}>)
    endforeach()
    target_link_libraries(quern_objects INTERFACE ${objects} m)
endfunction()

# In a static library, functions that files of quern share with each other ("fail") would clash with those of
# whoever links it. So its objects are joined to one, in which all that is not QUERN_API becomes local.
function(quern_hide_internals name)
    set(one ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    add_custom_command(
        TARGET ${name} POST_BUILD VERBATIM
        COMMAND ${CMAKE_LINKER} -r --whole-archive $<TARGET_FILE:${name}> -o ${one}
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${one}
        COMMAND ${CMAKE_COMMAND} -E rm $<TARGET_FILE:${name}>
        COMMAND ${CMAKE_AR} rcs $<TARGET_FILE:${name}> ${one})
endfunction()

# quern_add_library(NAME [STATIC | SHARED])
# The library as it is installed. Linked as C, with the C++ runtime named, so that a C project can use a
# static libquern without a C++ compiler. The version script keeps the C++ library's templates, which are
# visible in spite of -fvisibility=hidden, out of a shared one.
function(quern_add_library name)
    get_property(objects GLOBAL PROPERTY QUERN_OBJECTS)
    list(TRANSFORM objects REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
    add_library(${name} ${ARGN} ${objects})
    target_link_libraries(${name} PRIVATE ${QUERN_LINK_LIBRARIES} ${QUERN_CXX_RUNTIME})
    set_target_properties(${name} PROPERTIES OUTPUT_NAME quern LINKER_LANGUAGE C VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
    if(APPLE)
        target_link_options(${name} PRIVATE LINKER:-exported_symbol,_quern_*)
    else()
        set(script ${PROJECT_SOURCE_DIR}/cmake/quern.map)
        target_link_options(${name} PRIVATE LINKER:--version-script=${script} LINKER:--as-needed)
        set_property(TARGET ${name} PROPERTY LINK_DEPENDS ${script})
        get_target_property(type ${name} TYPE)
        if(type STREQUAL STATIC_LIBRARY)
            quern_hide_internals(${name})
        endif()
    endif()
endfunction()

# quern_add_program(NAME source...)
# An executable over quern_objects: a shared libquern shows only the public API, and the command needs
# formats/ too.
function(quern_add_program name)
    add_executable(${name} ${ARGN})
    quern_configure(${name})
    target_link_libraries(${name} PRIVATE quern_objects)
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    if(NOT APPLE)
        target_link_options(${name} PRIVATE LINKER:--as-needed)
    endif()
endfunction()

# quern_add_test(NAME SOURCES source... [LABELS label...] [ARGS argument...])
# quern_add_test(NAME COMMAND_ONLY ARGS program argument... [LABELS label...])
# A cmocka program with tests/support.c, run with ARGS; or any command, nothing built.
# Exit status 77 means skipped. Labels: heavy (not run unless asked for), valgrind (quick enough to run
# under valgrind too), emulated (built and run when cross compiling).
function(quern_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg COMMAND_ONLY "" "SOURCES;LABELS;ARGS")
    if(QUERN_FUZZ OR (QUERN_VALGRIND AND NOT valgrind IN_LIST arg_LABELS)
       OR (CMAKE_CROSSCOMPILING AND NOT emulated IN_LIST arg_LABELS))
        return()
    endif()
    set(test ${name})
    if(arg_COMMAND_ONLY)
        add_test(NAME ${test} COMMAND ${arg_ARGS})
    else()
        string(APPEND test "${QUERN_TEST_SUFFIX}")
        quern_add_program(${name} ${arg_SOURCES})
        target_compile_definitions(${name} PRIVATE QUERN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                   QUERN_BINARY="$<TARGET_FILE:quern_cli>")
        target_link_libraries(${name} PRIVATE quern_test_support PkgConfig::CMOCKA PkgConfig::JANSSON)
        add_dependencies(${name} quern_cli)
        add_test(NAME ${test} COMMAND ${QUERN_TEST_LAUNCHER} $<TARGET_FILE:${name}> ${arg_ARGS})
    endif()
    set_tests_properties(${test} PROPERTIES LABELS "${arg_LABELS}" SKIP_RETURN_CODE 77 TIMEOUT 2700
                                            ENVIRONMENT "${QUERN_TEST_ENVIRONMENT}")
endfunction()

# quern_add_fuzzer(NAME SOURCES source... CORPUS folder)
# A program with LLVMFuzzerTestOneInput(). With QUERN_FUZZ its test is a run of libFuzzer that starts from
# the corpus and keeps what it finds in the build folder; otherwise tests/fuzz/replay.c is its main() and
# the test replays the corpus.
function(quern_add_fuzzer name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" CORPUS SOURCES)
    if(NOT QUERN_FUZZ)
        quern_add_test(${name} SOURCES ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c
                       ARGS ${arg_CORPUS})
        return()
    endif()
    quern_add_program(${name} ${arg_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(found ${CMAKE_CURRENT_BINARY_DIR}/${name}_found)
    file(MAKE_DIRECTORY ${found})
    math(EXPR timeout "${QUERN_FUZZ_SECONDS} + 300")
    add_test(NAME ${name} COMMAND ${name} -max_total_time=${QUERN_FUZZ_SECONDS} -timeout=20 -verbosity=0
                                  -print_final_stats=1 -artifact_prefix=${found}/ ${found} ${arg_CORPUS})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} ENVIRONMENT "${QUERN_TEST_ENVIRONMENT}")
endfunction()
