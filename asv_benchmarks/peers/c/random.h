/* Random words: LANES independent xoshiro256++ generators, one in each lane. */
#pragma once
#include "vectors.h"

typedef struct {
    word s0, s1, s2, s3;
} rng;

static uint64_t splitmix64(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* Thread t takes the t-th run of 4 LANES words of the splitmix64 sequence that starts at seed. */
static rng rng_seed(uint64_t seed, int thread) {
    rng g;
    uint64_t state = seed + (uint64_t)thread * 4 * LANES * 0x9E3779B97F4A7C15u;
    for (int lane = 0; lane < LANES; lane++) {
        g.s0[lane] = splitmix64(&state);
        g.s1[lane] = splitmix64(&state);
        g.s2[lane] = splitmix64(&state);
        g.s3[lane] = splitmix64(&state);
    }
    return g;
}

INLINE word rotate(word x, int by) { return (x << by) | (x >> (64 - by)); }

INLINE word rng_next(rng *g) {
    word result = rotate(g->s0 + g->s3, 23) + g->s0;
    word t = g->s1 << 17;
    g->s2 ^= g->s0;
    g->s3 ^= g->s1;
    g->s1 ^= g->s2;
    g->s0 ^= g->s3;
    g->s2 ^= t;
    g->s3 = rotate(g->s3, 45);
    return result;
}
