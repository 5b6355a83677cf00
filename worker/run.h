/* run: a work inside the engine: its model, its conditioning, its sequences. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "worker/engine.h"
#include "worker/residents.h"
#include "worker/seq.h"

typedef struct run {
    struct run *next;
    work *work;
    resident *resident; /* NULL for a job without a model (noop) */
    tensor latent;      /* img2img: the encoded input, kept */
    conditioning *positive, *negative;
    int64_t h, w; /* latent size */
    seq *first;   /* sequences on their way */
    int sequences;
    int begun, handed_out; /* pictures: sequences started, pictures given to the crew */
    int evaluations_done;  /* over all pictures */
    int evaluations;       /* of one picture */
    double began;          /* clock_seconds at the first evaluation */
    int64_t preview_ms;    /* time of the last preview */
} run;

/* Takes a work in: finds and loads the model, checks that the job fits it and the memory, encodes
 * texts and input. NULL with ERR_BUSY: nothing is wrong, but models in use have to go first. */
run *run_new(residents *all, models *names, work *w, err *e);
void run_free(residents *all, run **r);

/* Starts sequences for pictures that are not begun, at most `most`; returns how many. An error is
 * the work's. */
int run_begin(residents *all, run *r, int most, bool preview, err *e);

/* Decodes an ended sequence into a picture and frees the sequence. */
int run_decode(residents *all, run *r, seq *s, image *out, err *e);

bool run_complete(const run *r); /* every picture was handed out */
void run_progress(const run *r, work_progress *p);

#endif
