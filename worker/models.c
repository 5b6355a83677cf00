/* Which models there are: see models.h. The one idea: the folder is read anew for every question,
 * so that a file that was just copied there is found, and nothing has to be told to the worker. */
#include "worker/models.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "worker/model/checkpoint.h"

enum { NAME_MAX_BYTES = 256 };

typedef struct hash_job {
    struct hash_job *next;
    model_file file;
    char hex[65];
    err error;
    bool done;
    pthread_t thread;
    models *owner;
} hash_job;

struct models {
    char folder[1024], cache[1024];
    pthread_mutex_t lock;
    pthread_cond_t hashed;
    hash_job *jobs;       /* one per path that was asked for */
    atomic_bool stopping; /* read by the hash threads while they read files */
};

static const char suffix[] = ".safetensors";

models *models_new(const char *folder, const char *cache, err *e)
{
    models *m = calloc(1, sizeof *m);
    if (!m) {
        err_set(e, ERR_NO_MEMORY, "no memory for the list of models");
        return NULL;
    }
    snprintf(m->folder, sizeof m->folder, "%s", folder ? folder : "");
    snprintf(m->cache, sizeof m->cache, "%s", cache ? cache : "");
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->hashed, NULL);
    return m;
}

void models_free(models **at)
{
    models *m = *at;
    if (!m)
        return;
    models_stop(m);
    while (m->jobs) {
        hash_job *h = m->jobs;
        m->jobs = h->next;
        pthread_join(h->thread, NULL);
        free(h);
    }
    pthread_cond_destroy(&m->hashed);
    pthread_mutex_destroy(&m->lock);
    free(m);
    *at = NULL;
}

const char *models_folder(const models *m)
{
    return m->folder;
}

/* ---------------------------------------------------------------- names */

static bool is_model_folder(const char *path)
{
    char part[1400];
    struct stat st;
    snprintf(part, sizeof part, "%s/unet", path);
    return !stat(part, &st) && S_ISDIR(st.st_mode);
}

