/* The stand-in for NVML: see nvml_library.h. */
#include "tests/support/nvml_library.h"

#include <dlfcn.h>
#include <stddef.h>

void *nvml_library_load(const char *path, nvml_set **set, nvml_held **held)
{
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        return NULL;
    *(void **)set = dlsym(library, "nvml_stand_in_set");
    *(void **)held = dlsym(library, "nvml_stand_in_held");
    return *set && *held ? library : NULL;
}
