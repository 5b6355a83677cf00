/* Any command line: words are what stands between NUL bytes of the input. Whatever is accepted must
 * be within the bounds of its row, and --help must be printable. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/option.h"

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const choices[] = {"nv", "cpu", NULL};
    bool flag = false, given = false;
    int64_t whole, bytes;
    double real;
    const char *text;
    int choice;
    const option table[] = {
        {"flag", OPTION_FLAG, &flag, .help = "a flag"},
        {"int", OPTION_INT, &whole, .fallback = "20", .least = 1, .most = 150, .help = "a number"},
        {"real", OPTION_REAL, &real, .fallback = "0.5", .least = 0, .most = 1, .help = "a share"},
        {"bytes", OPTION_BYTES, &bytes, .fallback = "1G", .least = 1, .most = 0x1p62,
         .help = "memory"},
        {"text", OPTION_TEXT, &text, .fallback = "", .help = "any text", .given = &given},
        {"choice", OPTION_CHOICE, &choice, .fallback = "nv", .choices = choices, .help = "a name"},
        {0}};

    char *words = malloc(size + 1), *argv[WORDS_MAX + 2];
    assert(words);
    if (size)
        memcpy(words, data, size);
    words[size] = 0;
    int argc = 0;
    argv[argc++] = (char *)"program";
    for (size_t at = 0; at < size && argc <= WORDS_MAX; at += strlen(words + at) + 1)
        argv[argc++] = words + at;
    argv[argc] = NULL;

    option_result result;
    err e = {0};
    int rc = option_parse(table, argc, argv, &result, &e);
    assert(rc == (int)e.code && (rc == 0 || (rc == ERR_INVALID && e.text[0])));
    assert(whole >= 1 && whole <= 150);
    assert(real >= 0 && real <= 1);
    assert(bytes >= 1 && bytes <= 1LL << 62);
    assert(choice == 0 || choice == 1);
    assert(text && (given || !*text));
    assert(result.operands >= 0 && result.operands <= OPTION_OPERANDS_MAX);
    free(words);
    return 0;
}
