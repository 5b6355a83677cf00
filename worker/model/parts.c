/* Parts: see parts.h. The one idea: a place on the device is laid out in advance for every piece,
 * so that nothing that knows addresses (a recorded step) has to know who is there. */
#include "worker/model/parts.h"

#include <assert.h>
#include <stdio.h>

#include "worker/model/params.h"

enum { TURN_PLACES = 2 }; /* one is used while the other is filled */

const char *const memory_mode_words[] = {"high", "medium", "low", NULL};

void memory_mode_advise(char *to, size_t size, const size_t bytes[MEMORY_MODES], memory_mode mode,
                        int64_t less)
{
    int m = (int)mode + 1;
    while (m < MEMORY_MODES && (int64_t)bytes[mode] - (int64_t)bytes[m] < less)
        m++;
    snprintf(to, size, "%s%s", m < MEMORY_MODES ? "; it fits with --memory " : "",
             m < MEMORY_MODES ? memory_mode_words[m] : "");
}

/* ---------------------------------------------------------------- places */

static bool takes_turns(const model_piece *one, memory_mode mode)
{
    return mode == MEMORY_LOW && one->turns;
}

static size_t largest_turn(const model_parts *p, model_part of, memory_mode mode)
{
    size_t most = 0;
    for (int i = 0; i < p->pieces; i++) {
        const model_piece *one = &p->piece[i];
        if (one->of == of && takes_turns(one, mode) && one->bytes > most)
            most = one->bytes;
    }
    return most;
}

/* The places of a part from `start` on; returns its end. */
static size_t lay_out_part(model_parts *p, model_part of, memory_mode mode, size_t start)
{
    const size_t room = largest_turn(p, of, mode);
    size_t end = start + TURN_PLACES * room;
    int turn = 0;
    for (int i = 0; i < p->pieces; i++) {
        model_piece *one = &p->piece[i];
        if (one->of != of)
            continue;
        one->at = takes_turns(one, mode) ? start + (size_t)(turn++ % TURN_PLACES) * room : end;
        if (!takes_turns(one, mode))
            end += one->bytes;
    }
    return end;
}

/* Parts one behind the other, or all at the same place; returns what they take. */
static size_t lay_out(model_parts *p, memory_mode mode)
{
    size_t end = 0, most = 0;
    for (int of = 0; of < PARTS; of++) {
        end = lay_out_part(p, (model_part)of, mode, mode == MEMORY_HIGH ? end : 0);
        if (end > most)
            most = end;
    }
    return most;
}

static void lay_out_all(model_parts *p)
{
    size_t stocked = 0;
    for (int i = 0; i < p->pieces; i++) {
        p->piece[i].stocked = stocked;
        stocked += p->piece[i].bytes;
    }
    for (int m = 0; m < MEMORY_MODES; m++)
        p->bytes[m] = lay_out(p, (memory_mode)m);
    lay_out(p, p->mode);
}

/* ---------------------------------------------------------------- loading */

int parts_open(model_parts *p, dev *d, arena *whole, err *e)
{
    bool good;
    p->whole = whole;
    p->next = 0;
    p->present = PARTS;
    if (d->options.dry) {
        p->pieces = 0;
        return 0;
    }
    arena_take(whole, p->bytes[p->mode], &good);
    if (good && p->mode != MEMORY_HIGH)
        good = stock_open(&p->stock, d, p->bytes[MEMORY_HIGH]);
    if (good)
        return 0;
    return d->status == DEV_OK
               ? err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of weights", p->bytes[p->mode])
               : err_set(e, params_code(d), "no place for %zu bytes of weights: %s",
                         p->bytes[p->mode], d->error);
}

static void fetch(const model_parts *p, dev *d, const model_piece *one)
{
    if (one->bytes)
        dev_fetch(d, p->whole->base + one->at, p->stock.at + one->stocked, one->bytes);
}

/* The piece that was next is whole: it is counted, or put into the stock. */
static void end_piece(model_parts *p, dev *d)
{
    if (p->next == 0)
        return;
    model_piece *one = &p->piece[p->next - 1];
    bool counted;
    if (d->options.dry) {
        one->bytes = p->window.used;
        arena_take(p->whole, one->bytes, &counted);
        return;
    }
    if (p->window.used != one->bytes && d->status == DEV_OK) {
        dev_fail(d, DEV_BROKEN, "%s: %zu bytes of weights were counted as %zu: it was tuned since",
                 d->name, p->window.used, one->bytes);
        return;
    }
    if (p->mode != MEMORY_HIGH && one->bytes)
        dev_download(d, p->stock.at + one->stocked,
                     tensor_of(p->window.base, U8, 1, 1, 1, (int64_t)one->bytes));
}

arena *parts_next(model_parts *p, dev *d, model_part of, bool turns)
{
    end_piece(p, d);
    model_piece *one = &p->piece[p->next++];
    if (d->options.dry) {
        assert(p->pieces < PIECES_MAX);
        *one = (model_piece){.of = of, .turns = turns};
        p->pieces++;
        p->window = (arena){.dry = true};
        return &p->window;
    }
    assert(p->next <= p->pieces && one->of == of && one->turns == turns);
    p->window = arena_within(p->whole, one->at, one->bytes);
    if (p->mode != MEMORY_HIGH) { /* what is packed relies on zeros, and the stock still is zeros */
        fetch(p, d, one);
        dev_fetched(d);
    }
    return &p->window;
}

void parts_loaded(model_parts *p, dev *d)
{
    end_piece(p, d);
    if (d->options.dry)
        lay_out_all(p);
}

void parts_close(model_parts *p)
{
    stock_close(&p->stock);
}

model_piece parts_range(const model_parts *p, model_part of)
{
    model_piece range = {.of = of};
    assert(p->mode == MEMORY_HIGH);
    for (int i = 0; i < p->pieces; i++)
        if (p->piece[i].of == of) {
            if (range.bytes == 0)
                range.at = p->piece[i].at;
            range.bytes += p->piece[i].bytes;
        }
    return range;
}

/* ---------------------------------------------------------------- using */

void parts_enter(model_parts *p, dev *d, model_part of)
{
    if (p->mode == MEMORY_HIGH || p->present == of || d->options.dry)
        return;
    p->present = PARTS;
    for (int i = 0; i < p->pieces; i++)
        if (p->piece[i].of == of && !takes_turns(&p->piece[i], p->mode))
            fetch(p, d, &p->piece[i]);
    dev_fetched(d);
    if (d->status == DEV_OK)
        p->present = of;
}

void parts_call(const model_parts *p, dev *d, int number)
{
    if (p && number < p->pieces && takes_turns(&p->piece[number], p->mode) && !d->options.dry)
        fetch(p, d, &p->piece[number]);
}

void parts_arrive(const model_parts *p, dev *d, int number)
{
    if (!p || !takes_turns(&p->piece[number], p->mode) || d->options.dry)
        return;
    dev_fetched(d);
    parts_call(p, d, number + 1);
}
