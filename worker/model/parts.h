/* The weights of a model as parts that are not needed at the same time, and how much of them is on
 * the device: all (memory mode high), one part (medium), or of the UNet not even that (low). What
 * is not there waits, packed, in a stock of the host's. Weights have one address each for as long
 * as the model is loaded, but several may have the same one. */
#ifndef WORKER_MODEL_PARTS_H
#define WORKER_MODEL_PARTS_H

#include "kernels/stock.h"
#include "proto/err.h"

typedef enum { MEMORY_HIGH, MEMORY_MEDIUM, MEMORY_LOW, MEMORY_MODES } memory_mode;

/* "high", "medium", "low", NULL. */
extern const char *const memory_mode_words[];

typedef enum { PART_TEXT, PART_UNET, PART_ENCODER, PART_DECODER, PART_WIDE, PARTS } model_part;

enum { PIECES_MAX = 160 };

/* Weights that are fetched at once. */
typedef struct {
    model_part of;
    bool turns;         /* in mode low it shares its place with others of its part */
    size_t bytes;       /* as the device has them */
    size_t at, stocked; /* where they are on the device, and in the stock */
} model_piece;

typedef struct {
    memory_mode mode;
    size_t bytes[MEMORY_MODES]; /* what the device has to have in each mode */
    model_piece piece[PIECES_MAX];
    int pieces;
    model_part present; /* PARTS: none, or all */
    stock stock;
    arena *whole, window; /* while loading: the memory of all, and of the next piece */
    int next;
} model_parts;

/* "; it fits with --memory medium" when the first mode after `mode` to take at least `less` bytes
 * less for weights is that; "" when there is none. */
void memory_mode_advise(char *to, size_t size, const size_t bytes[MEMORY_MODES], memory_mode mode,
                        int64_t less);

/* ---- loading: twice the same pieces, on a dry device and then on one of the same options ---- */

/* With the device dry: counts. Else `whole` is bytes[mode] large, and gets its memory here. */
int parts_open(model_parts *p, dev *d, arena *whole, err *e);
/* The weights that come next are this piece, and are taken from the arena that is returned. */
arena *parts_next(model_parts *p, dev *d, model_part of, bool turns);
/* Everything has been taken and packed. */
void parts_loaded(model_parts *p, dev *d);
void parts_close(model_parts *p);

/* Where a part is, as one piece; in mode high. */
model_piece parts_range(const model_parts *p, model_part of);

/* ---- using ---- */

/* Has the weights of this part on the device. Belongs before its network, and before a dev_run. */
void parts_enter(model_parts *p, dev *d, model_part of);

/* Pieces that take turns: the first one is called, then each arrives before its use, and meanwhile
 * calls the one behind it. They belong into the walk, and do nothing but in mode low. NULL: there
 * are no parts. */
void parts_call(const model_parts *p, dev *d, int number);
void parts_arrive(const model_parts *p, dev *d, int number);

#endif
