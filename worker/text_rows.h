/* text_rows: the texts of a UNet call's rows side by side, where they may stay from one call to the
 * next: a row is then copied only when it sees another text than before. */
#ifndef WORKER_TEXT_ROWS_H
#define WORKER_TEXT_ROWS_H

#include <stdint.h>

#include "kernels/dev.h"

enum { TEXT_ROWS_MAX = 16 };

/* A text of unet_text. */
typedef struct {
    tensor text; /* [1,1,tokens,c] */
    int32_t tokens;
    uint64_t number; /* no other text of the device ever has it; 0: it has none */
} text_row;

/* Zeroed: nothing. Who drops `place` zeroes the rest with it. */
typedef struct {
    tensor place;                 /* kept, of the largest call so far */
    int64_t tokens, width;        /* of a row in it, and */
    uint64_t seen[TEXT_ROWS_MAX]; /* the number of the text there; 0: none that is known */
} text_rows;

/* The texts as unet_forward takes them, [rows,1,longest,c]; beyond a row's own tokens nothing is
 * written. In `kept`, made larger where it must be, or (NULL) on the scratch stack. */
tensor text_rows_join(text_rows *kept, dev *d, const text_row *row, int rows);

#endif
