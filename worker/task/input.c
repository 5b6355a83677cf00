/* Inputs of a job: bytes that came with it, or a file that both sides see. The one idea: what a
 * file may hold is checked before any of it is read. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/task/task_row.h"

/* The bytes of a picture given by path, malloc'ed; the limit is checked before anything is read. */
static int read_file(const char *path, uint8_t **bytes, size_t *size, err *e)
{
    struct stat st;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, ERR_NOT_FOUND, "cannot open the picture %s: %s", path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "%s is not a file", path);
    else if ((uint64_t)st.st_size > image_default_limits.bytes)
        rc = err_set(e, ERR_TOO_LARGE, "the picture %s has %lld bytes, at most %zu are allowed",
                     path, (long long)st.st_size, image_default_limits.bytes);
    else if (!(*bytes = malloc((size_t)st.st_size + 1)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for %lld bytes of %s", (long long)st.st_size,
                     path);
    size_t got = 0;
    while (!rc && got < (size_t)st.st_size) {
        ssize_t n = read(fd, *bytes + got, (size_t)st.st_size - got);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0 || errno != EINTR)
            rc = err_set(e, ERR_IO, "reading %s: %s", path,
                         n ? strerror(errno) : "it became shorter");
    }
    *size = got;
    close(fd);
    return rc;
}

int task_read(image *out, const job_picture *in, err *e)
{
    uint8_t *owned = NULL;
    const uint8_t *bytes = in->bytes;
    size_t size = in->size;
    int rc = in->path[0] ? read_file(in->path, &owned, &size, e) : 0;
    if (owned)
        bytes = owned;
    if (!rc)
        rc = image_decode(out, bytes, size, &image_default_limits, e);
    free(owned);
    return rc;
}

int task_read_flat(image *out, const job *j, err *e)
{
    image decoded = {0};
    int rc = task_read(&decoded, &j->input[0], e);
    if (!rc)
        rc = image_flatten(out, &decoded, j->background, e);
    image_done(&decoded);
    return rc;
}
