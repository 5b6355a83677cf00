/* Byte-pair encoding. The one idea: a merged symbol's id grows with the rank of its merge, so one
 * table from (left id, right id) to the merged id is the whole vocabulary at run time, and a heap
 * of (merged id, position) yields merges in the order the rules demand, leftmost first. */
#include "worker/model/bpe.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/vocabulary.h"

enum {
    BYTE_SYMBOLS = 256,
    FIRST_MERGE = 2 * BYTE_SYMBOLS, /* bytes, bytes that end a word, then one id per merge */
    SYMBOLS = FIRST_MERGE + VOCABULARY_MERGES,
    TABLE_BITS = 17, /* 131,072 slots for 48,894 pairs and 49,406 symbols */
    TABLE_SLOTS = 1 << TABLE_BITS,
    POOL_BYTES = 640 * 1024 /* texts of all symbols: 475 kB */
};

typedef struct bpe_pair {
    uint32_t key;   /* left << 16 | right */
    int32_t merged; /* 0: empty slot (0 is no merged symbol) */
} bpe_pair;

typedef struct bpe_link {
    int32_t symbol; /* -1: merged into its left neighbour */
    uint32_t before, after;
} bpe_link;

static const uint32_t NOWHERE = UINT32_MAX;

static size_t pair_slot(uint32_t key)
{
    return (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> (64 - TABLE_BITS));
}

static uint32_t pair_key(int32_t left, int32_t right)
{
    return (uint32_t)left << 16 | (uint32_t)right;
}

static void pair_put(bpe *b, int32_t left, int32_t right, int32_t merged)
{
    uint32_t key = pair_key(left, right);
    size_t at = pair_slot(key);
    while (b->pair[at].merged)
        at = (at + 1) % TABLE_SLOTS;
    b->pair[at] = (bpe_pair){key, merged};
}

/* The id of the merged symbol; 0 when the two do not merge. */
static int32_t pair_get(const bpe *b, int32_t left, int32_t right)
{
    uint32_t key = pair_key(left, right);
    size_t at = pair_slot(key);
    while (b->pair[at].merged && b->pair[at].key != key)
        at = (at + 1) % TABLE_SLOTS;
    return b->pair[at].merged;
}

/* ---- From the published merge list, which names symbols by their text, to pairs of ids ---- */

typedef struct {
    char pool[POOL_BYTES];
    uint32_t start[SYMBOLS + 1]; /* text of symbol i: pool[start[i] .. start[i + 1]) */
    int32_t slot[TABLE_SLOTS];   /* id + 1; 0: empty */
    int32_t count;
} symbol_texts;

static int32_t *text_slot(symbol_texts *t, const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    for (size_t at = hash >> (64 - TABLE_BITS);; at = (at + 1) % TABLE_SLOTS) {
        int32_t id = t->slot[at] - 1;
        if (id < 0 || (t->start[id + 1] - t->start[id] == size &&
                       memcmp(t->pool + t->start[id], text, size) == 0))
            return &t->slot[at];
    }
}

static int32_t text_find(symbol_texts *t, const char *text, size_t size)
{
    int32_t id = *text_slot(t, text, size) - 1;
    assert(id >= 0);
    return id;
}

/* Makes the next symbol; its text is `a` and then `b`. */
static void text_add(symbol_texts *t, const char *a, size_t na, const char *b, size_t nb)
{
    uint32_t start = t->start[t->count], end = start + (uint32_t)(na + nb);
    assert(end <= POOL_BYTES && t->count < SYMBOLS);
    memcpy(t->pool + start, a, na);
    memcpy(t->pool + start + na, b, nb);
    t->start[++t->count] = end;
    int32_t *slot = text_slot(t, t->pool + start, na + nb);
    assert(*slot == 0);
    *slot = t->count;
}

