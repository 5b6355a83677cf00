/* bench_broker: what the broker alone costs. Clients submit jobs that do nothing and keep
 * `--window` of them in flight; a worker in this process answers at once, with `--bytes` of
 * picture. The broker is the real program, over ipc. Two rows of JSON: pipelined as asked for, and
 * one client with one job at a time. Times are from SUBMIT to RESULT; broker_cpu_us, the broker's
 * processor time a job, is what other work on the machine disturbs least. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/clock.h"
#include "proto/option.h"
#include "tests/support/party.h"

enum { CLIENTS_MAX = 256, CREDIT = 64, BEAT_MS = 500, LATE_MS = 10000 };

#define BODY(name) OVERPAINT__HEADER__BODY_##name

/* ---------------------------------------------------------------- the worker */

typedef struct {
    party p;
    char *picture;
    atomic_bool stop;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    for (int64_t beat_ms = 0; !atomic_load(&w->stop);) {
        const wire_header *h = party_receive(&w->p, BEAT_MS);
        if (h && h->body_case == BODY(ASSIGN))
            party_done(&w->p, h->assign->lease, "bench", w->picture);
        if (clock_ms() - beat_ms < BEAT_MS)
            continue;
        beat_ms = clock_ms();
        party_beat(&w->p, NULL, 0);
    }
    return NULL;
}

/* ---------------------------------------------------------------- the clients */

/* One measurement. A job's id is its number, so that a result finds its start. */
typedef struct {
    int clients, window;
    uint32_t jobs, next, done;
    uint32_t tag; /* ids differ from those of another measurement */
    double *start, *seconds;
    party *client;
} load;

static void submit_one(load *l, party *p)
{
    job j;
    job_init(&j);
    j.task = TASK_NOOP;
    const uint32_t id[] = {l->next, l->tag};
    memcpy(j.id.byte, id, sizeof id);
    l->start[l->next++] = clock_seconds();
    party_submit(p, &j, 1);
}

/* False when the broker refused a job. */
static bool take_one(load *l, party *p, const wire_header *h)
{
    uint32_t number;
    job_id id;
    if (h->body_case != BODY(RESULT))
        return h->body_case == BODY(ACCEPTED);
    if (!wire_id(&id, &h->result->id))
        return false;
    memcpy(&number, id.byte, sizeof number);
    l->seconds[number] = clock_seconds() - l->start[number];
    l->done++;
    party_by_id(p, BODY(ACK), &id);
    if (l->next < l->jobs)
        submit_one(l, p);
    return true;
}

static int run_load(load *l, err *e)
{
    zmq_pollitem_t item[CLIENTS_MAX];
    for (int i = 0; i < l->clients; i++)
        item[i] = (zmq_pollitem_t){l->client[i].socket, 0, ZMQ_POLLIN, 0};
    for (int n = 0; n < l->window; n++)
        for (int i = 0; i < l->clients && l->next < l->jobs; i++)
            submit_one(l, &l->client[i]);
    while (l->done < l->jobs) {
        if (zmq_poll(item, l->clients, LATE_MS) <= 0)
            return err_set(e, ERR_TIMEOUT, "%u of %u jobs came back", l->done, l->jobs);
        for (int i = 0; i < l->clients; i++)
            for (const wire_header *h; (h = party_receive(&l->client[i], 0));)
                if (!take_one(l, &l->client[i], h))
                    return err_set(e, ERR_BUSY, "the broker answered %d", (int)h->body_case);
    }
    return 0;
}

/* ---------------------------------------------------------------- figures */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cpu_seconds(pid_t pid)
{
    struct timespec t = {0};
    clockid_t id;
    if (!clock_getcpuclockid(pid, &id))
        clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Prints one row. */
static int measure(pid_t broker, party *client, int clients, int window, uint32_t jobs,
                   uint32_t tag, err *e)
{
    load l = {.clients = clients, .window = window, .jobs = jobs, .tag = tag, .client = client};
    l.start = calloc(jobs, sizeof *l.start);
    l.seconds = calloc(jobs, sizeof *l.seconds);
    const double start = clock_seconds(), cpu = cpu_seconds(broker);
    int rc = l.start && l.seconds ? run_load(&l, e)
                                  : err_set(e, ERR_NO_MEMORY, "no memory for %u jobs", jobs);
    const double seconds = clock_seconds() - start;
    if (!rc) {
        qsort(l.seconds, jobs, sizeof *l.seconds, compare);
        printf(
            "{\"clients\": %d, \"window\": %d, \"jobs\": %u, \"jobs_per_s\": %.0f, "
            "\"median_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"broker_cpu_us\": %.1f}\n",
            clients, window, jobs, jobs / seconds, l.seconds[jobs / 2] * 1e3,
            l.seconds[jobs / 10 * 9] * 1e3, l.seconds[jobs / 100 * 99] * 1e3,
            (cpu_seconds(broker) - cpu) / jobs * 1e6);
    }
    free(l.start);
    free(l.seconds);
    return rc;
}

/* ---------------------------------------------------------------- the program */

static int run(int clients, int window, uint32_t jobs, size_t bytes, err *e)
{
    static party client[CLIENTS_MAX];
    party_broker broker = party_start((const char *[]){"--log-level", "warn", NULL});
    void *context = zmq_ctx_new(); /* after the fork */
    worker w = {.picture = malloc(bytes + 1)};
    pthread_t thread;
    if (!w.picture)
        return err_set(e, ERR_NO_MEMORY, "no memory for a picture of %zu bytes", bytes);
    memset(w.picture, 'x', bytes);
    w.picture[bytes] = 0;
    party_join(&w.p, context, broker.workers, OVERPAINT__ROLE__WORKER, "bench");
    party_ready(&w.p, "bench", "bench", NULL, NULL, 0);
    party_credit(&w.p, CREDIT);
    pthread_create(&thread, NULL, work, &w);
    for (int i = 0; i < clients; i++)
        party_join(&client[i], context, broker.clients, OVERPAINT__ROLE__CLIENT, "bench");
    int rc = measure(broker.pid, client, clients, window, jobs, 1, e);
    if (!rc)
        rc = measure(broker.pid, client, 1, 1, jobs / 10 + 1, 2, e);
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    for (int i = 0; i < clients; i++)
        party_leave(&client[i]);
    party_leave(&w.p);
    zmq_ctx_term(context);
    party_finish(&broker);
    free(w.picture);
    return rc;
}

int main(int argc, char **argv)
{
    int64_t clients, window, jobs, bytes;
    const option table[] = {{"clients", OPTION_INT, &clients, .fallback = "8", .least = 1,
                             .most = CLIENTS_MAX, .help = "connections"},
                            {"window", OPTION_INT, &window, .fallback = "16", .least = 1,
                             .most = 1000, .help = "jobs in flight of each client"},
                            {"jobs", OPTION_INT, &jobs, .fallback = "100000", .least = 100,
                             .most = 1e8,
                             .help = "of all clients together; one at a time: a tenth of them"},
                            {"bytes", OPTION_BYTES, &bytes, .fallback = "0", .least = 0,
                             .most = 1 << 24, .help = "of a result's picture"},
                            {0}};
    option_result words;
    err e = {0};
    if (!option_parse(table, argc, argv, &words, &e) && words.help) {
        option_help(stdout, "bench_broker [options]", table);
        return 0;
    }
    if (!e.code)
        run((int)clients, (int)window, (uint32_t)jobs, (size_t)bytes, &e);
    if (e.code)
        fprintf(stderr, "bench_broker: %s\n", e.text);
    return e.code ? 1 : 0;
}
