/* The stage of most tests of the broker: its process, one client and one worker. What fails ends
 * the test. */
#ifndef TESTS_SUPPORT_SCENE_H
#define TESTS_SUPPORT_SCENE_H

#include "tests/support/party.h"

#define BODY(name) OVERPAINT__HEADER__BODY_##name

typedef struct {
    void *context;
    party_broker broker;
    party client, worker;
} scene;

/* Starts the broker with these further arguments (NULL-ended); the client is connected, the worker
 * ready, of "class A" and without credit. */
void scene_open(scene *s, const char *const *arguments);
void scene_close(scene *s);

/* A job that needs no engine, with an id of its own. */
job scene_noop(void);

/* The client submits the job; the lease under which the worker, which has credit, gets it. */
uint64_t scene_assign(scene *s, const job *j);

/* The next result is this job's, in this state. */
const Overpaint__Result *scene_expect_result(party *p, const job *j, Overpaint__State state);
/* The next lease settled is this one. */
void scene_expect_settled(party *p, uint64_t lease, bool stale);

#endif
