/* Which models there are: names under a folder to paths, and their hashes. Thread-safe. The loaded
 * models themselves belong to the engines. */
#ifndef WORKER_MODELS_H
#define WORKER_MODELS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

typedef struct models models;

/* A model on the disk: its path, and what tells it from another one that replaced it there. */
typedef struct {
    char path[1024];
    uint64_t inode;
    int64_t bytes, changed_ns;
} model_file;

bool models_same(const model_file *a, const model_file *b);

/* The folder may be absent: then only paths name models. Hashes are kept in `cache` between runs
 * (NULL: not kept). */
models *models_new(const char *folder, const char *cache, err *e);
void models_free(models **m);

/* "name" -> folder/name.safetensors or folder/name/ (diffusers); "" -> the first by name; a path
 * (with a '/') as it is, checked for existence. ERR_NOT_FOUND says where models go and which there
 * are. */
int models_find(models *m, const char *name, model_file *file, err *e);

const char *models_folder(const models *m); /* "": none */

/* All names, sorted; returns their number. */
int models_list(models *m, char (*names)[256], int most);

/* Starts hashing a file in the background, unless it is known. */
void models_hash_start(models *m, const model_file *file);

/* Waits for the hash; ERR_CANCELLED soon after *cancelled or models_stop. Whoever sets *cancelled
 * calls models_wake. A hash that failed is tried anew by the next who asks. */
int models_hash(models *m, const model_file *file, const atomic_bool *cancelled, char hex[65],
                err *e);
void models_wake(models *m);

/* Nobody will get a hash any more; those who wait stop waiting. */
void models_stop(models *m);

#endif
