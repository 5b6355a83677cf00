/* A stand-in for the CUDA driver (libcuda.so.1) with no device behind it: cuDNN can compile kernels
 * for a described device, load them into nothing, and so finish the plan. Anything that would run
 * fails. Functions take no arguments they do not look at, as the C calling convention allows. */
enum {
    NO_DEVICE = 100,
    NOT_SUPPORTED = 801,
    DRIVER_VERSION = 13000,
    MOST_THREADS = 0, /* function attributes */
    REGISTERS = 4
};

static int place; /* what every handle points to */

/* cu<name>(handle *, ...): one more handle to nothing. */
#define GIVES(name)                                                                                \
    int name(void **to);                                                                           \
    int name(void **to)                                                                            \
    {                                                                                              \
        *to = &place;                                                                              \
        return 0;                                                                                  \
    }

#define ANSWERS(name, code)                                                                        \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return code;                                                                               \
    }

GIVES(cuLibraryLoadData)
GIVES(cuLibraryGetKernel)
GIVES(cuLibraryGetModule)
GIVES(cuKernelGetFunction)
GIVES(cuModuleLoadData)
GIVES(cuModuleLoadDataEx)
GIVES(cuModuleGetFunction)

ANSWERS(cuLibraryUnload, 0)
ANSWERS(cuModuleUnload, 0)
ANSWERS(cuFuncSetAttribute, 0)
ANSWERS(cuKernelSetAttribute, 0)

ANSWERS(cuInit, NO_DEVICE)
ANSWERS(cuDeviceGet, NO_DEVICE)
ANSWERS(cuDeviceGetCount, NO_DEVICE)
ANSWERS(cuCtxGetCurrent, NO_DEVICE)
ANSWERS(cuCtxGetLimit, NO_DEVICE)
ANSWERS(cuCtxPopCurrent, NO_DEVICE)
ANSWERS(cuCtxPushCurrent, NO_DEVICE)
ANSWERS(cuStreamGetCtx, NO_DEVICE)
ANSWERS(cuLaunchKernel, NO_DEVICE)
ANSWERS(cuLaunchKernelEx, NO_DEVICE)
ANSWERS(cuLaunchCooperativeKernel, NO_DEVICE)

ANSWERS(cuLinkCreate, NOT_SUPPORTED)
ANSWERS(cuLinkAddData, NOT_SUPPORTED)
ANSWERS(cuLinkComplete, NOT_SUPPORTED)
ANSWERS(cuLinkDestroy, NOT_SUPPORTED)
ANSWERS(cuLibraryLoadFromFile, NOT_SUPPORTED)

int cuDriverGetVersion(int *version);
int cuFuncGetAttribute(int *value, int attribute);
int cuKernelGetAttribute(int *value, int attribute);
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks);
int cuOccupancyMaxPotentialClusterSize(int *size);
int cuGetErrorString(int code, const char **text);
int cuGetErrorName(int code, const char **text);

int cuDriverGetVersion(int *version)
{
    *version = DRIVER_VERSION;
    return 0;
}

int cuFuncGetAttribute(int *value, int attribute)
{
    *value = attribute == MOST_THREADS ? 1024 : attribute == REGISTERS ? 128 : 0;
    return 0;
}

int cuKernelGetAttribute(int *value, int attribute)
{
    return cuFuncGetAttribute(value, attribute);
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks)
{
    *blocks = 1;
    return 0;
}

int cuOccupancyMaxPotentialClusterSize(int *size)
{
    *size = 8;
    return 0;
}

int cuGetErrorString(int code, const char **text)
{
    *text = code ? "there is no device" : "no error";
    return 0;
}

int cuGetErrorName(int code, const char **text)
{
    *text = code ? "NO_DEVICE" : "SUCCESS";
    return 0;
}