/* The name under which an entry of the folder is a model; false when it is none. */
static bool entry_name(const models *m, const char *entry, char name[NAME_MAX_BYTES])
{
    char path[1300];
    struct stat st;
    size_t n = strlen(entry), s = sizeof suffix - 1;
    if (entry[0] == '.' || n >= NAME_MAX_BYTES)
        return false;
    snprintf(path, sizeof path, "%s/%s", m->folder, entry);
    if (stat(path, &st))
        return false;
    if (S_ISDIR(st.st_mode) && !is_model_folder(path))
        return false;
    if (!S_ISDIR(st.st_mode)) {
        if (n <= s || strcmp(entry + n - s, suffix))
            return false;
        n -= s;
    }
    memcpy(name, entry, n);
    name[n] = 0;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int models_list(models *m, char (*names)[256], int most)
{
    DIR *folder = m->folder[0] ? opendir(m->folder) : NULL;
    int n = 0;
    for (struct dirent *d; folder && n < most && (d = readdir(folder));)
        if (entry_name(m, d->d_name, names[n]))
            n++;
    if (folder)
        closedir(folder);
    qsort(names, (size_t)n, sizeof *names, by_name);
    return n;
}

static int not_found(models *m, const char *name, err *e)
{
    char names[32][256], list[300] = "";
    int n = models_list(m, names, 32);
    for (int i = 0; i < n; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *folder = m->folder;
    if (!folder[0])
        return err_set(e, ERR_NOT_FOUND,
                       "no model%s%s: this worker has no folder of models (--models DIR)",
                       *name ? " " : "", name);
    if (!n)
        return err_set(e, ERR_NOT_FOUND,
                       "no model%s%s: put a .safetensors file or a diffusers folder into %s",
                       *name ? " " : "", name, folder);
    return err_set(e, ERR_NOT_FOUND, "no model %s in %s, there are: %s", name, folder, list);
}

bool models_same(const model_file *a, const model_file *b)
{
    return !strcmp(a->path, b->path) && a->inode == b->inode && a->bytes == b->bytes &&
           a->changed_ns == b->changed_ns;
}

/* Looks at the path of `file`; of a folder, at the part that is replaced with every model. */
static bool look(model_file *file)
{
    char part[1400];
    struct stat st;
    snprintf(part, sizeof part, "%s%s", file->path, is_model_folder(file->path) ? "/unet" : "");
    if (stat(part, &st))
        return false;
    file->inode = st.st_ino;
    file->bytes = st.st_size;
    file->changed_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
    return S_ISREG(st.st_mode) || is_model_folder(file->path);
}

static int find_by_path(const char *path, model_file *file, err *e)
{
    const size_t most = sizeof file->path - 1;
    if (snprintf(file->path, sizeof file->path, "%s", path) > (int)most)
        return err_set(e, ERR_INVALID, "path of the model is longer than %zu bytes", most);
    if (look(file))
        return 0;
    return err_set(e, ERR_NOT_FOUND,
                   "no model at %s, expected a .safetensors file or a diffusers folder", path);
}

static int find_by_name(models *m, const char *name, model_file *file, err *e)
{
    const char *const ends[] = {suffix, ""};
    for (int i = 0; m->folder[0] && i < 2; i++) {
        int n = snprintf(file->path, sizeof file->path, "%s/%s%s", m->folder, name, ends[i]);
        if (n > 0 && (size_t)n < sizeof file->path && look(file))
            return 0;
    }
    return not_found(m, name, e);
}

int models_find(models *m, const char *name, model_file *file, err *e)
{
    char names[256][256];
    if (strchr(name, '/'))
        return find_by_path(name, file, e);
    if (*name)
        return find_by_name(m, name, file, e);
    if (!models_list(m, names, 256))
        return not_found(m, "", e);
    return find_by_name(m, names[0], file, e);
}

/* ---------------------------------------------------------------- hashes */

static void *hash_main(void *arg)
{
    hash_job *h = arg;
    char hex[65] = "";
    err e = {0};
    model_file now = h->file;
    int rc = checkpoint_hash(h->file.path, h->owner->cache[0] ? h->owner->cache : NULL, hex,
                             &h->owner->stopping, &e);
    /* The path may have come to mean another file since the model was loaded. */
    if (!rc && (!look(&now) || !models_same(&now, &h->file)))
        err_set(&e, ERR_NOT_FOUND, "%.300s was replaced after it was loaded", h->file.path);
    pthread_mutex_lock(&h->owner->lock);
    memcpy(h->hex, hex, sizeof hex);
    h->error = e;
    h->done = true;
    pthread_cond_broadcast(&h->owner->hashed);
    pthread_mutex_unlock(&h->owner->lock);
    return NULL;
}

/* With the lock held: a thread for the job. */
static int start_hash(hash_job *h)
{
    h->error = (err){0};
    h->done = false;
    return pthread_create(&h->thread, NULL, hash_main, h);
}

/* With the lock held: the job for this file, started when it is new or had failed; NULL without
 * memory. */
static hash_job *hash_job_of(models *m, const model_file *file)
{
    hash_job **at = &m->jobs;
    while (*at && !models_same(&(*at)->file, file))
        at = &(*at)->next;
    hash_job *h = *at;
    if (h && !(h->done && h->error.code))
        return h;
    if (h)
        pthread_join(h->thread, NULL); /* it is past its last use of the lock */
    else if ((h = *at = calloc(1, sizeof *h))) {
        h->file = *file;
        h->owner = m;
    }
    if (!h || !start_hash(h))
        return h;
    *at = h->next;
    free(h);
    return NULL;
}

void models_hash_start(models *m, const model_file *file)
{
    pthread_mutex_lock(&m->lock);
    hash_job_of(m, file);
    pthread_mutex_unlock(&m->lock);
}

static int wait_for(models *m, const hash_job *h, const atomic_bool *cancelled, err *e)
{
    while (!h->done) {
        if (atomic_load(cancelled) || atomic_load(&m->stopping))
            return err_set(e, ERR_CANCELLED, "cancelled");
        pthread_cond_wait(&m->hashed, &m->lock);
    }
    return h->error.code ? err_set(e, h->error.code, "%s", h->error.text) : 0;
}

int models_hash(models *m, const model_file *file, const atomic_bool *cancelled, char hex[65],
                err *e)
{
    pthread_mutex_lock(&m->lock);
    const hash_job *h = hash_job_of(m, file);
    int rc = h ? wait_for(m, h, cancelled, e)
               : err_set(e, ERR_NO_MEMORY, "no memory to hash %s", file->path);
    if (!rc)
        memcpy(hex, h->hex, sizeof h->hex);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void models_wake(models *m)
{
    pthread_mutex_lock(&m->lock);
    pthread_cond_broadcast(&m->hashed);
    pthread_mutex_unlock(&m->lock);
}

void models_stop(models *m)
{
    atomic_store(&m->stopping, true);
    models_wake(m);
}
