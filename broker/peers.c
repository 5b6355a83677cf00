/* Connections: see peers.h. */
#include "broker/peers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/idmap.h"

struct peer_message {
    peer_message *next;
    store_record record;
    size_t bytes;
    store_ticket ticket;
    bool progress;
};

enum { WAITING, LOST }; /* the lists */

struct peers {
    void *socket[SIDES];
    peer *slot[SIDES * PEERS_MAX];
    uint32_t generation, used; /* used: slots that were ever in use */
    uint32_t free[SIDES * PEERS_MAX], frees;
    idmap by_route[SIDES];
    peer *oldest[SIDES], *newest[SIDES];
    peer *list[2];
    store_ticket durable;
    size_t bytes; /* waiting */
    peers_counts counts;
};

peers *peers_new(void *const socket[SIDES])
{
    peers *ps = calloc(1, sizeof *ps);
    for (int s = 0; ps && s < SIDES; s++)
        ps->socket[s] = socket[s];
    return ps;
}

void peers_free(peers **at)
{
    peers *ps = *at;
    if (!ps)
        return;
    for (uint32_t i = 0; i < ps->used; i++)
        if (ps->slot[i])
            peers_remove(ps, ps->slot[i]);
    for (int s = 0; s < SIDES; s++)
        idmap_done(&ps->by_route[s]);
    free(ps);
    *at = NULL;
}

/* ---------------------------------------------------------------- who is there */

static job_id route_key(const wire_peer *route)
{
    job_id key;
    static_assert(sizeof *route == sizeof key, "a routing id makes a key");
    memcpy(&key, route, sizeof key);
    return key;
}

static void unlink_age(peers *ps, peer *p)
{
    *(p->older ? &p->older->newer : &ps->oldest[p->side]) = p->newer;
    *(p->newer ? &p->newer->older : &ps->newest[p->side]) = p->older;
    p->older = p->newer = NULL;
}

static void link_newest(peers *ps, peer *p)
{
    p->older = ps->newest[p->side];
    p->newer = NULL;
    *(p->older ? &p->older->newer : &ps->oldest[p->side]) = p;
    ps->newest[p->side] = p;
}

peer *peers_find(peers *ps, peer_side side, const wire_peer *route)
{
    const job_id key = route_key(route);
    uint32_t slot;
    if (!idmap_get(&ps->by_route[side], &key, &slot))
        return NULL;
    peer *p = ps->slot[slot];
    unlink_age(ps, p);
    link_newest(ps, p);
    return p;
}

static void lose(peers *ps, peer *p)
{
    if (p->lost)
        return;
    p->lost = true;
    p->next[LOST] = ps->list[LOST];
    ps->list[LOST] = p;
}

peer *peers_add(peers *ps, peer_side side, const wire_peer *route)
{
    if (ps->by_route[side].count >= PEERS_MAX) {
        peer *oldest = ps->oldest[side];
        ps->counts.peers_overflowed++;
        lose(ps, oldest);
    }
    if (!ps->frees && ps->used == SIDES * PEERS_MAX)
        return NULL; /* until the lost are removed */
    const uint32_t slot = ps->frees ? ps->free[ps->frees - 1] : ps->used;
    const job_id key = route_key(route);
    peer *p = calloc(1, sizeof *p);
    if (!p || !idmap_set(&ps->by_route[side], &key, slot)) {
        free(p);
        return NULL;
    }
    if (ps->frees)
        ps->frees--;
    else
        ps->used++;
    p->handle = (uint64_t)++ps->generation << 32 | (slot + 1);
    p->side = side;
    p->route = *route;
    p->last = &p->first;
    ps->slot[slot] = p;
    link_newest(ps, p);
    return p;
}

peer *peers_get(peers *ps, queue_peer handle)
{
    const uint32_t slot = (uint32_t)handle - 1;
    peer *p = slot < ps->used ? ps->slot[slot] : NULL;
    return p && p->handle == handle ? p : NULL;
}

size_t peers_count(const peers *ps, peer_side side)
{
    return ps->by_route[side].count;
}

peers_counts peers_get_counts(const peers *ps)
{
    return ps->counts;
}

peer *peers_next_lost(peers *ps)
{
    return ps->list[LOST];
}

/* ---------------------------------------------------------------- what waits */

static void free_message(peers *ps, peer *p, peer_message *m)
{
    p->messages--;
    p->bytes -= m->bytes;
    ps->bytes -= m->bytes;
    store_record_done(&m->record);
    free(m);
}

static void drop_first(peers *ps, peer *p)
{
    peer_message *m = p->first;
    p->first = m->next;
    if (!p->first)
        p->last = &p->first;
    free_message(ps, p, m);
}

