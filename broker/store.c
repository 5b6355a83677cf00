/* Records, and the calls of store.h passed on to the kind of store. */
#include "broker/store.h"

#include <stdlib.h>

#include "proto/wire.h"

bool store_record_make(store_record *to, zmq_msg_t *message, zmq_msg_t *payload, size_t count)
{
    *to = (store_record){.frame = malloc((count + 1) * sizeof *to->frame)};
    if (!to->frame)
        return false;
    to->frames = count + 1;
    for (size_t i = 0; i <= count; i++) {
        zmq_msg_init(&to->frame[i]);
        zmq_msg_move(&to->frame[i], i ? &payload[i - 1] : message);
    }
    return true;
}

bool store_record_share(store_record *to, const store_record *from)
{
    *to = (store_record){.frame = malloc(from->frames * sizeof *to->frame)};
    if (!to->frame)
        return false;
    to->frames = from->frames;
    wire_frames_copy(to->frame, from->frame, from->frames);
    return true;
}

size_t store_record_bytes(const store_record *r)
{
    size_t total = 0;
    for (size_t i = 0; i < r->frames; i++)
        total += zmq_msg_size(&r->frame[i]);
    return total;
}

void store_record_done(store_record *r)
{
    wire_frames_close(r->frame, r->frames);
    free(r->frame);
    *r = (store_record){.frames = 0};
}

void store_free(store **s)
{
    if (*s)
        (*s)->kind->free(*s);
    *s = NULL;
}

int store_append(store *s, const job_id *id, store_record *r, store_ticket *t, err *e)
{
    return s->kind->append(s, id, r, t, e);
}

int store_take(store *s, const job_id *id, uint32_t attempt, store_ticket *t, err *e)
{
    return s->kind->take(s, id, attempt, t, e);
}

int store_settle(store *s, const job_id *id, store_record *result, store_ticket *t, err *e)
{
    return s->kind->settle(s, id, result, t, e);
}

int store_forget(store *s, const job_id *id, err *e)
{
    return s->kind->forget(s, id, e);
}

int store_read(store *s, const job_id *id, store_part part, store_record *to, err *e)
{
    return s->kind->read(s, id, part, to, e);
}

store_ticket store_durable(store *s)
{
    return s->kind->durable(s);
}

int store_descriptor(store *s)
{
    return s->kind->descriptor(s);
}

int store_replay(store *s, store_visit *visit, void *arg, err *e)
{
    return s->kind->replay(s, visit, arg, e);
}
