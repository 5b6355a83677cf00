/* Zip directories: see archive.h. The format is PKWARE's APPNOTE.TXT 6.3: at the end of the file a
 * record says where the directory lies (a second, wider one if numbers do not fit), the directory
 * lists the entries, and each entry has a header of its own before its bytes. The one idea: the
 * directory is a claim, and a claim that the entry's own header contradicts is refused, since two
 * readers would then see two files. */
#include "worker/model/archive.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/little.h"

enum {
    END_MARK = 0x06054b50,
    END_BYTES = 22,
    WIDE_END_MARK = 0x06064b50,
    WIDE_END_BYTES = 56,
    LOCATOR_MARK = 0x07064b50,
    LOCATOR_BYTES = 20,
    LISTED_MARK = 0x02014b50,
    LISTED_BYTES = 46,
    LOCAL_MARK = 0x04034b50,
    LOCAL_BYTES = 30,
    COMMENT_MOST = 65535,
    ENCRYPTED = 1,
    WIDE_FIELDS = 1, /* the extra field with 64-bit numbers */
    EXTRA_BYTES = 4, /* before the contents of an extra field */
    ENTRIES_MOST = 1 << 20,
};

typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *label;
    problems *p;
} reader;

/* Where the directory lies and what it is said to hold. */
typedef struct {
    uint64_t at, bytes, entries;
} directory;

/* `bytes` bytes at `at` that begin with `mark`, or NULL. */
static const uint8_t *record_at(const reader *r, uint64_t at, size_t bytes, uint32_t mark)
{
    if (at > r->size || r->size - at < bytes || little(r->bytes + at, 4) != mark)
        return NULL;
    return r->bytes + at;
}

/* The record at the end of the file; a comment may follow it, of exactly the length it says. */
static const uint8_t *find_end(const reader *r)
{
    for (size_t comment = 0; comment <= COMMENT_MOST && r->size >= END_BYTES + comment; comment++) {
        const uint8_t *end = record_at(r, r->size - END_BYTES - comment, END_BYTES, END_MARK);
        if (end && little(end + 20, 2) == comment)
            return end;
    }
    return NULL;
}

static bool find_directory(const reader *r, directory *d)
{
    const uint8_t *end = find_end(r);
    if (!end)
        return problems_add(r->p, ERR_INVALID, "%sthe zip directory is missing: truncated?",
                            r->label);
    *d = (directory){
        .at = little(end + 16, 4), .bytes = little(end + 12, 4), .entries = little(end + 10, 2)};
    uint64_t volumes = little(end + 4, 2) | little(end + 6, 2);
    size_t place = (size_t)(end - r->bytes);
    const uint8_t *locator = place < LOCATOR_BYTES
                                 ? NULL
                                 : record_at(r, place - LOCATOR_BYTES, LOCATOR_BYTES, LOCATOR_MARK);
    if (locator) {
        const uint8_t *wide = record_at(r, little(locator + 8, 8), WIDE_END_BYTES, WIDE_END_MARK);
        if (!wide)
            return problems_add(r->p, ERR_INVALID,
                                "%sthe zip64 directory is not where it should be", r->label);
        *d = (directory){.at = little(wide + 48, 8),
                         .bytes = little(wide + 40, 8),
                         .entries = little(wide + 32, 8)};
        volumes = little(wide + 16, 4) | little(wide + 20, 4);
    }
    if (volumes)
        return problems_add(r->p, ERR_INVALID, "%sa zip archive of several volumes", r->label);
    if (d->at > r->size || d->bytes > r->size - d->at)
        return problems_add(r->p, ERR_INVALID,
                            "%sthe zip directory lies at %" PRIu64 " with %" PRIu64
                            " bytes, the file has %zu",
                            r->label, d->at, d->bytes, r->size);
    if (d->entries > d->bytes / LISTED_BYTES || d->entries > ENTRIES_MOST)
        return problems_add(r->p, ERR_INVALID,
                            "%sthe zip directory says %" PRIu64 " entries in %" PRIu64 " bytes",
                            r->label, d->entries, d->bytes);
    return true;
}

/* One line of the directory: its numbers, 64 bits wide. */
typedef struct {
    uint64_t stored, bytes, at;
    unsigned flags, method;
} listed;

