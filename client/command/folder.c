/* Pictures below a folder: see folder.h. The one idea: folders are known by device and inode, so
 * whatever links there are, each is entered once. */
#include "client/command/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/command/follow.h"
#include "client/command/request.h"

enum { PATH_ROOM = 4096 };

typedef struct {
    dev_t device;
    ino_t inode;
} folder_id;

typedef struct {
    folder *found;
    const char *top;
    size_t room; /* entries there is memory for */
    folder_id *entered;
    size_t folders, folder_room;
    err *e;
} walk;

static int no_memory(err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for the names in a folder");
}

/* Room for one more element of `size` bytes; NULL without memory. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    const size_t more = *room ? 2 * *room : 16;
    void *grown = realloc(array, more * size);
    if (grown)
        *room = more;
    return grown;
}

static int add_entry(walk *w, const char *path, const char *trouble)
{
    folder *f = w->found;
    if (f->count == FOLDER_MOST)
        return err_set(w->e, ERR_TOO_LARGE, "%.200s has more than %d pictures", w->top,
                       FOLDER_MOST);
    folder_entry *grown = grow(f->entry, f->count, &w->room, sizeof *grown);
    if (!grown)
        return no_memory(w->e);
    f->entry = grown;
    folder_entry entry = {strdup(path), trouble ? strdup(trouble) : NULL};
    f->entry[f->count++] = entry;
    return entry.path && (entry.trouble || !trouble) ? 0 : no_memory(w->e);
}

/* Whether this is the first time; the folder is known from now on. Negative without memory. */
static int enter(walk *w, const struct stat *st)
{
    for (size_t i = 0; i < w->folders; i++)
        if (w->entered[i].device == st->st_dev && w->entered[i].inode == st->st_ino)
            return 0;
    folder_id *grown = grow(w->entered, w->folders, &w->folder_room, sizeof *grown);
    if (!grown)
        return no_memory(w->e);
    w->entered = grown;
    w->entered[w->folders++] = (folder_id){st->st_dev, st->st_ino};
    return 1;
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int walk_folder(walk *w, const char *path, int depth);

/* What stands at `path` below the top: a folder is entered, a picture is kept. */
static int look_at(walk *w, const char *path, int depth)
{
    char full[PATH_ROOM];
    struct stat st;
    if (snprintf(full, sizeof full, "%s/%s", w->top, path) >= (int)sizeof full)
        return add_entry(w, path, "its path is too long");
    if (stat(full, &st)) /* a link to nowhere, or to itself; a file that went away */
        return request_format(path) ? add_entry(w, path, strerror(errno)) : 0;
    if (S_ISDIR(st.st_mode)) {
        const int first = enter(w, &st);
        return first > 0 ? walk_folder(w, path, depth) : first;
    }
    return S_ISREG(st.st_mode) && request_format(path) ? add_entry(w, path, NULL) : 0;
}

/* Sorted, so that of two ways into a folder always the same one counts. */
static int walk_folder(walk *w, const char *path, int depth)
{
    char full[PATH_ROOM], below[PATH_ROOM];
    struct dirent **names = NULL;
    int rc = 0;
    snprintf(full, sizeof full, "%s/%s", w->top, path);
    if (depth == FOLDER_DEPTH)
        return add_entry(w, path, "too many folders in each other");
    const int count = scandir(full, &names, visible, alphasort);
    if (count < 0)
        return *path ? add_entry(w, path, strerror(errno))
                     : err_set(w->e, ERR_IO, "cannot read %.200s: %s", w->top, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (!rc && snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "",
                            names[i]->d_name) < (int)sizeof below)
            rc = look_at(w, below, depth + 1);
        free(names[i]);
    }
    free(names);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const folder_entry *)a)->path, ((const folder_entry *)b)->path);
}

int folder_read(folder *f, const char *top, const char *without, err *e)
{
    walk w = {.found = f, .top = top, .e = e};
    struct stat st;
    int rc = 0;
    *f = (folder){0};
    if (without && !stat(without, &st) && enter(&w, &st) < 0)
        rc = ERR_NO_MEMORY;
    if (!rc && stat(top, &st))
        rc = err_set(e, ERR_IO, "cannot read %.200s: %s", top, strerror(errno));
    if (!rc && enter(&w, &st) < 0)
        rc = ERR_NO_MEMORY;
    if (!rc)
        rc = walk_folder(&w, "", 0);
    free(w.entered);
    if (rc)
        folder_done(f);
    else if (f->count)
        qsort(f->entry, f->count, sizeof *f->entry, by_path);
    return rc;
}

void folder_done(folder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->entry[i].path);
        free(f->entry[i].trouble);
    }
    free(f->entry);
    *f = (folder){0};
}

/* The length of a path without its ending. */
static size_t stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return dot && dot > base ? (size_t)(dot - path) : strlen(path);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool same_stem(const char *a, const char *b)
{
    return stem(a) == stem(b) && !strncmp(a, b, stem(a));
}

const char *folder_match(const folder *masks, const char *path)
{
    size_t pictures = 0, namesakes = 0;
    const char *only = NULL, *namesake = NULL;
    for (size_t i = 0; i < masks->count; i++) {
        const folder_entry *m = &masks->entry[i];
        if (m->trouble)
            continue;
        if (same_stem(m->path, path))
            return m->path;
        if (same_stem(name_of(m->path), name_of(path))) {
            namesake = m->path;
            namesakes++;
        }
        only = m->path;
        pictures++;
    }
    return namesakes == 1 ? namesake : pictures == 1 ? only : NULL;
}

/* ---------------------------------------------------------------- results */

int folder_result(const char *path, const char *output, const char *format, char *to, size_t size,
                  err *e)
{
    const char *own = request_format(path);
    const bool keeps = !format || (own && !strcmp(format, own));
    const char *slash = *output && output[strlen(output) - 1] == '/' ? "" : "/";
    int n = keeps ? snprintf(to, size, "%s%s%s", output, slash, path)
                  : snprintf(to, size, "%s%s%.*s.%s", output, slash, (int)stem(path), path, format);
    return n >= 0 && (size_t)n < size
               ? 0
               : err_set(e, ERR_INVALID, "the name of its result is too long");
}

static bool exists(const char *path)
{
    struct stat st;
    return !lstat(path, &st);
}

bool folder_has_result(const char *result, int pictures)
{
    char first[PATH_ROOM];
    return follow_name(result, 0, (unsigned)pictures, first, sizeof first) && exists(first);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The results of all pictures, sorted; *n of them also on failure. */
static int list_results(const folder *f, const char *output, const char *format, char **names,
                        size_t *n, err *e)
{
    char name[PATH_ROOM];
    for (size_t i = 0; i < f->count; i++) {
        if (f->entry[i].trouble ||
            folder_result(f->entry[i].path, output, format, name, sizeof name, NULL))
            continue; /* it has none, and is told about in its turn */
        if (!(names[*n] = strdup(name)))
            return no_memory(e);
        ++*n;
    }
    qsort(names, *n, sizeof *names, by_name);
    return 0;
}

int folder_check(const folder *f, const char *output, const char *format, err *e)
{
    char **names = calloc(f->count + 1, sizeof *names);
    size_t n = 0;
    int rc = names ? list_results(f, output, format, names, &n, e) : no_memory(e);
    for (size_t i = 1; !rc && i < n; i++)
        if (!strcmp(names[i], names[i - 1]))
            rc = err_set(e, ERR_INVALID,
                         "two pictures would both become %.300s; leave out --format", names[i]);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return rc;
}