static bool byte_prints(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* Ids 0..511. The list writes a byte as a printable character: itself (as Latin-1), or the code
 * points from 256 on for bytes that do not print, which also come last in the order of ids. */
static void add_bytes(bpe *b, symbol_texts *t)
{
    char text[BYTE_SYMBOLS][2];
    size_t size[BYTE_SYMBOLS];
    int next = 0;
    for (int printing = 1; printing >= 0; printing--)
        for (int byte = 0; byte < 256; byte++)
            if (byte_prints(byte) == (printing == 1)) {
                int code = printing ? byte : 256 + next - 188;
                size[next] = code < 128 ? 1 : 2;
                text[next][0] = (char)(code < 128 ? code : 0xC0 | code >> 6);
                text[next][1] = (char)(0x80 | (code & 0x3F));
                b->byte_symbol[byte] = next++;
            }
    for (int i = 0; i < BYTE_SYMBOLS; i++)
        text_add(t, text[i], size[i], "", 0);
    for (int i = 0; i < BYTE_SYMBOLS; i++)
        text_add(t, text[i], size[i], "</w>", 4);
}

static void add_merges(bpe *b, symbol_texts *t, const char *lines)
{
    for (int32_t id = FIRST_MERGE; id < SYMBOLS; id++) {
        size_t left = strcspn(lines, " "), right = strcspn(lines + left + 1, "\n");
        const char *second = lines + left + 1;
        pair_put(b, text_find(t, lines, left), text_find(t, second, right), id);
        text_add(t, lines, left, second, right);
        lines = second + right + 1;
    }
}

int bpe_init(bpe *b, err *e)
{
    char *lines = NULL;
    *b = (bpe){.pair = calloc(TABLE_SLOTS, sizeof *b->pair)};
    symbol_texts *texts = calloc(1, sizeof *texts);
    int status = b->pair && texts ? vocabulary_read(&lines, e)
                                  : err_set(e, ERR_NO_MEMORY, "no memory for the CLIP vocabulary");
    if (status == 0) {
        add_bytes(b, texts);
        add_merges(b, texts, lines);
    } else {
        bpe_done(b);
    }
    free(texts);
    free(lines);
    return status;
}

void bpe_done(bpe *b)
{
    free(b->pair);
    *b = (bpe){0};
}

/* ---- One word ---- */

int bpe_scratch_init(bpe_scratch *s, size_t capacity, err *e)
{
    /* n - 1 pairs at the start, and every merge takes one out and puts at most two in. */
    *s = (bpe_scratch){.link = malloc((capacity + 1) * sizeof *s->link),
                       .heap = malloc((2 * capacity + 2) * sizeof *s->heap),
                       .capacity = capacity};
    if (s->link && s->heap)
        return 0;
    bpe_scratch_done(s);
    return err_set(e, ERR_NO_MEMORY, "no memory to tokenize %zu bytes", capacity);
}

void bpe_scratch_done(bpe_scratch *s)
{
    free(s->link);
    free(s->heap);
    *s = (bpe_scratch){0};
}

static void heap_push(uint64_t *heap, size_t *count, uint64_t key)
{
    size_t at = (*count)++;
    for (; at && heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = key;
}

static uint64_t heap_pop(uint64_t *heap, size_t *count)
{
    uint64_t least = heap[0], last = heap[--*count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < *count; at = child) {
        child += child + 1 < *count && heap[child + 1] < heap[child];
        if (heap[child] >= last)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return least;
}

/* Puts the pair that starts at `at` into the heap, if there is one and it merges. */
static void offer(const bpe *b, bpe_scratch *s, size_t *waiting, uint32_t at)
{
    uint32_t after = at == NOWHERE ? NOWHERE : s->link[at].after;
    if (after == NOWHERE)
        return;
    int32_t merged = pair_get(b, s->link[at].symbol, s->link[after].symbol);
    if (merged)
        heap_push(s->heap, waiting, (uint64_t)merged << 32 | at);
}

/* Does the pair that starts at `at` still merge to `merged`, or is the entry out of date? */
static bool still_merges(const bpe *b, const bpe_link *link, uint32_t at, int32_t merged)
{
    return link[at].symbol >= 0 && link[at].after != NOWHERE &&
           pair_get(b, link[at].symbol, link[link[at].after].symbol) == merged;
}

size_t bpe_encode(const bpe *b, bpe_scratch *s, const unsigned char *word, size_t size,
                  int32_t *ids)
{
    assert(size > 0 && size <= s->capacity && size < NOWHERE);
    bpe_link *link = s->link;
    size_t waiting = 0;
    for (uint32_t i = 0; i < size; i++)
        link[i] = (bpe_link){b->byte_symbol[word[i]], i ? i - 1 : NOWHERE, i + 1};
    link[size - 1].symbol += BYTE_SYMBOLS;
    link[size - 1].after = NOWHERE;
    for (uint32_t i = 0; i < size; i++)
        offer(b, s, &waiting, i);

    while (waiting) {
        uint64_t entry = heap_pop(s->heap, &waiting);
        uint32_t at = (uint32_t)entry;
        int32_t merged = (int32_t)(entry >> 32);
        if (!still_merges(b, link, at, merged))
            continue;
        uint32_t gone = link[at].after;
        link[at].symbol = merged;
        link[at].after = link[gone].after;
        link[gone].symbol = -1;
        if (link[at].after != NOWHERE)
            link[link[at].after].before = at;
        offer(b, s, &waiting, link[at].before);
        offer(b, s, &waiting, at);
    }

    size_t count = 0;
    for (uint32_t i = 0; i != NOWHERE; i = link[i].after)
        ids[count++] = link[i].symbol;
    return count;
}
