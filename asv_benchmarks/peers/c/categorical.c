/* W3: gradient in the logits of one categorical variable of k classes, leave-one-out.
 *
 *   x ~ Categorical(p),  p = softmax(logits),  f(x) = values[x]
 *
 * Classes are drawn by an alias table (Walker 1977; built as by Vose 1991): a word's high half
 * chooses a class evenly, its low half whether to keep it or to take the alias. */
#include "indicators.h"
#include "threads.h"

typedef struct {
    const double *values;
    const uint64_t *table; /* of each class: alias, and the odds of keeping it; a half each */
    long k;
    int errors;
} problem;

enum { TILE = 512 }; /* samples */

static __attribute__((noinline)) void fill_words(rng *g, word *r) {
    rng local = *g; /* in registers, as no pointer leads to it */
    for (int i = 0; i < TILE / LANES; i++) r[i] = rng_next(&local);
    *g = local;
}

/* Compilers vectorise this loop, with gathers.  The choice is by a mask and not by ?:, for one
 * that does not must not make it a branch: it would be mispredicted half of the time. */
static __attribute__((noinline)) void draw(const problem *p, const uint64_t *r, uint32_t *x) {
    const uint64_t *table = p->table, k = (uint64_t)p->k;
    for (int t = 0; t < TILE; t++) {
        uint64_t own = ((r[t] >> 32) * k) >> 32, entry = table[own];
        uint64_t alias = entry >> 32, keep = entry & 0xFFFFFFFF, low = r[t] & 0xFFFFFFFF;
        uint64_t other = -(uint64_t)(low >= keep);
        x[t] = (uint32_t)(own ^ ((own ^ alias) & other));
    }
}

/* The sums of a class are neighbours, and one addition of a small vector updates them all. */
typedef double two __attribute__((vector_size(16)));
typedef double four __attribute__((vector_size(32)));

static __attribute__((noinline)) void add_without(const double *values, const uint32_t *x,
                                                  long samples, two *sums) {
    for (long t = 0; t < samples; t++) {
        double w = values[x[t]];
        sums[x[t]] += (two){1.0, w};
    }
}

static __attribute__((noinline)) void add_with_errors(const double *values, const uint32_t *x,
                                                      long samples, four *sums) {
    for (long t = 0; t < samples; t++) {
        double w = values[x[t]];
        sums[x[t]] += (four){1.0, w, w * w, 0.0};
    }
}

static void add_samples(const void *problem_, long samples, rng g, double *sums) {
    const problem *p = problem_;
    word r[TILE / LANES];
    uint32_t x[TILE];
    for (; samples > 0; samples -= TILE) {
        long count = samples < TILE ? samples : TILE;
        fill_words(&g, r);
        draw(p, (const uint64_t *)r, x);
        if (p->errors)
            add_with_errors(p->values, x, count, (four *)sums);
        else
            add_without(p->values, x, count, (two *)sums);
    }
}

/* Fill the alias table.  `share` is p times k, and is used up: classes below 1 are filled up from
 * classes above, which so become the alias of the others. */
static void fill_table(double *share, long k, uint64_t *table) {
    uint32_t *small = allocate(k * 4), *large = allocate(k * 4);
    long smalls = 0, larges = 0;
    for (long j = 0; j < k; j++) {
        table[j] = (uint64_t)j << 32; /* of those that remain at the end: alias of itself */
        if (share[j] < 1.0)
            small[smalls++] = (uint32_t)j;
        else
            large[larges++] = (uint32_t)j;
    }
    while (smalls && larges) {
        uint32_t from = large[larges - 1], to = small[--smalls];
        table[to] = (uint64_t)from << 32 | (uint64_t)(share[to] * 0x1p32);
        share[from] -= 1.0 - share[to];
        if (share[from] < 1.0) {
            larges--;
            small[smalls++] = from;
        }
    }
    free(small);
    free(large);
}

/* out: k entries of the gradient; with `errors` then k standard errors. */
void w3(const double *logits, const double *values, long k, long n, int errors, uint64_t seed,
        int threads, double *out) {
    double *p = allocate(k * 8), *share = allocate(k * 8), largest = logits[0], total = 0.0;
    uint64_t *table = allocate(k * 8);
    for (long j = 1; j < k; j++) largest = fmax(largest, logits[j]);
    for (long j = 0; j < k; j++) total += p[j] = exp(logits[j] - largest);
    for (long j = 0; j < k; j++) {
        p[j] /= total;
        share[j] = p[j] * (double)k;
    }
    fill_table(share, k, table);

    long width = errors ? 4 : 2;
    problem of_all = {values, table, k, errors};
    double *sums = sum_over_samples(add_samples, &of_all, n, k * width, seed, threads);
    tally all = {0, 0, 0};
    for (long j = 0; j < k; j++) {
        all.count += sums[j * width];
        all.w += sums[j * width + 1];
        if (errors) all.ww += sums[j * width + 2];
    }
    for (long j = 0; j < k; j++) {
        double *s = sums + j * width, error;
        tally ones = {s[0], s[1], errors ? s[2] : 0.0};
        out[j] = gradient_of_logit(all, ones, p[j], &error);
        if (errors) out[k + j] = error;
    }
    free(sums);
    free(table);
    free(share);
    free(p);
}
