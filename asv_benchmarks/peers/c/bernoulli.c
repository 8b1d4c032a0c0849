/* W2: gradient in the logits of d independent Bernoulli variables, leave-one-out.
 *
 *   x_k ~ Bernoulli(p_k),  p = 1 / (1 + exp(-logits)),  f(x) = (sum_k x_k - 60)^2
 *
 * A word serves two samples, a 32-bit half each: x is 1 where the half is below the threshold of
 * its coordinate.  The tile keeps the words, and compares them a second time when the values are
 * known: that costs less than to keep the outcomes. */
#include "indicators.h"
#include "threads.h"

typedef int64_t whole __attribute__((vector_size(8 * LANES)));
typedef int32_t half __attribute__((vector_size(8 * LANES)));

/* A tile has ROWS words of each coordinate, r[k * ROWS + row].  Its samples are those of the high
 * halves, then those of the low halves: VALUES vectors of them. */
enum { ROWS = 8, VALUES = 2 * ROWS, WIDTH = VALUES * LANES };

typedef struct {
    const double *p;
    const int32_t *threshold; /* p, scaled to the range of int32_t */
    long d;
    int errors;
} problem;

/* Draw a tile and evaluate f. */
static __attribute__((noinline)) void draw(const problem *p, rng *g, word *r, vec *w) {
    rng local = *g; /* in registers, as no pointer leads to it */
    half count[ROWS] = {0};
    for (long k = 0; k < p->d; k++) {
        for (int row = 0; row < ROWS; row++) {
            word x = rng_next(&local);
            r[k * ROWS + row] = x;
            count[row] -= (half)x < p->threshold[k]; /* true is -1 */
        }
    }
    *g = local;
    for (int row = 0; row < ROWS; row++) {
        vec high = __builtin_convertvector((word)count[row] >> 32, vec) - 60.0;
        vec low = __builtin_convertvector((word)count[row] & 0xFFFFFFFF, vec) - 60.0;
        w[row] = high * high;
        w[ROWS + row] = low * low;
    }
}

/* Sums over the samples with x_k = 1, lane by lane. */
typedef struct {
    half count; /* enough for 2^31 samples in each lane */
    vec w, ww;
} lanes;

INLINE vec where(whole mask, vec a) { return (vec)((whole)a & mask); }

/* Add the tile to the sums.  Inlined with and without standard errors. */
INLINE void add_tile(int errors, const problem *p, const word *r, const vec *w, const vec *ww,
                     lanes *ones) {
    for (long k = 0; k < p->d; k++) {
        int32_t threshold = p->threshold[k];
        half count = {0};
        vec sum[2] = {0}, squares[2] = {0};
        for (int row = 0; row < ROWS; row++) {
            word x = r[k * ROWS + row];
            count -= (half)x < threshold;
            /* The other half, below, decides nothing: the low half of the threshold is zero. */
            whole high = (whole)x < (int64_t)threshold * 0x100000000;
            whole low = (whole)(x << 32) < (int64_t)threshold * 0x100000000;
            sum[0] += where(high, w[row]);
            sum[1] += where(low, w[ROWS + row]);
            if (errors) {
                squares[0] += where(high, ww[row]);
                squares[1] += where(low, ww[ROWS + row]);
            }
        }
        ones[k].count += count;
        ones[k].w += sum[0] + sum[1];
        if (errors) ones[k].ww += squares[0] + squares[1];
    }
}

static __attribute__((noinline)) void add_tile_with_errors(const problem *p, const word *r,
                                                           const vec *w, const vec *ww,
                                                           lanes *ones) {
    add_tile(1, p, r, w, ww, ones);
}

static __attribute__((noinline)) void add_tile_without(const problem *p, const word *r,
                                                       const vec *w, lanes *ones) {
    add_tile(0, p, r, w, NULL, ones);
}

/* Make the samples of a last tile after the first `samples` count for nothing: f = 0 and x = 0. */
static void blank_samples(word *r, double *w, long d, long samples) {
    for (long t = samples; t < WIDTH; t++) {
        uint64_t half = t < WIDTH / 2 ? 0xFFFFFFFF00000000u : 0x00000000FFFFFFFFu;
        uint64_t never = half & 0x7FFFFFFF7FFFFFFFu; /* INT32_MAX is below no threshold */
        for (long k = 0; k < d; k++) {
            uint64_t *x = (uint64_t *)(r + k * ROWS + t / LANES % ROWS) + t % LANES;
            *x = (*x & ~half) | never;
        }
        w[t] = 0.0;
    }
}

/* The sums: a tally for each coordinate, and one for all samples. */
static void add_samples(const void *problem_, long samples, rng g, double *sums) {
    const problem *p = problem_;
    tally *total = (tally *)sums, *all = total + p->d;
    word *r = allocate(p->d * ROWS * (long)sizeof *r);
    lanes *ones = allocate(p->d * (long)sizeof *ones);
    vec w[VALUES], ww[VALUES], sum = {0}, squares = {0};
    memset(ones, 0, p->d * sizeof *ones);
    all->count = (double)samples;
    for (; samples > 0; samples -= WIDTH) {
        draw(p, &g, r, w);
        if (samples < WIDTH) blank_samples(r, (double *)w, p->d, samples);
        for (int i = 0; i < VALUES; i++) {
            ww[i] = w[i] * w[i];
            sum += w[i];
            squares += ww[i];
        }
        if (p->errors)
            add_tile_with_errors(p, r, w, ww, ones);
        else
            add_tile_without(p, r, w, ones);
    }
    all->w = sum_of_lanes(sum);
    all->ww = sum_of_lanes(squares);
    for (long k = 0; k < p->d; k++) {
        for (int i = 0; i < 2 * LANES; i++) total[k].count += ones[k].count[i];
        total[k].w = sum_of_lanes(ones[k].w);
        total[k].ww = sum_of_lanes(ones[k].ww);
    }
    free(ones);
    free(r);
}

/* out: d entries of the gradient; with `errors` then d standard errors. */
void w2(const double *logits, long d, long n, int errors, uint64_t seed, int threads,
        double *out) {
    double *p = allocate(d * 8);
    int32_t *threshold = allocate(d * 4);
    for (long k = 0; k < d; k++) {
        p[k] = 1.0 / (1.0 + exp(-logits[k]));
        threshold[k] = (int32_t)fmin(floor(p[k] * 0x1p32) - 0x1p31, INT32_MAX);
    }
    problem all = {p, threshold, d, errors};
    tally *sums = (tally *)sum_over_samples(add_samples, &all, n, (d + 1) * 3, seed, threads);
    for (long k = 0; k < d; k++) {
        double error;
        out[k] = gradient_of_logit(sums[d], sums[k], p[k], &error);
        if (errors) out[d + k] = error;
    }
    free(sums);
    free(threshold);
    free(p);
}
