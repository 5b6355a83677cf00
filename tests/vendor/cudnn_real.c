/* cudnn_real: see cudnn_real.h. The library is loaded privately, so that its functions and the
 * stand-in's of the same names never meet. The driver that it looks for when it compiles is the one
 * without a device, which the loader then knows by its name. */
#include "tests/vendor/cudnn_real.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static cudnn_real calls;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *need(void *found)
{
    if (found)
        return found;
    fprintf(stderr, "the stand-in for cuDNN: %s\n", dlerror());
    abort();
}

static void load(void)
{
    need(dlopen(DRIVER_STAND_IN, RTLD_NOW | RTLD_LOCAL));
    void *library = need(dlopen(CUDNN_LIBRARY, RTLD_NOW | RTLD_LOCAL));
#define LOAD(name) calls.name = (__typeof__(calls.name))need(dlsym(library, #name));
    CUDNN_REAL_CALLS(LOAD)
}

const cudnn_real *cudnn_real_calls(void)
{
    pthread_once(&once, load);
    return &calls;
}
