/* Any bytes as a picture file and as an EXIF block. A text that is found is UTF-8; a comment can be
 * written and read again. */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/exif.h"
#include "proto/infotext.h"
#include "proto/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_comment(const char *text)
{
    uint8_t *block = NULL;
    size_t size;
    char *again = NULL;
    int status = exif_write_user_comment(&block, &size, text, NULL);
    assert(status == 0);
    status = exif_user_comment(&again, block, size, NULL);
    /* A mark at the start is taken as such; text that looks more like the other order is misread.
     */
    assert(status == 0 && text_is_utf8(again, strlen(again), NULL));
    assert(exif_orientation(block, size) == 1);
    free(again);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = NULL;
    err e = {0};
    int status = metadata_parameters(&text, data, size, &e);
    assert(status == (int)e.code && (status == 0) == (text != NULL));
    if (text) {
        assert(text_is_utf8(text, strlen(text), NULL));
        check_comment(text);
    }
    free(text);
    text = NULL;
    int orientation = exif_orientation(data, size);
    assert(orientation >= 1 && orientation <= 8);
    if (exif_user_comment(&text, data, size, NULL) == 0)
        check_comment(text);
    free(text);
    return 0;
}
