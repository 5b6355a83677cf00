/* tuning: see tuning.h. The header is a table of lines; a text is good when reading it and writing
 * it again would give the same bytes, which every step of the reader checks as it goes. */
#include "kernels/cuda/tuning.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/digest.h"

static const char first_line[] = "overpaint tuning 1", separator[] = " = ";
enum { LINE_MOST = SHAPE_NAME_BYTES + sizeof separator + CHOICE_TEXT_BYTES };

typedef struct {
    const char *name;
    size_t at;
} number_line;

static const number_line number_lines[] = {
    {"sms ", offsetof(tuning_device, sms)},
    {"driver ", offsetof(tuning_device, driver)},
    {"cudnn ", offsetof(tuning_device, cudnn)},
    {"cublaslt ", offsetof(tuning_device, cublaslt)},
};
enum { NUMBER_LINES = sizeof number_lines / sizeof *number_lines };

static int64_t *number_of(const tuning_device *d, const number_line *l)
{
    return (int64_t *)((char *)d + l->at);
}

void tuning_done(tuning *t)
{
    free(t->entry);
    *t = (tuning){0};
}

/* One line without its end. */
typedef struct {
    const char *at;
    size_t bytes;
} line;

typedef struct {
    const char *at, *end;
    int number; /* of the last line that was taken */
} reader;

static bool take_line(reader *r, line *l)
{
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    r->number++;
    if (!stop)
        return false;
    *l = (line){r->at, (size_t)(stop - r->at)};
    r->at = stop + 1;
    return true;
}

static bool starts_with(const line *l, const char *word, line *after)
{
    size_t n = strlen(word);
    if (l->bytes < n || memcmp(l->at, word, n) != 0)
        return false;
    *after = (line){l->at + n, l->bytes - n};
    return true;
}

static bool is_plain(const line *l)
{
    for (size_t i = 0; i < l->bytes; i++)
        if (l->at[i] < ' ' || l->at[i] > '~')
            return false;
    return l->bytes > 0;
}

static bool read_number(const line *l, int64_t *value)
{
    *value = 0;
    if (l->bytes == 0 || l->bytes > 10)
        return false;
    for (size_t i = 0; i < l->bytes; i++) {
        if (l->at[i] < '0' || l->at[i] > '9')
            return false;
        *value = *value * 10 + (l->at[i] - '0');
    }
    return l->at[0] != '0' || l->bytes == 1;
}

static bool refuse(char *why, const reader *r, const char *expected)
{
    snprintf(why, TUNING_WHY_BYTES, "tuning table, line %d: expected %s", r->number, expected);
    return false;
}

static bool read_head(tuning_device *d, reader *r, char *why)
{
    line l, rest;
    if (!take_line(r, &l) || !starts_with(&l, first_line, &rest) || rest.bytes)
        return refuse(why, r, first_line);
    if (!take_line(r, &l) || !starts_with(&l, "gpu ", &rest) || !is_plain(&rest) ||
        rest.bytes >= TUNING_GPU_BYTES)
        return refuse(why, r, "\"gpu \" and its name, at most 63 characters");
    memcpy(d->gpu, rest.at, rest.bytes);
    for (int i = 0; i < NUMBER_LINES; i++)
        if (!take_line(r, &l) || !starts_with(&l, number_lines[i].name, &rest) ||
            !read_number(&rest, number_of(d, &number_lines[i])))
            return refuse(why, r, "the next of sms, driver, cudnn, cublaslt and its number");
    return true;
}

static bool read_entry(tuning_entry *e, const line *l)
{
    const char *is = memmem(l->at, l->bytes, separator, sizeof separator - 1);
    if (!is)
        return false;
    const line name = {l->at, (size_t)(is - l->at)};
    const char *choice_at = is + sizeof separator - 1;
    *e = (tuning_entry){0};
    if (!is_plain(&name) || name.bytes >= SHAPE_NAME_BYTES)
        return false;
    memcpy(e->name, name.at, name.bytes);
    return choice_read(&e->choice, choice_at, l->bytes - (size_t)(choice_at - l->at));
}

static bool make_room(tuning *t)
{
    if (t->entries < t->room)
        return true;
    int room = t->room ? 2 * t->room : 64;
    tuning_entry *more = realloc(t->entry, (size_t)room * sizeof *more);
    if (!more)
        return false;
    t->entry = more;
    t->room = room;
    return true;
}