static void unlink_from(peers *ps, int list, const peer *p)
{
    peer **at = &ps->list[list];
    while (*at && *at != p)
        at = &(*at)->next[list];
    if (*at)
        *at = p->next[list];
}

void peers_remove(peers *ps, peer *p)
{
    const job_id key = route_key(&p->route);
    const uint32_t slot = (uint32_t)p->handle - 1;
    while (p->first)
        drop_first(ps, p);
    unlink_from(ps, WAITING, p);
    unlink_from(ps, LOST, p);
    unlink_age(ps, p);
    idmap_remove(&ps->by_route[p->side], &key);
    if (p->ready)
        overpaint__header__free_unpacked(p->ready, NULL);
    if (p->beat)
        overpaint__header__free_unpacked(p->beat, NULL);
    ps->slot[slot] = NULL;
    ps->free[ps->frees++] = slot;
    free(p);
}

/* Drops waiting progress, the oldest first, until the message fits. */
static bool make_room(peers *ps, peer *p, size_t bytes)
{
    peer_message **at = &p->first;
    while (p->messages >= PEER_MESSAGES_MAX || p->bytes + bytes > PEER_BYTES_MAX) {
        while (*at && !(*at)->progress)
            at = &(*at)->next;
        if (!*at)
            return p->messages == 0; /* one message always fits */
        peer_message *m = *at;
        *at = m->next;
        if (p->last == &m->next)
            p->last = at;
        free_message(ps, p, m);
        ps->counts.progress_dropped++;
    }
    return true;
}

/* Many that do not read must not take all memory: whoever has most waiting is lost at once. */
static void relieve(peers *ps, size_t bytes)
{
    while (ps->bytes + bytes > PEERS_BYTES_MAX) {
        peer *greediest = ps->list[WAITING];
        for (peer *p = greediest; p; p = p->next[WAITING])
            if (p->bytes > greediest->bytes)
                greediest = p;
        while (greediest->first)
            drop_first(ps, greediest);
        ps->counts.peers_overflowed++;
        lose(ps, greediest);
    }
}

static void let_wait(peers *ps, peer *p, store_record *record, store_ticket ticket, bool progress)
{
    const size_t bytes = store_record_bytes(record);
    relieve(ps, bytes);
    peer_message *m = !p->lost && make_room(ps, p, bytes) ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        store_record_done(record);
        if (progress) {
            ps->counts.progress_dropped++;
        } else if (!p->lost) {
            ps->counts.peers_overflowed++;
            lose(ps, p);
        }
        return;
    }
    *m = (peer_message){.record = *record, .bytes = bytes, .ticket = ticket, .progress = progress};
    *record = (store_record){.frames = 0};
    *p->last = m;
    p->last = &m->next;
    p->messages++;
    p->bytes += bytes;
    ps->bytes += bytes;
    if (!p->is_waiting) {
        p->is_waiting = true;
        p->next[WAITING] = ps->list[WAITING];
        ps->list[WAITING] = p;
    }
}

/* ERR_BUSY: later; otherwise it is sent, or the peer is lost. */
static int try_send(peers *ps, peer *p, store_record *r)
{
    err e = {0};
    int rc = wire_send_packed(ps->socket[p->side], &p->route, &r->frame[0], r->frame + 1,
                              r->frames - 1, &e);
    if (rc && rc != ERR_BUSY) {
        ps->counts.peers_gone++;
        lose(ps, p);
    }
    if (!rc) { /* the frames are closed */
        free(r->frame);
        *r = (store_record){.frames = 0};
    }
    return rc;
}

void peers_send(peers *ps, peer *to, store_record *message, store_ticket ticket, bool progress)
{
    int rc = ERR_BUSY;
    if (to->lost)
        rc = ERR_NOT_FOUND;
    else if (!to->first && ticket <= ps->durable)
        rc = try_send(ps, to, message);
    if (rc == ERR_BUSY)
        let_wait(ps, to, message, ticket, progress);
    else
        store_record_done(message);
}

bool peers_flush(peers *ps, store_ticket durable)
{
    ps->durable = durable;
    for (peer **at = &ps->list[WAITING]; *at;) {
        peer *p = *at;
        while (p->first && !p->lost && p->first->ticket <= durable &&
               try_send(ps, p, &p->first->record) == 0)
            drop_first(ps, p);
        if (p->first && !p->lost) {
            at = &p->next[WAITING];
        } else {
            *at = p->next[WAITING];
            p->is_waiting = false;
        }
    }
    return ps->list[WAITING] != NULL;
}
