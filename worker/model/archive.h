/* The directory of a zip archive in memory, for files whose entries are stored as they are: an
 * entry then *is* a range of the file, so tensors can be mapped and nothing is ever inflated. (A
 * library for zip archives copies entries out and does not say where they lie.) */
#ifndef WORKER_MODEL_ARCHIVE_H
#define WORKER_MODEL_ARCHIVE_H

#include <stdint.h>

#include "worker/model/problems.h"

/* Points into the archive; the name has no final 0. */
typedef struct {
    const char *name;
    size_t length;
    const uint8_t *data; /* NULL: compressed or encrypted */
    size_t bytes;
} archive_entry;

typedef struct {
    archive_entry *entry; /* by name */
    size_t count;
} archive;

/* Reads the directory (zip and zip64) of the file image `bytes`, of one volume. Every range is
 * checked against the file, the directory against the header before each entry, and no name may
 * stand twice. False with the problem in `p`, behind `label`; then `a` is empty. */
bool archive_read(archive *a, const void *bytes, size_t size, const char *label, problems *p);
void archive_done(archive *a);

/* NULL: absent. */
const archive_entry *archive_find(const archive *a, const char *name, size_t length);

#endif
