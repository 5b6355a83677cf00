/* Characters and their classes: see unicode.h. Walks both ways, because grammars look behind. */
#include "proto/unicode.h"

#include <utf8proc.h>

enum { REPLACEMENT = 0xFFFD, UTF8_MOST = 4 };

size_t unicode_at(const char *text, const char *end, int32_t *code)
{
    if (text == end)
        return 0;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text, end - text, code);
    if (used > 0)
        return (size_t)used;
    *code = REPLACEMENT;
    return 1;
}

size_t unicode_before(const char *text, const char *start, int32_t *code)
{
    for (ptrdiff_t n = 1; n <= UTF8_MOST && n <= text - start; n++)
        if (unicode_at(text - n, text, code) == (size_t)n && (n > 1 || *code != REPLACEMENT))
            return (size_t)n;
    *code = REPLACEMENT;
    return text > start;
}

bool unicode_is_space(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return true;
    default:
        return (code >= '\t' && code <= '\r') || (code >= 0x1C && code <= 0x1F) || code == 0x85;
    }
}

bool unicode_is_word(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return code == '_';
    }
}

const char *unicode_skip_space(const char *text, const char *end)
{
    int32_t code;
    for (size_t n; (n = unicode_at(text, end, &code)) && unicode_is_space(code);)
        text += n;
    return text;
}

const char *unicode_trim_space(const char *text, const char *start)
{
    int32_t code;
    for (size_t n; (n = unicode_before(text, start, &code)) && unicode_is_space(code);)
        text -= n;
    return text;
}
