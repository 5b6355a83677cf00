/* Text: see text.h. Numbers are checked against their grammar here before the C library converts
 * them, because its own grammar is wider than what people may type (" 0x1p3", "nan", "1,5"). */
#include "proto/text.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

enum { DISTANCE_BYTES = 64 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *c)
{
    while (is_digit(*c))
        c++;
    return c;
}

static const char *skip_sign(const char *c)
{
    return *c == '+' || *c == '-' ? c + 1 : c;
}

bool text_whole(const char *text, int64_t *value)
{
    _Static_assert(sizeof(long long) == sizeof(int64_t), "strtoll returns an int64_t");
    const char *digits = skip_sign(text), *end = skip_digits(digits);
    if (end == digits || *end)
        return false;
    errno = 0;
    long long n = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *value = n;
    return true;
}

/* sign? (digits ('.' digits?)? | '.' digits) (('e' | 'E') sign? digits)? */
static bool is_real(const char *text)
{
    const char *digits = skip_sign(text), *c = skip_digits(digits);
    size_t count = (size_t)(c - digits);
    if (*c == '.') {
        const char *end = skip_digits(c + 1);
        count += (size_t)(end - (c + 1));
        c = end;
    }
    if (count == 0)
        return false;
    if (*c == 'e' || *c == 'E') {
        const char *exponent = skip_sign(c + 1);
        c = skip_digits(exponent);
        if (c == exponent)
            return false;
    }
    return *c == 0;
}

bool text_real(const char *text, double *value)
{
    if (!is_real(text))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    double x = strtod_l(text, NULL, c);
    freelocale(c);
    if (!isfinite(x))
        return false;
    *value = x;
    return true;
}

bool text_is_utf8(const char *bytes, size_t size, size_t *at)
{
    size_t done = 0;
    while (done < size) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)bytes + done,
                                              (utf8proc_ssize_t)(size - done), &code);
        if (n <= 0) {
            if (at)
                *at = done;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

char text_lower_ascii(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_same(const char *a, const char *b)
{
    while (*a && text_lower_ascii(*a) == text_lower_ascii(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

static int least_of(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

int text_distance(const char *a, const char *b)
{
    /* row[j]: edits that turn the part of `a` read so far into the first j bytes of `b` */
    int row[DISTANCE_BYTES + 1];
    int rows = (int)strnlen(a, DISTANCE_BYTES), columns = (int)strnlen(b, DISTANCE_BYTES);
    for (int j = 0; j <= columns; j++)
        row[j] = j;
    for (int i = 1; i <= rows; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= columns; j++) {
            int replaced = diagonal + (text_lower_ascii(a[i - 1]) != text_lower_ascii(b[j - 1]));
            diagonal = row[j];
            row[j] = least_of(replaced, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[columns];
}

const char *text_nearest(const char *word, const char *const *list)
{
    const char *nearest = NULL;
    int least = INT_MAX;
    for (; *list; list++) {
        int distance = text_distance(word, *list);
        if (distance < least) {
            least = distance;
            nearest = *list;
        }
    }
    return nearest;
}