/* Numbers of all ones are in the extra field instead, in this order. */
static bool widen(listed *l, const uint8_t *extra, size_t length)
{
    uint64_t *field[] = {&l->bytes, &l->stored, &l->at};
    const uint8_t *wide = NULL;
    size_t left = 0;
    while (length >= EXTRA_BYTES && !wide) {
        size_t bytes = (size_t)little(extra + 2, 2);
        if (bytes > length - EXTRA_BYTES)
            return false;
        if (little(extra, 2) == WIDE_FIELDS) {
            wide = extra + EXTRA_BYTES;
            left = bytes;
        }
        extra += EXTRA_BYTES + bytes;
        length -= EXTRA_BYTES + bytes;
    }
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        if (*field[i] != UINT32_MAX)
            continue;
        if (left < 8)
            return false;
        *field[i] = little(wide, 8);
        wide += 8;
        left -= 8;
    }
    return true;
}

/* The bytes of an entry, behind its own header. */
static bool place_entry(const reader *r, archive_entry *e, const listed *l)
{
    const uint8_t *local = record_at(r, l->at, LOCAL_BYTES, LOCAL_MARK);
    int shown = e->length > 80 ? 80 : (int)e->length;
    uint64_t name = local ? little(local + 26, 2) : 0, extra = local ? little(local + 28, 2) : 0;
    uint64_t left = local ? r->size - l->at - LOCAL_BYTES : 0;
    if (!local || name + extra > left || name != e->length ||
        memcmp(local + LOCAL_BYTES, e->name, e->length) != 0)
        return problems_add(r->p, ERR_INVALID, "%szip entry %.*s is not where the directory says",
                            r->label, shown, e->name);
    if (l->method != 0 || l->flags & ENCRYPTED)
        return true; /* it may be one that nobody needs */
    if (l->stored != l->bytes || l->bytes > left - name - extra)
        return problems_add(r->p, ERR_INVALID,
                            "%szip entry %.*s takes %" PRIu64 " of %" PRIu64
                            " bytes, the file has %" PRIu64 " left",
                            r->label, shown, e->name, l->stored, l->bytes, left - name - extra);
    e->data = local + LOCAL_BYTES + name + extra;
    e->bytes = (size_t)l->bytes;
    return true;
}

/* Reads the entry at *at, which ends at `end` or before, and moves *at behind it. */
static bool read_entry(const reader *r, archive_entry *e, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *line = *at;
    if (end - line < LISTED_BYTES || little(line, 4) != LISTED_MARK)
        return problems_add(r->p, ERR_INVALID, "%sthe zip directory is broken", r->label);
    listed l = {.flags = (unsigned)little(line + 8, 2),
                .method = (unsigned)little(line + 10, 2),
                .stored = little(line + 20, 4),
                .bytes = little(line + 24, 4),
                .at = little(line + 42, 4)};
    size_t name = (size_t)little(line + 28, 2), extra = (size_t)little(line + 30, 2);
    size_t whole = LISTED_BYTES + name + extra + (size_t)little(line + 32, 2);
    if ((size_t)(end - line) < whole || !widen(&l, line + LISTED_BYTES + name, extra))
        return problems_add(r->p, ERR_INVALID, "%sthe zip directory is broken", r->label);
    *e = (archive_entry){.name = (const char *)line + LISTED_BYTES, .length = name};
    *at += whole;
    return place_entry(r, e, &l);
}

static int by_name(const void *a, const void *b)
{
    const archive_entry *x = a, *y = b;
    size_t common = x->length < y->length ? x->length : y->length;
    int order = common ? memcmp(x->name, y->name, common) : 0;
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static bool read_entries(const reader *r, archive *a, directory d)
{
    const uint8_t *at = r->bytes + d.at, *end = at + d.bytes;
    a->entry = calloc(d.entries ? (size_t)d.entries : 1, sizeof *a->entry);
    if (!a->entry)
        return problems_add(r->p, ERR_NO_MEMORY, "%sno memory for the zip directory", r->label);
    for (; a->count < d.entries; a->count++)
        if (!read_entry(r, &a->entry[a->count], &at, end))
            return false;
    qsort(a->entry, a->count, sizeof *a->entry, by_name);
    for (size_t i = 1; i < a->count; i++)
        if (by_name(&a->entry[i - 1], &a->entry[i]) == 0)
            return problems_add(r->p, ERR_INVALID, "%stwo zip entries have one name", r->label);
    return true;
}

bool archive_read(archive *a, const void *bytes, size_t size, const char *label, problems *p)
{
    reader r = {.bytes = bytes, .size = size, .label = label, .p = p};
    directory d = {0};
    *a = (archive){0};
    if (find_directory(&r, &d) && read_entries(&r, a, d))
        return true;
    archive_done(a);
    return false;
}

void archive_done(archive *a)
{
    free(a->entry);
    *a = (archive){0};
}

const archive_entry *archive_find(const archive *a, const char *name, size_t length)
{
    archive_entry key = {.name = name, .length = length};
    return a->count ? bsearch(&key, a->entry, a->count, sizeof key, by_name) : NULL;
}
