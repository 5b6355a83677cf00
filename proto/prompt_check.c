/* What is refused before a job starts. A tag of an extra network is one by the rules of web UIs;
 * where they would not see one ("a < b: c > d"), the text is fine. */
#include <string.h>

#include "proto/prompt_grammar.h"
#include "proto/unicode.h"

enum { EXCERPT_BYTES = 48 };

static int refuse(const char *what, const char *text, const char *at, const char *end, err *e)
{
    int shown = (int)(end - at);
    if (shown > EXCERPT_BYTES) {
        shown = EXCERPT_BYTES;
        while (shown && (at[shown] & 0xC0) == 0x80) /* not within a character */
            shown--;
    }
    return err_set(e, ERR_INVALID,
                   "the prompt uses %s at byte %zu (%.*s%s), which is not supported yet", what,
                   (size_t)(at - text), shown, at, at + shown < end ? "..." : "");
}

/* <name:anything>: a tag of an extra network. */
static int check_tags(const char *text, const char *end, err *e)
{
    for (const char *at = text; (at = strchr(at, '<')); at++) {
        const char *colon = at + 1;
        int32_t code;
        for (size_t n; (n = unicode_at(colon, end, &code)) && unicode_is_word(code);)
            colon += n;
        if (colon == at + 1 || *colon != ':')
            continue;
        const char *close = strchr(colon, '>');
        if (!close)
            return 0; /* no later tag is closed either */
        if (close > colon + 1)
            return refuse("an extra network", text, at, close + 1, e);
    }
    return 0;
}

int prompt_check(const char *text, prompt_role role, err *e)
{
    prompt parsed;
    prompt_slice part[PROMPT_PARTS_MAX];
    int parts, status = prompt_parse(&parsed, text, e); /* depth, UTF-8, weights */
    prompt_done(&parsed);
    if (status == 0)
        status = prompt_split(part, &parts, text, role, e);
    return status ? status : check_tags(text, text + strlen(text), e);
}
