/* Text to CLIP ids: cut out the two special strings, fold what is between them, split it into
 * words (a contraction, letters, one digit, or anything else that is not white space), and encode
 * every word by itself. The ids are those of the `tokenizers` library with CLIP's settings. */
#include "worker/model/tokenizer.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "worker/model/bpe.h"
#include "worker/model/fold.h"

enum { TEXT_BYTES_MAX = 16 << 20, UTF8_MOST = 4 };

struct tokenizer {
    bpe bpe;
};

/* Recognised as written, before any folding. */
static const struct {
    const char *text;
    size_t size;
    int32_t id;
} specials[] = {{"<|startoftext|>", 15, TOKEN_START}, {"<|endoftext|>", 13, TOKEN_END}};

tokenizer *tokenizer_new(err *e)
{
    tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        err_set(e, ERR_NO_MEMORY, "no memory for the tokenizer");
    else if (bpe_init(&t->bpe, e))
        tokenizer_free(&t);
    return t;
}

void tokenizer_free(tokenizer **t)
{
    if (!*t)
        return;
    bpe_done(&(*t)->bpe);
    free(*t);
    *t = NULL;
}

typedef enum { SPACE, LETTER, NUMBER, OTHER } char_class;

static char_class classify(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return SPACE;
    default: return (code >= '\t' && code <= '\r') || code == 0x85 ? SPACE : OTHER;
    }
}

/* The length of the contraction at codes[0], or 0. */
static size_t contraction(const int32_t *codes, size_t count)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (codes[0] != '\'')
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = 1;
        while (endings[i][n - 1] && n < count && codes[n] == endings[i][n - 1])
            n++;
        if (!endings[i][n - 1])
            return n;
    }
    return 0;
}

/* The length of the word at codes[0], which is not white space. */
static size_t word_length(const int32_t *codes, size_t count)
{
    size_t n = contraction(codes, count);
    if (n)
        return n;
    char_class first = classify(codes[0]);
    n = 1;
    while (first != NUMBER && n < count && classify(codes[n]) == first)
        n++;
    return n;
}

/* Encodes folded text into `ids`, which has room for UTF8_MOST ids a code point. */
static size_t encode_folded(const tokenizer *t, bpe_scratch *s, unsigned char *word,
                            const int32_t *codes, size_t count, int32_t *ids)
{
    size_t made = 0;
    for (size_t at = 0; at < count;) {
        if (classify(codes[at]) == SPACE) {
            at++;
            continue;
        }
        size_t n = word_length(codes + at, count - at), bytes = 0;
        for (size_t i = 0; i < n; i++)
            bytes += (size_t)utf8proc_encode_char(codes[at + i], word + bytes);
        made += bpe_encode(&t->bpe, s, word, bytes, ids + made);
        at += n;
    }
    return made;
}

typedef struct {
    int32_t *id;
    size_t count, room;
} id_list;

static int list_reserve(id_list *list, size_t more, err *e)
{
    if (list->count + more < list->room)
        return 0;
    size_t room = 2 * list->count + more + 1;
    int32_t *grown = realloc(list->id, room * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NO_MEMORY, "no memory for %zu tokens", room);
    list->id = grown;
    list->room = room;
    return 0;
}

/* Text without special strings. */
static int encode_plain(const tokenizer *t, id_list *list, const char *text, size_t size, err *e)
{
    int32_t *codes = NULL;
    size_t count = 0;
    bpe_scratch scratch = {0};
    unsigned char *word = NULL;
    int status = fold_text(&codes, &count, text, size, e);
    if (status)
        goto out;
    size_t most = count * UTF8_MOST;
    status = list_reserve(list, most, e);
    if (status)
        goto out;
    status = bpe_scratch_init(&scratch, most, e);
    if (status)
        goto out;
    word = malloc(most + 1);
    if (!word) {
        status = err_set(e, ERR_NO_MEMORY, "no memory to tokenize %zu bytes", size);
        goto out;
    }
    list->count += encode_folded(t, &scratch, word, codes, count, list->id + list->count);
out:
    free(word);
    bpe_scratch_done(&scratch);
    free(codes);
    return status;
}

/* The index of the special string at `text`, or -1. */
static int special_at(const char *text)
{
    for (int i = 0; i < 2; i++)
        if (strncmp(text, specials[i].text, specials[i].size) == 0)
            return i;
    return -1;
}

/* The first special string from `text` on, or the end of the text; *which as special_at. */
static const char *special_next(const char *text, int *which)
{
    *which = -1;
    for (text = strchrnul(text, '<'); *text; text = strchrnul(text + 1, '<')) {
        *which = special_at(text);
        if (*which >= 0)
            break;
    }
    return text;
}

int tokenizer_encode(const tokenizer *t, const char *text, int32_t **ids, size_t *count, err *e)
{
    size_t size = strlen(text);
    if (size > TEXT_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE, "the text has %zu bytes, expected at most %d", size,
                       TEXT_BYTES_MAX);
    id_list list = {0};
    int status = list_reserve(&list, 0, e);
    for (int which = 0; status == 0 && which >= 0;) {
        const char *end = special_next(text, &which);
        status = encode_plain(t, &list, text, (size_t)(end - text), e);
        if (status || which < 0)
            break;
        status = list_reserve(&list, 1, e);
        if (status == 0)
            list.id[list.count++] = specials[which].id;
        text = end + specials[which].size;
    }
    if (status) {
        free(list.id);
        return status;
    }
    *ids = list.id;
    *count = list.count;
    return 0;
}
