/* Sums over samples, the samples shared among threads. */
#pragma once
#include <string.h>

#include "random.h"

/* Add to `sums` what `samples` samples, drawn with g, have to contribute. */
typedef void summand(const void *problem, long samples, rng g, double *sums);

/* The `size` sums over n samples, to be freed. */
static double *sum_over_samples(summand *add, const void *problem, long n, long size, uint64_t seed,
                                int threads) {
    double **parts = allocate(threads * (long)sizeof *parts);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        parts[t] = allocate(size * 8);
        memset(parts[t], 0, size * 8);
        add(problem, n * (t + 1) / threads - n * t / threads, rng_seed(seed, t), parts[t]);
    }
    /* In the order of the threads, so that the result does not depend on which finished first. */
    double *sums = parts[0];
    for (int t = 1; t < threads; t++) {
        for (long i = 0; i < size; i++) sums[i] += parts[t][i];
        free(parts[t]);
    }
    free(parts);
    return sums;
}
