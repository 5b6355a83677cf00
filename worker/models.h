/* Which models there are: names under a folder to paths, and their hashes. Thread-safe. The loaded
 * models themselves belong to the engines. */
#ifndef WORKER_MODELS_H
#define WORKER_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/err.h"

typedef struct models models;

/* The folder may be absent: then only paths name models. Hashes are kept in `cache` between runs
 * (NULL: not kept). */
models *models_new(const char *folder, const char *cache, err *e);
void models_free(models **m);

/* "name" -> folder/name.safetensors or folder/name/ (diffusers); "" -> the first by name; a path
 * (with a '/') as it is, checked for existence. ERR_NOT_FOUND says where models go and which there
 * are. */
int models_find(models *m, const char *name, char *path, size_t size, err *e);

/* All names, sorted; returns their number. */
int models_list(models *m, char (*names)[256], int most);

/* Starts hashing a file in the background, unless it is known; models_hash waits for the result.
 * `cancelled` is asked while waiting and may be NULL. */
void models_hash_start(models *m, const char *path);
int models_hash(models *m, const char *path, char hex[65], err *e);

#endif
