/* A farm for tests: the real broker and workers over ipc in a temporary folder, with the small
 * models, and the real command beside them. */
#ifndef TESTS_SUPPORT_FARM_H
#define TESTS_SUPPORT_FARM_H

#include <jansson.h>

#include "client/client.h"
#include "tests/support/process.h"

enum { FARM_WORKERS_MAX = 3, FARM_OUTPUT = 16384 };

typedef struct {
    int workers;
    double seconds;            /* the whole test may take so long; 0: 150 */
    const char *const *broker; /* further options, or NULL */
    const char *const *worker; /* the same; NULL: one thread, or --device $OVERPAINT_BACKEND */
} farm_options;

typedef struct {
    farm_options options;
    char folder[64], endpoint[PROCESS_PATH];
    double deadline;
    process broker, worker[FARM_WORKERS_MAX];
    char name[FARM_WORKERS_MAX][32]; /* every start has another */
    int starts;
    overpaint *o; /* the test's own connection */
    bool passed;  /* set at the end of a test: else farm_close shows what the programs wrote */
} farm;

/* Starts a broker and the workers and waits until all are ready. The farm is *state at once, so
 * that farm_teardown ends it however the test ends. With workers = -1 nothing is started. */
farm *farm_open(void **state, const farm_options *o);
int farm_teardown(void **state); /* a cmocka teardown */

#define farm_test(function) cmocka_unit_test_teardown(function, farm_teardown)

void farm_start_broker(farm *f);
void farm_start_worker(farm *f, int i);
void farm_wait_workers(farm *f, int count); /* until so many are ready, no more and no less */

/* Waits a little, at most `ms`, taking messages; fails the test when its time is over. */
void farm_turn(farm *f, int ms);
#define FARM_UNTIL(f, condition)                                                                   \
    while (!(condition))                                                                           \
    farm_turn(f, 10)

/* "folder/name"; the text lives in `to`. */
const char *farm_path(const farm *f, char to[PROCESS_PATH], const char *name);
/* The same for a file of tests/golden. */
const char *farm_golden(char to[1024], const char *name);

/* ---- status ---- */

json_t *farm_status(farm *f); /* of the service; the caller decrefs */
long long farm_count(farm *f, const char *counter);
long long farm_total(farm *f, const char *key); /* "queued", "running", "kept" */
/* True when worker `i`, as it was started last, runs the job (NULL: any) and has done `steps`. */
bool farm_runs(farm *f, int i, const overpaint_id *id, int steps);
/* One job's state ("queued", …); "unknown" when the broker does not know it. `steps_done` may be
 * NULL. */
const char *farm_job_state(farm *f, const overpaint_id *id, int *steps_done);

/* ---- jobs through the library ---- */

/* NULL-ended list of names and values; "task" and "input" (a file) are
 * understood too. Small, quick and seeded unless said otherwise: txt2img, 64x64, 4 steps, seed 1.
 */
overpaint_id farm_submit(farm *f, overpaint *o, const char *const *settings);

typedef struct {
    unsigned char *bytes;
    size_t size;
} farm_file;

/* Waits for the job, which has to finish; a copy of its first picture. The job is forgotten. */
farm_file farm_result(farm *f, overpaint *o, const overpaint_id *id);
farm_file farm_make(farm *f, const char *const *settings); /* both */
void farm_file_done(farm_file *a);
/* Fails with `what` unless the bytes are the same. */
void farm_same(const farm_file *a, const farm_file *b, const char *what);

/* ---- the command ---- */

typedef struct {
    int exit;
    char out[FARM_OUTPUT], err[FARM_OUTPUT];
} farm_outcome;

/* Runs `overpaint WORDS`; the endpoint is in its environment. */
farm_outcome farm_command(farm *f, const char *const *words);
/* The same in the background; its output goes to files named after `name`. */
void farm_start_command(farm *f, process *p, const char *name, const char *const *words);
/* Fails unless the command ended with `exit` and its standard error has `text`. */
void farm_expect(const farm_outcome *o, int exit, const char *text);

#endif
