/* Names of upscalers: see upscaler_names.h. */
#include "worker/model/upscaler_names.h"

#include <stddef.h>
#include <string.h>

enum { NAMES_MOST = 5 };

static const char *const same[][NAMES_MOST + 1] = {
    {"R-ESRGAN 4x+", "RealESRGAN_x4plus", "realesrgan-x4plus", "x4plus"},
    {"R-ESRGAN 4x+ Anime6B", "RealESRGAN_x4plus_anime_6B", "realesrgan-x4plus-anime",
     "x4plus-anime"},
    {"R-ESRGAN AnimeVideo", "realesr-animevideov3", "realesr-animevideov3-x4", "animevideov3-x4",
     "animevideov3"},
    {"R-ESRGAN General 4xV3", "realesr-general-x4v3"},
    {"R-ESRGAN General WDN 4xV3", "realesr-general-wdn-x4v3"},
    {"R-ESRGAN 2x+", "RealESRGAN_x2plus", "realesrgan-x2plus"},
};

const char *const *upscaler_names(const char *name)
{
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        for (const char *const *n = same[i]; *n; n++)
            if (strcmp(*n, name) == 0)
                return same[i];
    return NULL;
}
