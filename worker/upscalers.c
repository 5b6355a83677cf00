/* Upscaler networks by name: see upscalers.h. The one idea: two folders are looked through in turn,
 * the user's and the one that comes with the program. */
#include "worker/upscalers.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/model/upscaler_names.h"

enum { PLACES = 2, PATH_BYTES = 1024, NAME_BYTES = 256, LISTED = 32 };

static const char *const endings[] = {".safetensors", ".pth", ".pt"};
enum { ENDINGS = sizeof endings / sizeof *endings };

/* The folders to look in, in order: the user's, and the one beside the program's bin/ (of an
 * installation as of a build). */
static int list_places(const char *folder, char place[PLACES][PATH_BYTES])
{
    char program[PATH_BYTES / 2];
    int n = 0;
    if (folder && *folder)
        snprintf(place[n++], PATH_BYTES, "%s/upscalers", folder);
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return n;
    program[length] = 0;
    *strrchr(program, '/') = 0;
    snprintf(place[n++], PATH_BYTES, "%s/../share/overpaint/upscalers", program);
    return n;
}

static const char *ending_of(const char *name)
{
    const size_t length = strlen(name);
    for (int i = 0; i < ENDINGS; i++) {
        const size_t n = strlen(endings[i]);
        if (length > n && !strcmp(name + length - n, endings[i]))
            return name + length - n;
    }
    return NULL;
}

void upscalers_name(const char *path, char name[256])
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *end = ending_of(base);
    snprintf(name, NAME_BYTES, "%.*s", (int)(end ? end - base : (long)strlen(base)), base);
}

/* ---------------------------------------------------------------- what there is */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool is_upscaler(DIR *folder, const char *name)
{
    struct stat st;
    return name[0] != '.' && ending_of(name) && !fstatat(dirfd(folder), name, &st, 0) &&
           S_ISREG(st.st_mode);
}

/* Names without endings, sorted, each once. */
static int list_names(char place[PLACES][PATH_BYTES], int places, char name[LISTED][NAME_BYTES])
{
    int found = 0, kept = 0;
    for (int i = 0; i < places; i++) {
        DIR *folder = opendir(place[i]);
        for (struct dirent *d; folder && found < LISTED && (d = readdir(folder));)
            if (is_upscaler(folder, d->d_name))
                upscalers_name(d->d_name, name[found++]);
        if (folder)
            closedir(folder);
    }
    qsort(name, (size_t)found, sizeof *name, by_name);
    for (int i = 0; i < found; i++)
        if (!kept || strcmp(name[kept - 1], name[i]))
            memmove(name[kept++], name[i], NAME_BYTES);
    return kept;
}

static int not_found(const char *name, char place[PLACES][PATH_BYTES], int places, err *e)
{
    char names[LISTED][NAME_BYTES], list[1000] = "";
    const int count = list_names(place, places, names);
    for (int i = 0; i < count; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, ", %.255s", names[i]);
    }
    return err_set(e, ERR_NOT_FOUND,
                   "no upscaler %.100s: put a .safetensors or .pth file into %.300s; there are: "
                   "None, Lanczos, Nearest%s",
                   name, places ? place[0] : "the folder of models", list);
}

/* ---------------------------------------------------------------- finding */

static bool is_file(const char *path, model_file *file)
{
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode))
        return false;
    *file = (model_file){.inode = st.st_ino,
                         .bytes = st.st_size,
                         .changed_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec};
    snprintf(file->path, sizeof file->path, "%s", path);
    return true;
}

/* The first file of this very name. */
static bool find_name(char place[PLACES][PATH_BYTES], int places, const char *name,
                      model_file *file)
{
    char path[PATH_BYTES + NAME_BYTES + 16];
    for (int i = 0; i < places; i++)
        for (int k = 0; k < ENDINGS; k++) {
            snprintf(path, sizeof path, "%.1023s/%.255s%s", place[i], name, endings[k]);
            if (strlen(path) < sizeof file->path && is_file(path, file))
                return true;
        }
    return false;
}

int upscalers_find(const char *folder, const char *name, model_file *file, err *e)
{
    char place[PLACES][PATH_BYTES];
    if (strchr(name, '/'))
        return is_file(name, file)
                   ? 0
                   : err_set(e, ERR_NOT_FOUND, "no upscaler %.300s: there is no such file", name);
    const int places = list_places(folder, place);
    if (find_name(place, places, name, file))
        return 0;
    for (const char *const *other = upscaler_names(name); other && *other; other++)
        if (find_name(place, places, *other, file))
            return 0;
    return not_found(name, place, places, e);
}
