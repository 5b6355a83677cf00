/* EXIF: one bounded look-up (a tag in one directory of a TIFF file), used once for the orientation
 * and twice for the comment; and a writer that makes the smallest valid block. */
#include "proto/exif.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/recode.h"
#include "proto/text.h"

enum {
    TAG_ORIENTATION = 0x0112,
    TAG_EXIF_DIRECTORY = 0x8769,
    TAG_USER_COMMENT = 0x9286,
    TYPE_BYTE = 1,
    TYPE_ASCII = 2,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    TYPE_UNDEFINED = 7,
    HEADER_BYTES = 8,
    ENTRY_BYTES = 12,
    CODE_BYTES = 8 /* the character code before a UserComment */
};

const uint8_t exif_prefix[EXIF_PREFIX_BYTES] = {'E', 'x', 'i', 'f', 0, 0};

typedef struct {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
} tiff;

typedef struct {
    uint32_t type, count, offset; /* offset: of the value in the file */
} tiff_entry;

static bool holds(const tiff *t, size_t at, size_t bytes)
{
    return at <= t->size && bytes <= t->size - at;
}

static uint32_t read_number(const tiff *t, size_t at, int bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | t->bytes[at + (size_t)(t->big_endian ? i : bytes - 1 - i)];
    return value;
}

static bool tiff_open(tiff *t, const uint8_t *block, size_t size)
{
    if (size >= EXIF_PREFIX_BYTES && memcmp(block, exif_prefix, EXIF_PREFIX_BYTES) == 0) {
        block += EXIF_PREFIX_BYTES;
        size -= EXIF_PREFIX_BYTES;
    }
    if (size < HEADER_BYTES || (memcmp(block, "MM\0*", 4) && memcmp(block, "II*\0", 4)))
        return false;
    *t = (tiff){block, size, block[0] == 'M'};
    return true;
}

/* Bytes of one value; 0 for the types nobody needs here. */
static uint32_t type_bytes(uint32_t type)
{
    switch (type) {
    case TYPE_BYTE:
    case TYPE_ASCII:
    case TYPE_UNDEFINED: return 1;
    case TYPE_SHORT: return 2;
    case TYPE_LONG: return 4;
    default: return 0;
    }
}

/* Finds `tag` in the directory at `at`; false when it is not there or its value is not wholly in
 * the file. */
static bool tiff_find(const tiff *t, uint32_t at, uint32_t tag, tiff_entry *entry)
{
    if (!holds(t, at, 2))
        return false;
    uint32_t entries = read_number(t, at, 2);
    for (size_t e = at + (size_t)2; entries-- && holds(t, e, ENTRY_BYTES); e += ENTRY_BYTES) {
        if (read_number(t, e, 2) != tag)
            continue;
        entry->type = read_number(t, e + 2, 2);
        entry->count = read_number(t, e + 4, 4);
        uint64_t bytes = (uint64_t)type_bytes(entry->type) * entry->count;
        entry->offset = bytes <= 4 ? (uint32_t)e + 8 : read_number(t, e + 8, 4);
        return bytes > 0 && bytes <= t->size && holds(t, entry->offset, (size_t)bytes);
    }
    return false;
}

static bool tiff_number(const tiff *t, uint32_t at, uint32_t tag, uint32_t *value)
{
    tiff_entry entry;
    if (!tiff_find(t, at, tag, &entry) || (entry.type != TYPE_SHORT && entry.type != TYPE_LONG))
        return false;
    *value = read_number(t, entry.offset, (int)type_bytes(entry.type));
    return true;
}

int exif_orientation(const uint8_t *block, size_t size)
{
    tiff t;
    uint32_t value;
    bool found = tiff_open(&t, block, size) &&
                 tiff_number(&t, read_number(&t, 4, 4), TAG_ORIENTATION, &value);
    return found && value >= 1 && value <= 8 ? (int)value : 1;
}

/* ASCII in name: people write UTF-8 there, and Latin-1. */
static int read_narrow(char **text, const uint8_t *bytes, size_t size, err *e)
{
    size = strnlen((const char *)bytes, size);
    if (!text_is_utf8((const char *)bytes, size, NULL))
        return recode_latin1(text, bytes, size, e);
    *text = strndup((const char *)bytes, size);
    return *text ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of text", size);
}

/* A byte-order mark decides; without one a big-endian block is taken at its word (web UIs write
 * those). Little-endian ones hold text of either order: the one with more characters below U+0100
 * is meant. */
static int read_wide(char **text, const uint8_t *bytes, size_t size, bool big_endian, err *e)
{
    if (size >= 2 && (memcmp(bytes, "\xFE\xFF", 2) == 0 || memcmp(bytes, "\xFF\xFE", 2) == 0))
        return recode_utf16(text, bytes + 2, size - 2, bytes[0] == 0xFE, e);
    size_t high_first = 0, low_first = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        high_first += bytes[i] == 0 && bytes[i + 1] != 0;
        low_first += bytes[i] != 0 && bytes[i + 1] == 0;
    }
    return recode_utf16(text, bytes, size, big_endian || high_first > low_first, e);
}

int exif_user_comment(char **text, const uint8_t *block, size_t size, err *e)
{
    tiff t;
    tiff_entry entry;
    uint32_t directory;
    if (!tiff_open(&t, block, size) ||
        !tiff_number(&t, read_number(&t, 4, 4), TAG_EXIF_DIRECTORY, &directory) ||
        !tiff_find(&t, directory, TAG_USER_COMMENT, &entry) || type_bytes(entry.type) != 1 ||
        entry.count < CODE_BYTES)
        return err_set(e, ERR_NOT_FOUND, "the EXIF block has no user comment");
    const uint8_t *code = t.bytes + entry.offset, *value = code + CODE_BYTES;
    size_t bytes = entry.count - CODE_BYTES;
    if (memcmp(code, "UNICODE", CODE_BYTES) == 0)
        return read_wide(text, value, bytes, t.big_endian, e);
    if (memcmp(code, "ASCII\0\0", CODE_BYTES) == 0 || memcmp(code, "\0\0\0\0\0\0\0", 8) == 0)
        return read_narrow(text, value, bytes, e);
    return err_set(e, ERR_NOT_FOUND, "the EXIF user comment is neither ASCII nor Unicode");
}

int exif_write_user_comment(uint8_t **block, size_t *size, const char *text, err *e)
{
    static const char start[] =
        "MM\0*\0\0\0\x08"                            /* the first directory is at 8 */
        "\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0" /* only the EXIF directory, at 26 */
        "\0\1\x92\x86\0\7\0\0\0\0\0\0\0\x2c\0\0\0\0" /* only the comment, its value at 44 */
        "UNICODE";                                   /* with its NUL */
    enum { COUNT_AT = 32 };
    uint8_t *wide = NULL;
    size_t wide_bytes;
    int status = recode_to_utf16be(&wide, &wide_bytes, text, e);
    if (status)
        return status;
    uint8_t *made = malloc(sizeof start + wide_bytes);
    if (made) {
        memcpy(made, start, sizeof start);
        memcpy(made + sizeof start, wide, wide_bytes);
        size_t count = CODE_BYTES + wide_bytes;
        for (int i = 0; i < 4; i++)
            made[COUNT_AT + i] = (uint8_t)(count >> (24 - 8 * i));
        *block = made;
        *size = sizeof start + wide_bytes;
    } else {
        status = err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of text", wide_bytes);
    }
    free(wide);
    return status;
}
