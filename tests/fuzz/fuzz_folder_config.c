/* The configuration files of a folder: no bytes crash, and no scale comes out that was refused. */
#include <assert.h>

#include "worker/model/folder_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    problems p = {0};
    model_config c = {.latent_scale = 1};
    folder_config_scheduler((const char *)data, size, &p);
    folder_config_vae(&c, (const char *)data, size, &p);
    assert(c.latent_scale > 1e-3 && c.latent_scale < 1e3);
    return 0;
}
