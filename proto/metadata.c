/* The parameters text of a picture file, without decoding the picture. PNG, JPEG and WebP are all a
 * list of named blocks; one small reader for each makes that list, and one loop looks through it. A
 * file that ends early is searched as far as it goes. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proto/exif.h"
#include "proto/infotext.h"
#include "proto/recode.h"
#include "proto/text.h"

enum {
    TEXT_BYTES_MAX = 1 << 20, /* of one text, also when it comes compressed */
    FIRST_ROOM = 4096,
    CHUNK_EXTRA = 12, /* of a PNG chunk: size, name, checksum */
    JPEG_SCAN = 0xDA,
    JPEG_END = 0xD9,
    JPEG_APP1 = 0xE1
};

typedef struct {
    const uint8_t *at, *end;
} reader;

typedef struct {
    char name[5];
    const uint8_t *bytes;
    size_t size;
} block;

typedef struct {
    const char *name; /* for people */
    bool (*next)(reader *r, block *b);
    const char *exif; /* the block that holds EXIF */
} container;

static size_t left(const reader *r)
{
    return (size_t)(r->end - r->at);
}

/* A PNG chunk: size (high byte first), name, contents, checksum. */
static bool png_next(reader *r, block *b)
{
    if (left(r) < CHUNK_EXTRA)
        return false;
    size_t size =
        (size_t)r->at[0] << 24 | (size_t)r->at[1] << 16 | (size_t)r->at[2] << 8 | r->at[3];
    if (size > left(r) - CHUNK_EXTRA)
        return false;
    memcpy(b->name, r->at + 4, 4);
    b->bytes = r->at + 8;
    b->size = size;
    r->at += size + CHUNK_EXTRA;
    return memcmp(b->name, "IEND", 4) != 0;
}

/* A WebP chunk: name, size (low byte first), contents, a byte to even out an odd size. */
static bool webp_next(reader *r, block *b)
{
    if (left(r) < 8)
        return false;
    size_t size =
        (size_t)r->at[7] << 24 | (size_t)r->at[6] << 16 | (size_t)r->at[5] << 8 | r->at[4];
    if (size > left(r) - 8)
        return false;
    memcpy(b->name, r->at, 4);
    b->bytes = r->at + 8;
    b->size = size;
    size += size & 1;
    r->at += 8 + (size < left(r) - 8 ? size : left(r) - 8);
    return true;
}

static bool jpeg_stands_alone(int marker)
{
    return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
}

/* A JPEG segment before the picture: 0xFF (any number of times), marker, size of what follows
 * including itself, contents. Only EXIF has a name. */
static bool jpeg_next(reader *r, block *b)
{
    int marker = 0;
    do {
        if (left(r) < 2 || *r->at != 0xFF)
            return false;
        marker = r->at[1];
        r->at += marker == 0xFF ? 1 : 2;
    } while (marker == 0xFF || jpeg_stands_alone(marker));
    if (marker == JPEG_SCAN || marker == JPEG_END || left(r) < 2)
        return false;
    size_t size = (size_t)r->at[0] << 8 | r->at[1];
    if (size < 2 || size > left(r))
        return false;
    b->bytes = r->at + 2;
    b->size = size - 2;
    bool exif = marker == JPEG_APP1 && b->size >= EXIF_PREFIX_BYTES &&
                memcmp(b->bytes, exif_prefix, EXIF_PREFIX_BYTES) == 0;
    memcpy(b->name, exif ? "Exif" : "    ", 4);
    r->at += size;
    return true;
}

static const container png = {"PNG", png_next, "eXIf"};
static const container jpeg = {"JPEG", jpeg_next, "Exif"};
static const container webp = {"WebP", webp_next, "EXIF"};

/* By the first bytes; *r stands before the first block. */
static const container *recognise(reader *r)
{
    const uint8_t *start = r->at;
    size_t size = left(r);
    if (size >= 8 && memcmp(start, "\x89PNG\r\n\x1a\n", 8) == 0) {
        r->at += 8;
        return &png;
    }
    if (size >= 12 && memcmp(start, "RIFF", 4) == 0 && memcmp(start + 8, "WEBP", 4) == 0) {
        r->at += 12;
        return &webp;
    }
    if (size >= 3 && memcmp(start, "\xFF\xD8\xFF", 3) == 0) {
        r->at += 2;
        return &jpeg;
    }
    return NULL;
}

static int too_large(err *e)
{
    return err_set(e, ERR_TOO_LARGE,
                   "the parameters text has more than %d bytes, expected at most that",
                   TEXT_BYTES_MAX);
}

/* Inflates into a buffer that doubles, and not beyond the limit. */
static int inflate_all(z_stream *z, uint8_t **bytes, size_t *size, err *e)
{
    for (size_t room = FIRST_ROOM;; room *= 2) {
        uint8_t *grown = realloc(*bytes, room);
        if (!grown)
            return err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of text", room);
        *bytes = grown;
        z->next_out = grown + *size;
        z->avail_out = (unsigned)(room - *size);
        int status = inflate(z, Z_NO_FLUSH);
        *size = room - z->avail_out;
        if (*size > TEXT_BYTES_MAX)
            return too_large(e);
        if (status == Z_STREAM_END)
            return 0;
        if (status != Z_OK || z->avail_out)
            return err_set(e, ERR_INVALID, "the compressed parameters text is damaged");
    }
}

