/* A broker with one client and one worker: see scene.h. */
#include "tests/support/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void scene_open(scene *s, const char *const *arguments)
{
    s->broker = party_start(arguments); /* before a context exists: it forks */
    s->context = zmq_ctx_new();
    party_join(&s->client, s->context, s->broker.clients, OVERPAINT__ROLE__CLIENT, "client");
    party_join(&s->worker, s->context, s->broker.workers, OVERPAINT__ROLE__WORKER, "worker");
    party_ready(&s->worker, "worker", "class A", NULL, NULL, 0);
}

void scene_close(scene *s)
{
    party_leave(&s->client);
    party_leave(&s->worker);
    zmq_ctx_term(s->context);
    party_finish(&s->broker);
}

job scene_noop(void)
{
    job j;
    job_init(&j);
    job_id_new(&j.id);
    j.task = TASK_NOOP;
    return j;
}

uint64_t scene_assign(scene *s, const job *j)
{
    party_submit(&s->client, j, 1);
    assert_false(party_expect(&s->client, BODY(ACCEPTED))->accepted->duplicate);
    return party_expect(&s->worker, BODY(ASSIGN))->assign->lease;
}

const Overpaint__Result *scene_expect_result(party *p, const job *j, Overpaint__State state)
{
    const Overpaint__Result *r = party_expect(p, BODY(RESULT))->result;
    assert_memory_equal(r->id.data, j->id.byte, JOB_ID_BYTES);
    assert_int_equal(r->state, state);
    return r;
}

void scene_expect_settled(party *p, uint64_t lease, bool stale)
{
    const Overpaint__Settled *s = party_expect(p, BODY(SETTLED))->settled;
    assert_true(s->lease == lease);
    assert_int_equal(s->stale, stale);
}
