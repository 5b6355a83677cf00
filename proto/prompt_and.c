/* AND: the parts of a prompt and their weights. Parts are cut before anything else is read, so an
 * AND inside brackets breaks these (as the web UI does it). */
#include <math.h>
#include <string.h>

#include "proto/prompt_grammar.h"
#include "proto/text.h"
#include "proto/unicode.h"

bool prompt_number(const char *text, const char *end, double *value)
{
    text = unicode_skip_space(text, end);
    end = unicode_trim_space(end, text);
    char number[PROMPT_NUMBER_MAX + 1];
    const size_t size = (size_t)(end - text);
    if (size > PROMPT_NUMBER_MAX)
        return false;
    memcpy(number, text, size);
    number[size] = 0;
    return text_real(number, value);
}

/* A part ends with ": weight", or not. An exponent is not part of a weight. */
static prompt_slice read_part(const char *text, const char *end)
{
    prompt_slice s = {text, unicode_trim_space(end, text), 1};
    const char *colon = memrchr(text, ':', (size_t)(end - text));
    if (colon && !memchr(colon, 'e', (size_t)(end - colon)) &&
        !memchr(colon, 'E', (size_t)(end - colon)) && prompt_number(colon + 1, end, &s.weight))
        s.end = unicode_trim_space(colon, text);
    return s;
}

int prompt_split(prompt_slice part[PROMPT_PARTS_MAX], int *parts, const char *text,
                 prompt_role role, err *e)
{
    static const char word[] = "AND";
    const char *end = text + strlen(text), *from = text, *found = NULL;
    *parts = 0;
    if (role == PROMPT_POSITIVE)
        found = prompt_find_word(word, text, text, end);
    if (!found) { /* nothing is a weight here: "a clock at 12:30" */
        part[(*parts)++] = (prompt_slice){text, end, 1};
        return 0;
    }
    while (*parts < PROMPT_PARTS_MAX) {
        prompt_slice *p = &part[(*parts)++];
        *p = read_part(from, found ? found : end);
        if (!(fabs(p->weight) <= PROMPT_WEIGHT_MAX))
            return err_set(e, ERR_INVALID,
                           "the weight of part %d of the prompt is %g, expected -%d to %d", *parts,
                           p->weight, PROMPT_WEIGHT_MAX, PROMPT_WEIGHT_MAX);
        if (!found)
            return 0;
        from = found + sizeof word - 1;
        found = prompt_find_word(word, text, from, end);
    }
    return err_set(e, ERR_TOO_LARGE,
                   "the prompt has more than %d parts joined by AND, expected at most that",
                   PROMPT_PARTS_MAX);
}
