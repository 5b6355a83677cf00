/* numpy's default generator, bit for bit. PCG XSL RR 128/64 (O'Neill, "PCG: a family of simple fast
 * space-efficient statistically good algorithms for random number generation", 2014), its state
 * from O'Neill's seed sequence: the seed is hashed into a pool of four words, each stirred into the
 * others, and the pool is hashed again into as many words as are wanted. */
#include "worker/image/random.h"

enum { POOL = 4, STATE_WORDS = 8 };

/* A hash whose multiplier changes with each word. */
typedef struct {
    uint32_t multiplier, next;
} hasher;

static uint32_t hash(hasher *h, uint32_t word)
{
    word ^= h->multiplier;
    h->multiplier *= h->next;
    word *= h->multiplier;
    return word ^ word >> 16;
}

static uint32_t stir(uint32_t into, uint32_t word)
{
    uint32_t mixed = into * 0xca01f9ddu - word * 0x4973f715u;
    return mixed ^ mixed >> 16;
}

static void seed_words(uint32_t words[STATE_WORDS], uint32_t seed)
{
    uint32_t pool[POOL];
    hasher in = {0x43b0d7e5u, 0x931e8875u}, out = {0x8b51f9ddu, 0x58f38dedu};
    for (int i = 0; i < POOL; i++)
        pool[i] = hash(&in, i ? 0 : seed);
    for (int from = 0; from < POOL; from++)
        for (int to = 0; to < POOL; to++)
            if (from != to)
                pool[to] = stir(pool[to], hash(&in, pool[from]));
    for (int i = 0; i < STATE_WORDS; i++)
        words[i] = hash(&out, pool[i % POOL]);
}

static unsigned __int128 join(uint64_t high, uint64_t low)
{
    return (unsigned __int128)high << 64 | low;
}

static void step(random64 *r)
{
    r->state = r->state * join(0x2360ed051fc65da4u, 0x4385df649fccf645u) + r->increment;
}

void random64_init(random64 *r, uint32_t seed)
{
    uint32_t words[STATE_WORDS];
    uint64_t pairs[STATE_WORDS / 2];
    seed_words(words, seed);
    for (int i = 0; i < STATE_WORDS / 2; i++)
        pairs[i] = words[2 * i] | (uint64_t)words[2 * i + 1] << 32;
    *r = (random64){0, join(pairs[2], pairs[3]) << 1 | 1};
    step(r);
    r->state += join(pairs[0], pairs[1]);
    step(r);
}

uint64_t random64_next(random64 *r)
{
    step(r);
    uint64_t folded = (uint64_t)(r->state >> 64) ^ (uint64_t)r->state;
    unsigned by = (unsigned)(r->state >> 122);
    return folded >> by | folded << (-by & 63);
}

double random64_unit(random64 *r)
{
    return (double)(random64_next(r) >> 11) * 0x1p-53;
}
