/* One JSON string (RFC 8259, section 7): see json_text.h. */
#include "proto/json_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* The letter after the backslash, and what it stands for. */
static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";

void json_text_write(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        const char *meaning = *text == '/' ? NULL : strchr(meanings, *text);
        if (meaning)
            fprintf(to, "\\%c", letters[meaning - meanings]);
        else if ((unsigned char)*text < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*text);
        else
            fputc(*text, to);
    }
    fputc('"', to);
}

static bool read_hex(const char *at, const char *end, int32_t *code)
{
    if (end - at < 4)
        return false;
    *code = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *digit = at[i] ? strchr(digits, at[i]) : NULL;
        if (!digit)
            return false;
        int value = (int)(digit - digits);
        *code = *code << 4 | (value < 16 ? value : value - 6);
    }
    return true;
}

/* \uXXXX at `at` (just after the 'u'), or a pair of them; returns the bytes taken, 0 when it is no
 * character. */
static size_t read_unicode(const char *at, const char *end, int32_t *code)
{
    int32_t low;
    if (!read_hex(at, end, code) || *code == 0 || (*code >= 0xDC00 && *code < 0xE000))
        return 0;
    if (*code < 0xD800 || *code >= 0xE000)
        return 4;
    if (end - at < 10 || at[4] != '\\' || at[5] != 'u' || !read_hex(at + 6, end, &low) ||
        low < 0xDC00 || low >= 0xE000)
        return 0;
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return 10;
}

/* An escape at `at` (just after the backslash) to `to`; returns the bytes taken, 0 when it is none.
 */
static size_t read_escape(const char *at, const char *end, char *to, size_t *made)
{
    if (at == end || !*at)
        return 0;
    if (*at == 'u') {
        int32_t code;
        size_t taken = read_unicode(at + 1, end, &code);
        if (taken)
            *made += (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)to + *made);
        return taken ? taken + 1 : 0;
    }
    const char *letter = strchr(letters, *at);
    if (letter)
        to[(*made)++] = meanings[letter - letters];
    return letter != NULL;
}

bool json_text_read(char **text, const char *bytes, size_t size)
{
    if (size < 2 || bytes[0] != '"' || bytes[size - 1] != '"')
        return false;
    char *to = malloc(size); /* no escape is shorter than what it stands for */
    if (!to)
        return false;
    size_t made = 0;
    const char *at = bytes + 1, *end = bytes + size - 1;
    while (at < end) {
        size_t taken = 1;
        if (*at == '\\')
            taken = 1 + read_escape(at + 1, end, to, &made);
        else
            to[made++] = *at;
        if ((*at == '\\' && taken == 1) || *at == '"' || (unsigned char)*at < 0x20) {
            free(to);
            return false;
        }
        at += taken;
    }
    to[made] = 0;
    *text = to;
    return true;
}
