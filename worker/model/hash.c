/* Hashes of model files: see checkpoint.h. The one idea: a file of gigabytes is read once. What was
 * found is kept in one small file per model, named after its path, so that processes that hash at
 * the same time never rewrite each other's results. A cache that cannot be read or written, or that
 * makes no sense, costs time and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/model/checkpoint.h"
#include "worker/model/layout.h"
#include "worker/model/sha256.h"

enum { READ_BYTES = 1 << 20, RECORD_MOST = PATH_MAX + 256 };

/* What a cached hash is valid for, as the text that is stored before it. */
static void describe(char record[RECORD_MOST], const char *path, const struct stat *s)
{
    snprintf(record, RECORD_MOST, "%s\n%" PRId64 " bytes, changed %" PRId64 ".%09ld\n", path,
             (int64_t)s->st_size, (int64_t)s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
}

static bool cache_path(char out[PATH_MAX], const char *folder, const char *path)
{
    char hex[65];
    sha256 s;
    sha256_init(&s);
    sha256_add(&s, path, strlen(path));
    sha256_hex(&s, hex);
    return snprintf(out, PATH_MAX, "%s/hash-%.16s", folder, hex) < PATH_MAX;
}

static bool cache_read(const char *cache, const char *record, char hex[65])
{
    char text[RECORD_MOST + 65];
    size_t length = strlen(record);
    FILE *in = fopen(cache, "re");
    if (!in)
        return false;
    size_t size = fread(text, 1, sizeof text, in);
    fclose(in);
    if (size != length + 65 || memcmp(text, record, length) != 0 || text[size - 1] != '\n')
        return false;
    memcpy(hex, text + length, 64);
    hex[64] = 0;
    return strspn(hex, "0123456789abcdef") == 64;
}

static void cache_write(const char *folder, const char *cache, const char *record, const char *hex)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", cache) >= PATH_MAX)
        return;
    mkdir(folder, 0700); /* its parent is there or not: then there is no cache */
    int file = mkostemp(temporary, O_CLOEXEC);
    if (file < 0)
        return;
    bool ok = dprintf(file, "%s%s\n", record, hex) == (int)(strlen(record) + 65);
    if (close(file) < 0 || !ok || rename(temporary, cache) < 0)
        unlink(temporary);
}

static int hash_file(int file, const char *path, char hex[65], const atomic_bool *cancel, err *e)
{
    sha256 s;
    ssize_t got = -1;
    int rc = 0;
    char *buffer = malloc(READ_BYTES);
    if (!buffer)
        return err_set(e, ERR_NO_MEMORY, "%.300s: no memory to hash it", path);
    sha256_init(&s);
    while (!rc && got != 0) {
        got = read(file, buffer, READ_BYTES);
        if (got < 0 && errno != EINTR)
            rc = err_set(e, ERR_IO, "%.300s: %s", path, strerror(errno));
        else if (cancel && atomic_load(cancel))
            rc = err_set(e, ERR_CANCELLED, "%.300s: hashing was stopped", path);
        else if (got > 0)
            sha256_add(&s, buffer, (size_t)got);
    }
    sha256_hex(&s, hex);
    free(buffer);
    return rc;
}

/* The file that identifies the model, with its absolute path. */
static int open_file(const char *path, char real[PATH_MAX], struct stat *s, err *e)
{
    char inside[PATH_MAX];
    problems p = {0};
    const char *name = NULL;
    if (stat(path, s) == 0 && S_ISDIR(s->st_mode)) {
        name = layout_file(LAYOUT_UNET, path, &p);
        if (!name)
            return problems_report(&p, path, e);
    }
    int length = snprintf(inside, sizeof inside, "%s%s%s", path, name ? "/" : "", name ? name : "");
    if (length >= PATH_MAX || !realpath(inside, real))
        return err_set(e, ERR_NOT_FOUND, "%.300s: %s", path,
                       strerror(length < PATH_MAX ? errno : ENAMETOOLONG));
    int file = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return err_set(e, ERR_IO, "%.300s: %s", path, strerror(errno));
    if (fstat(file, s) == 0 && S_ISREG(s->st_mode))
        return file;
    close(file);
    return err_set(e, ERR_INVALID, "%.300s: not a regular file", path);
}

int checkpoint_hash(const char *path, const char *cache_folder, char hex[65],
                    const atomic_bool *cancel, err *e)
{
    char real[PATH_MAX], cache[PATH_MAX], before[RECORD_MOST], after[RECORD_MOST];
    struct stat s;
    int file = open_file(path, real, &s, e);
    if (file < 0)
        return file;
    int rc = 0;
    bool cached = cache_folder && cache_path(cache, cache_folder, real);
    describe(before, real, &s);
    if (cached && cache_read(cache, before, hex))
        goto out;
    rc = hash_file(file, path, hex, cancel, e);
    /* A file that changed meanwhile is not remembered. */
    if (!rc && cached && fstat(file, &s) == 0) {
        describe(after, real, &s);
        if (strcmp(before, after) == 0)
            cache_write(cache_folder, cache, before, hex);
    }
out:
    close(file);
    return rc;
}
