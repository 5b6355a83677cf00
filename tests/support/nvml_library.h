/* The stand-in for NVML (tests/vendor/nvml.c) in a test's own process. */
#ifndef TESTS_SUPPORT_NVML_LIBRARY_H
#define TESTS_SUPPORT_NVML_LIBRARY_H

typedef void nvml_set(const char *name, const char *value);
typedef int nvml_held(void);

/* Loads it and finds what rules it (tests/vendor/nvml.h); NULL when that fails. For dlclose. */
void *nvml_library_load(const char *path, nvml_set **set, nvml_held **held);

#endif
