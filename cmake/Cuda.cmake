# The host side of the CUDA backend. What it decides as data (shapes, choices, tables, caches) needs no CUDA and is part
# of every build; what talks to cuDNN and cuBLASLt is built where their headers are, and linked by its tests and the
# module only, so that no program of the product needs them to start.
set(cuda_free shape choice tuning plan_store)
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
overpaint_library(cuda_host ${vendor_calls} USES choices)
target_include_directories(cuda_host_lib SYSTEM PRIVATE ${CUDNN_HEADERS} ${CUBLASLT_HEADERS})
target_link_libraries(cuda_host_lib PUBLIC ${CUDNN_LIBRARY} ${CUBLASLT_LIBRARY})
