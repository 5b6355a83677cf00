/* run: a work inside the engine: its model, its conditioning, its sequences. The engine's thread
 * alone touches it. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "worker/models.h"
#include "worker/residents.h"
#include "worker/seq.h"
#include "worker/work.h"

typedef struct run {
    struct run *next;
    work *work;
    resident *resident; /* NULL for a job without a model (noop) */
    tensor latent;      /* img2img: the encoded input, kept */
    conditioning *positive, *negative;
    int64_t h, w;      /* latent size */
    call_shape call;   /* of one row: a batch grows when more fits */
    model_costs costs; /* of such a call; its scratch is promised to the run */
    seq *first;        /* sequences on their way, or waiting to be decoded */
    int sequences;
    int begun, handed_out;  /* pictures: sequences started, pictures given to the crew */
    int evaluations, steps; /* of one picture */
    double began;           /* clock_seconds when it was admitted */
    int reported;           /* evaluations done when progress was last reported */
    int64_t preview_ms;     /* time of the last preview */
} run;

/* Takes a work in: finds and loads the model, checks that the job fits it and the memory. NULL with
 * ERR_BUSY: nothing is wrong, but jobs that run have to go first. */
run *run_new(residents *all, models *names, work *w, err *e);
void run_free(residents *all, run **r);

/* The second half of admission: encodes texts and input, which is `flops` of work. */
double run_encode_flops(const run *r);
int run_encode(residents *all, run *r, err *e);

/* Starts the sequence of the next picture; it has waited since batch `turn`. */
int run_begin(residents *all, run *r, uint64_t turn, err *e);

/* Decodes an ended sequence into a picture and frees the sequence. */
int run_decode(residents *all, run *r, seq *s, image *out, err *e);

bool run_complete(const run *r); /* every picture was handed out */
void run_progress(const run *r, work_progress *p);

#endif
