# How a library, a program or a test of Overpaint is declared, and where the outside libraries are found.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(dnnl CONFIG REQUIRED)
pkg_check_modules(messages REQUIRED IMPORTED_TARGET libzmq libprotobuf-c)
pkg_check_modules(pictures REQUIRED IMPORTED_TARGET libpng libjpeg libwebp libwebpdemux
                  libwebpmux lcms2)
pkg_check_modules(text REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(inflate REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(json REQUIRED IMPORTED_TARGET jansson)

set(sanitizer_flags "")
if(OVERPAINT_SANITIZE STREQUAL "address")
    set(sanitizer_flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(OVERPAINT_SANITIZE STREQUAL "thread")
    set(sanitizer_flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(NOT OVERPAINT_SANITIZE STREQUAL "")
    message(FATAL_ERROR "OVERPAINT_SANITIZE is '${OVERPAINT_SANITIZE}', expected empty, address or thread")
endif()
if(OVERPAINT_FUZZ)
    list(APPEND sanitizer_flags -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all)
endif()
add_compile_options(${sanitizer_flags})
add_link_options(${sanitizer_flags})

# overpaint_library(NAME FROM folder... USES target...): every .c of the folders except main.c.
function(overpaint_library name)
    cmake_parse_arguments(lib "" "" "FROM;USES" ${ARGN})
    set(sources "")
    foreach(folder ${lib_FROM})
        file(GLOB found CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${folder}/*.c)
        list(APPEND sources ${found})
    endforeach()
    list(FILTER sources EXCLUDE REGEX "(^|/)main\\.c$")
    list(APPEND sources ${lib_UNPARSED_ARGUMENTS})
    if(NOT sources)
        file(WRITE ${CMAKE_BINARY_DIR}/empty.c "typedef int nothing_yet;\n")
        set(sources ${CMAKE_BINARY_DIR}/empty.c)
    endif()
    add_library(${name}_lib STATIC ${sources})
    foreach(used ${lib_USES})
        if(used MATCHES "::")
            target_link_libraries(${name}_lib PUBLIC ${used})
        else()
            target_link_libraries(${name}_lib PUBLIC ${used}_lib)
        endif()
    endforeach()
    target_link_libraries(${name}_lib PUBLIC Threads::Threads m)
endfunction()

# overpaint_proto(FOLDER): the library `proto`, with overpaint.proto compiled into the build folder.
function(overpaint_proto folder)
    find_program(PROTOC_C protoc-c REQUIRED)
    set(out ${CMAKE_BINARY_DIR}/proto)
    file(MAKE_DIRECTORY ${out})
    add_custom_command(
        OUTPUT ${out}/overpaint.pb-c.c ${out}/overpaint.pb-c.h
        COMMAND ${PROTOC_C} --c_out=${out} -I${CMAKE_SOURCE_DIR}/${folder} overpaint.proto
        DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/overpaint.proto)
    set_source_files_properties(${out}/overpaint.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
    overpaint_library(proto ${out}/overpaint.pb-c.c FROM ${folder} USES PkgConfig::messages PkgConfig::text
                      PkgConfig::inflate)
endfunction()

# overpaint_program(NAME MAIN USES library...)
function(overpaint_program name main)
    cmake_parse_arguments(prog "" "" "USES" ${ARGN})
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/${main})
        return()
    endif()
    add_executable(${name} ${main})
    list(TRANSFORM prog_USES APPEND _lib)
    target_link_libraries(${name} PRIVATE ${prog_USES})
endfunction()

# overpaint_shared(NAME FROM library EXPORTS map): libNAME.so of all of a library, in lib/.
function(overpaint_shared name)
    cmake_parse_arguments(so "" "FROM;EXPORTS" "" ${ARGN})
    set(map ${CMAKE_SOURCE_DIR}/${so_EXPORTS})
    file(WRITE ${CMAKE_BINARY_DIR}/nothing.c "typedef int nothing_else;\n")
    add_library(lib${name} SHARED ${CMAKE_BINARY_DIR}/nothing.c)
    set_target_properties(lib${name} PROPERTIES OUTPUT_NAME ${name} SOVERSION ${PROJECT_VERSION_MAJOR}
        VERSION ${PROJECT_VERSION} LINK_DEPENDS ${map} LINKER_LANGUAGE C
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
    target_link_libraries(lib${name} PRIVATE
        -Wl,--whole-archive ${so_FROM}_lib -Wl,--no-whole-archive
        -Wl,--version-script=${map})
endfunction()
