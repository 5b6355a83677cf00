# The host side of the CUDA backend. What it decides as data (shapes, choices, tables, caches) needs no CUDA and is part
# of every build; what talks to cuDNN and cuBLASLt is built where their headers are, and linked by its tests and the
# module only, so that no program of the product needs them to start.
set(cuda_free shape choice tuning plan_store picked wanted)
list(TRANSFORM cuda_free PREPEND kernels/cuda/)
list(TRANSFORM cuda_free APPEND .c)
overpaint_library(choices ${cuda_free})

set(OVERPAINT_CUDA_HOME /usr/local/cuda CACHE PATH "where cuDNN and cuBLASLt are looked for")
find_path(CUDNN_HEADERS cudnn.h HINTS ${OVERPAINT_CUDA_HOME}/include)
find_path(CUBLASLT_HEADERS cublasLt.h HINTS ${OVERPAINT_CUDA_HOME}/include)
find_library(CUDNN_LIBRARY cudnn HINTS ${OVERPAINT_CUDA_HOME}/lib64 ${OVERPAINT_CUDA_HOME}/lib)
find_library(CUBLASLT_LIBRARY cublasLt HINTS ${OVERPAINT_CUDA_HOME}/lib64 ${OVERPAINT_CUDA_HOME}/lib)
if(OVERPAINT_CUDA STREQUAL "OFF" OR NOT CUDNN_HEADERS OR NOT CUBLASLT_HEADERS OR NOT CUDNN_LIBRARY OR
   NOT CUBLASLT_LIBRARY)
    return()
endif()
file(GLOB vendor_calls CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} kernels/cuda/*.c)
list(REMOVE_ITEM vendor_calls ${cuda_free})
# NCCL is loaded when weights go from GPU to GPU; only its header is needed here, and not even that.
find_path(NCCL_HEADERS nccl.h HINTS ${OVERPAINT_CUDA_HOME}/include)
set(unused broadcast_none.c)
if(NOT NCCL_HEADERS)
    set(unused broadcast.c)
endif()
list(REMOVE_ITEM vendor_calls kernels/cuda/${unused})
overpaint_library(cuda_host ${vendor_calls} USES choices)
target_include_directories(cuda_host_lib SYSTEM PRIVATE ${CUDNN_HEADERS} ${CUBLASLT_HEADERS})
if(NCCL_HEADERS)
    target_include_directories(cuda_host_lib SYSTEM PRIVATE ${NCCL_HEADERS})
endif()
target_link_libraries(cuda_host_lib PUBLIC ${CUDNN_LIBRARY} ${CUBLASLT_LIBRARY})

# The module: the host objects and the kernels, loaded by the programs when a GPU is asked for. nvrtc, which cuDNN loads,
# looks for its parts by bare names: hence the old kind of rpath, and load_compiler() in module.c.
# overpaint_module(NAME library...): lib/overpaint/overpaint-NAME.so of the host objects and these: the vendor's libraries
# and the kernels, or what stands in for them.
function(overpaint_module name)
    file(WRITE ${CMAKE_BINARY_DIR}/nothing.c "typedef int nothing_else;\n")
    add_library(overpaint-${name} MODULE ${CMAKE_BINARY_DIR}/nothing.c)
    set_target_properties(overpaint-${name} PROPERTIES PREFIX "" LINK_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/exports.map
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/overpaint)
    add_dependencies(overpaint-${name} cuda_host_lib)
    target_link_libraries(overpaint-${name} PRIVATE
        -Wl,--whole-archive $<TARGET_FILE:cuda_host_lib> -Wl,--no-whole-archive ${ARGN} choices_lib kernels_lib
        -Wl,-z,defs -Wl,--version-script=${CMAKE_SOURCE_DIR}/kernels/cuda/exports.map)
endfunction()

if(TARGET cuda_kernels AND NOT OVERPAINT_SANITIZE AND NOT OVERPAINT_FUZZ)
    find_library(CUDART_LIBRARY cudart_static REQUIRED HINTS ${OVERPAINT_CUDA_HOME}/lib64 ${OVERPAINT_CUDA_HOME}/lib)
    get_filename_component(cuda_libraries ${CUBLASLT_LIBRARY} DIRECTORY)
    overpaint_module(cuda ${cuda_objects} ${CUDNN_LIBRARY} ${CUBLASLT_LIBRARY} ${CUDART_LIBRARY} dl rt stdc++
        -Wl,--disable-new-dtags,-rpath,${cuda_libraries})
    add_dependencies(overpaint-cuda cuda_kernels)
    set_target_properties(overpaint-cuda PROPERTIES SKIP_BUILD_RPATH ON)
    install(TARGETS overpaint-cuda LIBRARY DESTINATION lib/overpaint)
endif()
