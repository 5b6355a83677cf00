/* The vocabulary as it was published, gzip and all, put into the program by the assembler: no file
 * to find at run time, no generated source. CMakeLists.txt gives the assembler the source root. */
#include "worker/model/vocabulary.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

__asm__(".pushsection .rodata\n"
        "vocabulary_file:\n"
        ".incbin \"worker/model/clip_vocabulary/bpe_simple_vocab_16e6.txt.gz\"\n"
        "vocabulary_file_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const unsigned char vocabulary_file[], vocabulary_file_end[];

/* The header line and VOCABULARY_MERGES lines are 524,631 bytes; what follows is never inflated. */
enum { TEXT_BYTES = 544 * 1024, GZIP_WINDOW = 15 + 16 };

static bool inflate_start(char *text, size_t size)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)vocabulary_file,
                  .avail_in = (unsigned)(vocabulary_file_end - vocabulary_file),
                  .next_out = (unsigned char *)text,
                  .avail_out = (unsigned)size};
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return false;
    int status = inflate(&z, Z_SYNC_FLUSH);
    bool full = z.avail_out == 0;
    inflateEnd(&z);
    assert(full || status == Z_MEM_ERROR); /* the file is ours: it cannot be damaged */
    return full;
}

int vocabulary_read(char **lines, err *e)
{
    char *text = malloc(TEXT_BYTES + 1);
    if (!text || !inflate_start(text, TEXT_BYTES)) {
        free(text);
        return err_set(e, ERR_NO_MEMORY, "no memory for the CLIP vocabulary");
    }
    text[TEXT_BYTES] = 0;
    char *first = strchr(text, '\n');
    assert(first);
    char *end = ++first;
    for (int i = 0; i < VOCABULARY_MERGES; i++) {
        end = strchr(end, '\n');
        assert(end);
        end++;
    }
    *end = 0;
    memmove(text, first, (size_t)(end - first) + 1);
    *lines = text;
    return 0;
}
