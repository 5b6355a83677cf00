/* Encodings: see recode.h. Every conversion goes through single code points and allocates for the
 * longest result at once, so that no loop has to grow a buffer. */
#include "proto/recode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { REPLACEMENT = 0xFFFD, LATIN1_END = 0x100, BMP_END = 0x10000 };

static void *room_for(size_t count, size_t each, err *e)
{
    void *room = malloc(count * each + 1);
    if (!room)
        err_set(e, ERR_NO_MEMORY, "no memory to convert %zu characters", count);
    return room;
}

static size_t put_utf8(char *to, int32_t code)
{
    return (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)to);
}

int recode_latin1(char **text, const uint8_t *bytes, size_t size, err *e)
{
    char *to = room_for(size, 2, e);
    if (!to)
        return ERR_NO_MEMORY;
    size_t made = 0;
    for (size_t i = 0; i < size && bytes[i]; i++)
        made += put_utf8(to + made, bytes[i]);
    to[made] = 0;
    *text = to;
    return 0;
}

/* The unit at bytes[at]; half a unit at the end is no character. */
static int32_t unit_at(const uint8_t *bytes, size_t size, size_t at, bool big_endian)
{
    if (size - at < 2)
        return REPLACEMENT;
    int first = bytes[at], second = bytes[at + 1];
    return big_endian ? first << 8 | second : second << 8 | first;
}

static bool high_surrogate(int32_t unit)
{
    return unit >= 0xD800 && unit < 0xDC00;
}

static bool low_surrogate(int32_t unit)
{
    return unit >= 0xDC00 && unit < 0xE000;
}

int recode_utf16(char **text, const uint8_t *bytes, size_t size, bool big_endian, err *e)
{
    char *to = room_for(size / 2 + 1, 3, e);
    if (!to)
        return ERR_NO_MEMORY;
    size_t made = 0;
    for (size_t at = 0; at < size; at += 2) {
        int32_t code = unit_at(bytes, size, at, big_endian);
        if (code == 0)
            break;
        int32_t low =
            high_surrogate(code) && size - at > 2 ? unit_at(bytes, size, at + 2, big_endian) : 0;
        if (low_surrogate(low)) {
            code = BMP_END + ((code - 0xD800) << 10) + (low - 0xDC00);
            at += 2;
        } else if (high_surrogate(code) || low_surrogate(code)) {
            code = REPLACEMENT;
        }
        made += put_utf8(to + made, code);
    }
    to[made] = 0;
    *text = to;
    return 0;
}

/* Reads one code point and moves *text on; 0 at the end, ERR_INVALID where it is not UTF-8. */
static int next_code(const char **text, int32_t *code, err *e)
{
    *code = 0;
    if (!**text)
        return 0;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)*text, -1, code);
    if (used <= 0)
        return err_set(e, ERR_INVALID, "the text is not UTF-8");
    *text += used;
    return 0;
}

int recode_to_latin1(char **bytes, size_t *size, const char *text, err *e)
{
    size_t made = 0;
    int32_t code;
    char *to = room_for(strlen(text), 1, e);
    if (!to)
        return ERR_NO_MEMORY;
    int status;
    while ((status = next_code(&text, &code, e)) == 0 && code) {
        if (code >= LATIN1_END) {
            status = err_set(e, ERR_INVALID, "U+%04X is not in Latin-1", (unsigned)code);
            break;
        }
        to[made++] = (char)code;
    }
    if (status) {
        free(to);
        return status;
    }
    to[made] = 0;
    *bytes = to;
    *size = made;
    return 0;
}

int recode_to_utf16be(uint8_t **bytes, size_t *size, const char *text, err *e)
{
    size_t made = 0;
    int32_t code;
    uint8_t *to = room_for(strlen(text), 2, e); /* four bytes of UTF-8 give four of UTF-16 */
    if (!to)
        return ERR_NO_MEMORY;
    int status;
    while ((status = next_code(&text, &code, e)) == 0 && code) {
        int32_t unit = code;
        if (code >= BMP_END) {
            int32_t high = 0xD800 + ((code - BMP_END) >> 10);
            to[made++] = (uint8_t)(high >> 8);
            to[made++] = (uint8_t)high;
            unit = 0xDC00 + ((code - BMP_END) & 0x3FF);
        }
        to[made++] = (uint8_t)(unit >> 8);
        to[made++] = (uint8_t)unit;
    }
    if (status) {
        free(to);
        return status;
    }
    *bytes = to;
    *size = made;
    return 0;
}
