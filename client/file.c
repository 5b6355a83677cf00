/* Files whole: see file.h. */
#include "client/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/job.h"

static int failed(err_code code, const char *what, const char *path, err *e)
{
    return err_set(e, code, "cannot %s %s: %s", what, path, strerror(errno));
}

static int read_all(int file, const char *path, size_t size, unsigned char *bytes, err *e)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(file, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(ERR_IO, "read", path, e);
        if (n == 0)
            return err_set(e, ERR_IO, "%s ended after %zu of %zu bytes", path, done, size);
        done += (size_t)n;
    }
    bytes[size] = 0;
    return 0;
}

int file_read(const char *path, size_t most, unsigned char **bytes, size_t *size, err *e)
{
    struct stat st;
    unsigned char *room = NULL;
    int rc = 0;
    /* O_NONBLOCK: a pipe without a writer must not hold us before we see that it is no file. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &st))
        rc = failed(ERR_IO, "open", path, e);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "%s is no regular file", path);
    else if ((uintmax_t)st.st_size > most)
        rc = err_set(e, ERR_TOO_LARGE, "%s has %jd bytes, expected at most %zu", path,
                     (intmax_t)st.st_size, most);
    else if (!(room = malloc((size_t)st.st_size + 1)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the %jd bytes of %s", (intmax_t)st.st_size,
                     path);
    else
        rc = read_all(file, path, (size_t)st.st_size, room, e);
    if (file >= 0)
        close(file);
    if (rc) {
        free(room);
        return rc;
    }
    *bytes = room;
    *size = (size_t)st.st_size;
    return 0;
}

static int write_all(int file, const char *path, const char *bytes, size_t size, err *e)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(file, bytes + done, size - done);
        if (n < 0 && errno != EINTR)
            return failed(ERR_IO, "write", path, e);
        done += n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

static int write_to(const char *path, int flags, const void *bytes, size_t size, err *e)
{
    int file = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (file < 0)
        return failed(ERR_IO, "write", path, e);
    int rc = write_all(file, path, bytes, size, e);
    if (close(file) && !rc)
        rc = failed(ERR_IO, "write", path, e);
    return rc;
}

enum { PATH_ROOM = 4096 };

/* Writes the bytes into a new file beside `path`, whose name comes back in `temporary`. */
static int write_beside(const char *path, char temporary[PATH_ROOM], const void *bytes, size_t size,
                        err *e)
{
    char unique[JOB_ID_TEXT];
    job_id random;
    job_id_new(&random);
    job_id_text(&random, unique);
    int n = snprintf(temporary, PATH_ROOM, "%s.%.8s", path, unique);
    if (n < 0 || n >= PATH_ROOM)
        return err_set(e, ERR_INVALID, "the path %.60s… is too long", path);
    int rc = write_to(temporary, O_CREAT | O_EXCL, bytes, size, e);
    if (rc)
        unlink(temporary);
    return rc;
}

int file_write(const char *path, const void *bytes, size_t size, err *e)
{
    struct stat st;
    char temporary[PATH_ROOM];
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return write_to(path, 0, bytes, size, e);
    int rc = write_beside(path, temporary, bytes, size, e);
    if (!rc && rename(temporary, path)) {
        rc = failed(ERR_IO, "write", path, e);
        unlink(temporary);
    }
    return rc;
}

/* A link fails where something is; file systems without links leave a moment between look and
 * rename. */
static int settle(const char *temporary, const char *path)
{
    struct stat st;
    if (!link(temporary, path))
        return unlink(temporary);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
        return -1;
    if (!lstat(path, &st)) {
        errno = EEXIST;
        return -1;
    }
    return rename(temporary, path);
}

int file_create(const char *path, const void *bytes, size_t size, err *e)
{
    char temporary[PATH_ROOM];
    int rc = write_beside(path, temporary, bytes, size, e);
    if (!rc && settle(temporary, path)) {
        rc = failed(errno == EEXIST ? ERR_CONFLICT : ERR_IO, "write", path, e);
        unlink(temporary);
    }
    return rc;
}

int file_make_folders(const char *path, err *e)
{
    char folder[PATH_ROOM];
    if (strlen(path) >= sizeof folder)
        return err_set(e, ERR_INVALID, "the path %.60s… is too long", path);
    strcpy(folder, path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0777) && errno != EEXIST)
            return failed(ERR_IO, "make", folder, e);
        *slash = '/';
    }
    return 0;
}