static int unpack(const uint8_t *packed, size_t packed_size, uint8_t **bytes, size_t *size, err *e)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)packed, .avail_in = (unsigned)packed_size};
    if (inflateInit(&z) != Z_OK)
        return err_set(e, ERR_NO_MEMORY, "no memory to inflate the parameters text");
    int status = inflate_all(&z, bytes, size, e);
    inflateEnd(&z);
    return status;
}

/* The bytes of a text in its own encoding -> UTF-8. */
static int decode(char **text, const uint8_t *bytes, size_t size, bool utf8, err *e)
{
    if (size > TEXT_BYTES_MAX)
        return too_large(e);
    if (!utf8)
        return recode_latin1(text, bytes, size, e);
    size = strnlen((const char *)bytes, size);
    size_t at;
    if (!text_is_utf8((const char *)bytes, size, &at))
        return err_set(e, ERR_INVALID, "the parameters text is not UTF-8 at byte %zu", at);
    *text = strndup((const char *)bytes, size);
    return *text ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of text", size);
}

/* Moves past a text and its NUL; false when there is no NUL. */
static bool skip_text(reader *r)
{
    const uint8_t *nul = memchr(r->at, 0, left(r));
    if (nul)
        r->at = nul + 1;
    return nul != NULL;
}

/* The text of a PNG chunk: tEXt (Latin-1), zTXt (that compressed) or iTXt (UTF-8, either way).
 * ERR_NOT_FOUND for any other chunk, and for other keywords. */
static int png_text(char **text, const block *b, err *e)
{
    static const char keyword[] = "parameters";
    bool international = memcmp(b->name, "iTXt", 4) == 0, zipped = memcmp(b->name, "zTXt", 4) == 0;
    if (!international && !zipped && memcmp(b->name, "tEXt", 4))
        return ERR_NOT_FOUND;
    if (b->size < sizeof keyword || memcmp(b->bytes, keyword, sizeof keyword))
        return ERR_NOT_FOUND;
    reader r = {b->bytes + sizeof keyword, b->bytes + b->size};
    bool whole = true, known = true;
    if (international) { /* whether it is compressed and how, language, translated keyword */
        whole = left(&r) >= 2;
        zipped = whole && r.at[0];
        known = !zipped || r.at[1] == 0;
        r.at += whole ? 2 : 0;
        whole = whole && skip_text(&r) && skip_text(&r);
    } else if (zipped) {
        whole = left(&r) >= 1;
        known = whole && r.at[0] == 0;
        r.at += whole;
    }
    if (!whole || !known)
        return err_set(e, ERR_INVALID, "the PNG chunk with the parameters text is damaged");
    if (!zipped)
        return decode(text, r.at, left(&r), international, e);
    uint8_t *bytes = NULL;
    size_t size = 0;
    int status = unpack(r.at, left(&r), &bytes, &size, e);
    if (status == 0)
        status = decode(text, bytes, size, international, e);
    free(bytes);
    return status;
}

/* What one block says, if anything; *from_exif tells where. */
static int block_text(char **text, const container *c, const block *b, bool *from_exif, err *e)
{
    *from_exif = memcmp(b->name, c->exif, 4) == 0;
    if (!*from_exif)
        return c == &png ? png_text(text, b, e) : ERR_NOT_FOUND;
    err missing = {0};
    int status = exif_user_comment(text, b->bytes, b->size, &missing);
    if (status == 0 && strlen(*text) > TEXT_BYTES_MAX) {
        free(*text);
        *text = NULL;
        return too_large(e);
    }
    return status == 0 || status == ERR_NOT_FOUND ? status
                                                  : err_set(e, missing.code, "%s", missing.text);
}

int metadata_parameters(char **text, const unsigned char *bytes, size_t size, err *e)
{
    reader r = {bytes, bytes + size};
    const container *c = recognise(&r);
    if (!c)
        return err_set(e, ERR_INVALID, "the file is neither PNG nor JPEG nor WebP");
    char *best = NULL; /* the first text, or the first user comment, which goes before it */
    block b = {0};
    bool from_exif = false;
    while (!from_exif && c->next(&r, &b)) {
        char *found = NULL;
        bool exif = false;
        int status = block_text(&found, c, &b, &exif, e);
        if (status && status != ERR_NOT_FOUND) {
            free(best);
            return status;
        }
        if (!found || (best && !exif)) {
            free(found);
            continue;
        }
        free(best);
        best = found;
        from_exif = exif;
    }
    if (!best)
        return err_set(e, ERR_NOT_FOUND, "the %s file has no parameters text", c->name);
    *text = best;
    return 0;
}
