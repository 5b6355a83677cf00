/* plan_store: see plan_store.h. A file is a head and the text. The head says everything the plan
 * depends on and the text's length and digest, in a fixed number of bytes for a key: a reader makes
 * the head that the file should have and compares, so there is nothing to parse. */
#include "kernels/cuda/plan_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/cuda/digest.h"

enum { HEAD_BYTES = 1024, OTHERS_WRITE = S_IWGRP | S_IWOTH };

static int write_key(const plan_store *s, const plan_key *key, char head[HEAD_BYTES])
{
    char chosen[CHOICE_TEXT_BYTES];
    const tuning_device *d = &s->device;
    choice_write(key->choice, chosen);
    return snprintf(head, HEAD_BYTES,
                    "overpaint plan 1\n%s, %" PRId64 " sms, driver %" PRId64 ", cudnn %" PRId64
                    "\n%s, %" PRId64 " rows\n%s\n",
                    d->gpu, d->sms, d->driver, d->cudnn, key->shape, key->rows, chosen);
}

static int write_head(const plan_store *s, const plan_key *key, const char *text, size_t bytes,
                      char head[HEAD_BYTES])
{
    int n = write_key(s, key, head);
    return n + snprintf(head + n, (size_t)(HEAD_BYTES - n), "%010zu %016" PRIx64 "\n", bytes,
                        digest(text, bytes));
}

static void write_path(const plan_store *s, const plan_key *key, char *path, const char *end)
{
    char head[HEAD_BYTES];
    int n = write_key(s, key, head);
    snprintf(path, PLAN_STORE_PATH + PLAN_STORE_NAME, "%s/%016" PRIx64 ".plan%s", s->folder,
             digest(head, (size_t)n), end);
}

void plan_store_path(const plan_store *s, const plan_key *key,
                     char path[PLAN_STORE_PATH + PLAN_STORE_NAME])
{
    write_path(s, key, path, "");
}

static bool is_ours(const struct stat *st)
{
    return st->st_uid == geteuid() && !(st->st_mode & OTHERS_WRITE);
}

bool plan_store_open(plan_store *s, const char *folder, const tuning_device *device,
                     char why[TUNING_WHY_BYTES])
{
    struct stat st;
    *s = (plan_store){.device = *device};
    why[0] = 0;
    if ((size_t)snprintf(s->folder, sizeof s->folder, "%s", folder) >= sizeof s->folder)
        snprintf(why, TUNING_WHY_BYTES, "the folder of plans has a name of %zu bytes, expected %zu",
                 strlen(folder), sizeof s->folder - 1);
    else if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || stat(folder, &st) != 0)
        snprintf(why, TUNING_WHY_BYTES, "%.160s: %s", folder, strerror(errno));
    else if (!S_ISDIR(st.st_mode) || !is_ours(&st))
        snprintf(why, TUNING_WHY_BYTES, "%.160s: expected a folder that only we can write to",
                 folder);
    return !why[0];
}

const char *plan_store_text(const plan_store *s, const plan_key *key, const char *file,
                            size_t file_bytes, size_t *bytes)
{
    char head[HEAD_BYTES];
    size_t n = (size_t)write_head(s, key, "", 0, head);
    if (file_bytes < n)
        return NULL;
    const char *text = file + n;
    *bytes = file_bytes - n;
    write_head(s, key, text, *bytes, head);
    return memcmp(head, file, n) == 0 ? text : NULL;
}

static bool read_all(int fd, char *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, to + done, bytes - done);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_all(int fd, const char *from, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(fd, from + done, bytes - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

char *plan_store_get(const plan_store *s, const plan_key *key, size_t *bytes)
{
    char path[PLAN_STORE_PATH + PLAN_STORE_NAME], *file = NULL;
    struct stat st;
    const char *text = NULL;
    write_path(s, key, path, "");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !is_ours(&st) ||
        st.st_size > PLAN_STORE_MOST)
        goto out;
    file = malloc((size_t)st.st_size + 1);
    if (file && read_all(fd, file, (size_t)st.st_size))
        text = plan_store_text(s, key, file, (size_t)st.st_size, bytes);
    if (text) {
        memmove(file, text, *bytes);
        file[*bytes] = 0;
    }

out:
    close(fd);
    if (!text) {
        free(file);
        file = NULL;
    }
    return file;
}

bool plan_store_put(const plan_store *s, const plan_key *key, const char *text, size_t bytes)
{
    char path[PLAN_STORE_PATH + PLAN_STORE_NAME], temporary[PLAN_STORE_PATH + PLAN_STORE_NAME];
    char head[HEAD_BYTES];
    size_t n = (size_t)write_head(s, key, text, bytes, head);
    if (n + bytes > PLAN_STORE_MOST)
        return false;
    write_path(s, key, path, "");
    write_path(s, key, temporary, ".XXXXXX");
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = write_all(fd, head, n) && write_all(fd, text, bytes) && fsync(fd) == 0;
    good = close(fd) == 0 && good && rename(temporary, path) == 0;
    if (!good)
        unlink(temporary);
    return good;
}