static bool read_entries(tuning *t, reader *r, char *why)
{
    while (r->at < r->end) {
        line l;
        tuning_entry e;
        if (!take_line(r, &l))
            return refuse(why, r, "an end of the line");
        if (!read_entry(&e, &l))
            return refuse(why, r, "a shape, \" = \" and its choice");
        if (t->entries > 0 && strcmp(t->entry[t->entries - 1].name, e.name) >= 0)
            return refuse(why, r, "names in ascending order, each once");
        if (!make_room(t))
            return refuse(why, r, "more memory");
        t->entry[t->entries++] = e;
    }
    return true;
}

bool tuning_read(tuning *t, const char *text, size_t bytes, char why[TUNING_WHY_BYTES])
{
    reader r = {text, text + bytes, 0};
    *t = (tuning){0};
    why[0] = 0;
    bool good = bytes <= TUNING_TEXT_MOST;
    if (!good)
        snprintf(why, TUNING_WHY_BYTES, "the tuning table has %zu bytes, expected at most %d",
                 bytes, TUNING_TEXT_MOST);
    good = good && read_head(&t->device, &r, why) && read_entries(t, &r, why);
    if (!good)
        tuning_done(t);
    return good;
}

char *tuning_write(const tuning *t)
{
    size_t room = (size_t)(t->entries + NUMBER_LINES + 3) * LINE_MOST, n = 0;
    char *text = malloc(room), choice_text[CHOICE_TEXT_BYTES];
    if (!text)
        return NULL;
    n += (size_t)snprintf(text, room, "%s\ngpu %s\n", first_line, t->device.gpu);
    for (int i = 0; i < NUMBER_LINES; i++)
        n += (size_t)snprintf(text + n, room - n, "%s%" PRId64 "\n", number_lines[i].name,
                              *number_of(&t->device, &number_lines[i]));
    for (int i = 0; i < t->entries; i++) {
        choice_write(&t->entry[i].choice, choice_text);
        n += (size_t)snprintf(text + n, room - n, "%s%s%s\n", t->entry[i].name, separator,
                              choice_text);
    }
    assert(n < room);
    return text;
}

/* The place of the first entry that is not before `name`. */
static int place_of(const tuning *t, const char *name)
{
    int low = 0, high = t->entries;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(t->entry[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const choice *tuning_find(const tuning *t, const char *name)
{
    int i = place_of(t, name);
    return i < t->entries && strcmp(t->entry[i].name, name) == 0 ? &t->entry[i].choice : NULL;
}

static bool is_on(const choice *c)
{
    return c->kind != CHOICE_SWITCH || c->on;
}

bool tuning_wants(const tuning *t, const char *name)
{
    const choice *c = tuning_find(t, name);
    return c && is_on(c);
}

bool tuning_wants_upsample(const tuning *t, dtype type, int64_t in, int64_t out)
{
    for (int i = 0; i < t->entries; i++)
        if (is_on(&t->entry[i].choice) && is_upsample_name(t->entry[i].name, type, in, out))
            return true;
    return false;
}

bool tuning_set(tuning *t, const char *name, const choice *c)
{
    int i = place_of(t, name);
    assert(strlen(name) < SHAPE_NAME_BYTES && !strstr(name, separator));
    if (!tuning_find(t, name)) {
        if (!make_room(t))
            return false;
        memmove(t->entry + i + 1, t->entry + i, (size_t)(t->entries++ - i) * sizeof *t->entry);
        t->entry[i] = (tuning_entry){0};
        strcpy(t->entry[i].name, name);
    }
    t->entry[i].choice = *c;
    return true;
}

bool tuning_device_equal(const tuning_device *a, const tuning_device *b)
{
    bool equal = strcmp(a->gpu, b->gpu) == 0;
    for (int i = 0; i < NUMBER_LINES; i++)
        equal &= *number_of(a, &number_lines[i]) == *number_of(b, &number_lines[i]);
    return equal;
}

uint64_t tuning_hash(const tuning *t)
{
    char *text = tuning_write(t);
    uint64_t hash = text ? digest(text, strlen(text)) : 0;
    free(text);
    return hash;
}
