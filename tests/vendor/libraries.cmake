# Stand-ins for cuBLASLt and cuDNN (LIBRARIES.md). Numbers and sums need nothing of the vendor's.
add_executable(test_vendor_numbers test_vendor_numbers.c numbers.c sums.c)
target_link_libraries(test_vendor_numbers PRIVATE PkgConfig::cmocka m)
add_test(NAME test_vendor_numbers COMMAND test_vendor_numbers)
set(library_tests test_vendor_products test_vendor_plans test_vendor_attention)
if(NOT TARGET cuda_host_lib OR NOT TARGET vendor_cudart)
    foreach(name ${library_tests})
        add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo "skipped: no headers or libraries of cuDNN and cuBLASLt")
        set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped:")
    endforeach()
    return()
endif()
# cuBLASLt's stand-in is whole; cuDNN's is in front of the real library, which plans for a device that is described. Their
# names are hidden: in a module they must not stand in for anybody else's.
add_library(vendor_libraries STATIC numbers.c sums.c cublaslt.c cublaslt_algorithms.c cublaslt_product.c cudnn.c
    cudnn_real.c cudnn_program.c cudnn_run.c cudnn_convolution.c cudnn_attention.c)
target_include_directories(vendor_libraries SYSTEM PUBLIC ${CUDNN_HEADERS} ${CUBLASLT_HEADERS})
target_compile_options(vendor_libraries PRIVATE -fvisibility=hidden)
target_compile_definitions(vendor_libraries PRIVATE CUDNN_LIBRARY="${CUDNN_LIBRARY}"
    DRIVER_STAND_IN="$<TARGET_FILE:driver_stand_in>"
    DEVICE_DESCRIPTION="${CMAKE_SOURCE_DIR}/tests/cuda/devices/h200.json")
target_link_libraries(vendor_libraries PUBLIC PkgConfig::json Threads::Threads m ${CMAKE_DL_LIBS})
add_dependencies(vendor_libraries driver_stand_in)

# NCCL's stand-in is found by the module through dlopen (see CMakeLists.txt).
if(NCCL_HEADERS)
    target_sources(vendor_libraries PRIVATE nccl.cc)
    target_include_directories(vendor_libraries SYSTEM PRIVATE ${NCCL_HEADERS})
    target_link_libraries(vendor_libraries PUBLIC vendor_cudart)
endif()

# What these need of the module's own objects, without the libraries they are usually linked with.
foreach(name ${library_tests})
    add_executable(${name} ${name}.c arrays.c bench.c convolutions.c)
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    add_dependencies(${name} cuda_host_lib)
    target_link_libraries(${name} PRIVATE $<TARGET_FILE:cuda_host_lib> vendor_libraries vendor_cudart choices_lib
        PkgConfig::cmocka)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 ENVIRONMENT ASAN_OPTIONS=detect_leaks=0)
endforeach()
