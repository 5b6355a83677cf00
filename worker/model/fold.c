/* Folding. The steps of NFC are taken one by one because utf8proc sorts combining marks by
 * exchanging neighbours, which is quadratic in their number; the counting sort here is not. */
#include "worker/model/fold.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    DECOMPOSED_MOST = 4, /* code points a single one may become */
    CAPITAL_I_DOT = 0x130,
    COMBINING_DOT = 0x307
};

static const utf8proc_option_t NFC = UTF8PROC_STABLE | UTF8PROC_COMPOSE;

static int mark_class(int32_t code)
{
    return utf8proc_get_property(code)->combining_class;
}

/* Canonical decomposition into `codes`, which has room for 2 * size + 4. */
static int decompose(int32_t *codes, size_t *count, const char *text, size_t size, err *e)
{
    *count = 0;
    for (size_t at = 0; at < size;) {
        int32_t code;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                 (utf8proc_ssize_t)(size - at), &code);
        if (used <= 0)
            return err_set(e, ERR_INVALID, "the text is not UTF-8 at byte %zu, expected UTF-8", at);
        at += (size_t)used;
        int boundary = 0;
        utf8proc_ssize_t made =
            utf8proc_decompose_char(code, codes + *count, DECOMPOSED_MOST, NFC, &boundary);
        assert(made > 0 && made <= DECOMPOSED_MOST);
        *count += (size_t)made;
    }
    return 0;
}

/* Stable counting sort of `count` marks by their class, through `room`. */
static void sort_marks(int32_t *codes, size_t count, int32_t *room)
{
    size_t place[257] = {0};
    for (size_t i = 0; i < count; i++)
        place[mark_class(codes[i]) + 1]++;
    for (int c = 0; c < 256; c++)
        place[c + 1] += place[c];
    for (size_t i = 0; i < count; i++)
        room[place[mark_class(codes[i])]++] = codes[i];
    memcpy(codes, room, count * sizeof *codes);
}

/* Canonical order: every run of combining marks sorted by class. */
static void order_marks(int32_t *codes, size_t count, int32_t *room)
{
    for (size_t i = 0; i < count;) {
        size_t start = i;
        bool sorted = true;
        for (int before = 0, now; i < count && (now = mark_class(codes[i])) > 0; before = now, i++)
            sorted = sorted && before <= now;
        if (!sorted)
            sort_marks(codes + start, i - start, room);
        i += i == start;
    }
}

/* Lower case by single characters, as Rust's and Python's tables have it without the rule for a
 * final sigma. Only U+0130 becomes two. Returns the new count; `to` has room for 2 * count. */
static size_t lower(int32_t *to, const int32_t *codes, size_t count)
{
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        if (codes[i] == CAPITAL_I_DOT) {
            to[made++] = 'i';
            to[made++] = COMBINING_DOT;
        } else {
            to[made++] = utf8proc_tolower(codes[i]);
        }
    }
    return made;
}

int fold_text(int32_t **codes, size_t *count, const char *text, size_t size, err *e)
{
    size_t decomposed = 0;
    int32_t *work = malloc((2 * size + DECOMPOSED_MOST) * sizeof *work);
    int32_t *result = malloc((4 * size + 2 * DECOMPOSED_MOST) * sizeof *result);
    int status = work && result ? decompose(work, &decomposed, text, size, e)
                                : err_set(e, ERR_NO_MEMORY, "no memory to fold %zu bytes", size);
    if (status == 0) {
        order_marks(work, decomposed, result);
        utf8proc_ssize_t composed =
            utf8proc_normalize_utf32(work, (utf8proc_ssize_t)decomposed, NFC);
        assert(composed >= 0);
        *count = lower(result, work, (size_t)composed);
        *codes = result;
        result = NULL;
    }
    free(work);
    free(result);
    return status;
}
