/* Names of upscalers: see upscaler_find.h. The one idea: names that mean one network are a row of a
 * table, and a row is searched like one name with several spellings. */
#include "worker/model/upscaler_find.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPELLINGS_MOST = 5, NAME_MOST = 200 };

static const char *const same[][SPELLINGS_MOST] = {
    {"R-ESRGAN 4x+", "RealESRGAN_x4plus", "realesrgan-x4plus", "x4plus"},
    {"R-ESRGAN 4x+ Anime6B", "RealESRGAN_x4plus_anime_6B", "realesrgan-x4plus-anime",
     "x4plus-anime"},
    {"R-ESRGAN AnimeVideo", "realesr-animevideov3", "realesr-animevideov3-x4", "animevideov3-x4",
     "animevideov3"},
    {"R-ESRGAN General 4xV3", "realesr-general-x4v3"},
    {"R-ESRGAN General WDN 4xV3", "realesr-general-wdn-x4v3"},
    {"R-ESRGAN 2x+", "RealESRGAN_x2plus", "realesrgan-x2plus"},
};

static const char *const extensions[] = {".safetensors", ".pth", ".pt"};

void upscaler_shipped(char folder[UPSCALER_PATH])
{
    static const char below[] = "/share/overpaint/models";
    struct stat s;
    ssize_t length = readlink("/proc/self/exe", folder, UPSCALER_PATH - sizeof below);
    if (length > 0) {
        folder[length] = 0;
        for (int up = 0; up < 2; up++) { /* the program, then bin/ */
            char *slash = strrchr(folder, '/');
            if (slash)
                *slash = 0;
        }
        strcat(folder, below);
    }
    if (length <= 0 || stat(folder, &s) != 0 || !S_ISDIR(s.st_mode))
        folder[0] = 0;
}

/* The first file of this very name. */
static bool find_spelling(char path[UPSCALER_PATH], const char *const *folders, const char *name)
{
    struct stat s;
    for (; *folders; folders++)
        for (size_t i = 0; **folders && i < sizeof extensions / sizeof *extensions; i++) {
            int length = snprintf(path, UPSCALER_PATH, "%s/%s%s", *folders, name, extensions[i]);
            if (length < UPSCALER_PATH && stat(path, &s) == 0 && S_ISREG(s.st_mode))
                return true;
        }
    return false;
}

/* The row of `same` with this name; NULL: none. */
static const char *const *spellings_of(const char *name)
{
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        for (int j = 0; j < SPELLINGS_MOST && same[i][j]; j++)
            if (strcmp(same[i][j], name) == 0)
                return same[i];
    return NULL;
}

int upscaler_find(char path[UPSCALER_PATH], const char *const *folders, const char *name, err *e)
{
    if (!*name || *name == '.' || strchr(name, '/') || strlen(name) > NAME_MOST)
        return err_set(e, ERR_INVALID, "\"%.*s\" is no name of an upscaler", NAME_MOST, name);
    if (find_spelling(path, folders, name))
        return ERR_OK;
    const char *const *other = spellings_of(name);
    for (int i = 0; other && i < SPELLINGS_MOST && other[i]; i++)
        if (find_spelling(path, folders, other[i]))
            return ERR_OK;
    int used = snprintf(path, UPSCALER_PATH, "there is no upscaler %s", name);
    for (const char *between = ": expected its .safetensors or .pth in "; *folders; folders++) {
        if (!**folders || used >= UPSCALER_PATH)
            continue;
        used += snprintf(path + used, (size_t)(UPSCALER_PATH - used), "%s%s", between, *folders);
        between = " or ";
    }
    err_set(e, ERR_NOT_FOUND, "%s", path);
    path[0] = 0;
    return ERR_NOT_FOUND;
}
