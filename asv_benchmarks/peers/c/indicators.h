/* From sums to the gradient where the score of a logit is x - p, with x either 0 or 1.
 *
 * So it is for a Bernoulli variable, and for a categorical one with x telling whether it fell into
 * a class.  As x^2 = x, three sums over the samples with x = 1 have all that is needed. */
#pragma once
#include <math.h>

typedef struct {
    double count, w, ww; /* sums of 1, f and f^2 */
} tally;

/* The leave-one-out gradient in one logit, and its standard error: `all` is over all samples,
 * `ones` over those with x = 1. */
static double gradient_of_logit(tally all, tally ones, double p, double *error) {
    double n = all.count, mean = all.w / n;
    /* f less the mean of the others is (f - mean) n / (n - 1); p cancels from the sum. */
    double gradient = (ones.w - mean * ones.count) / (n - 1.0);
    /* Sums of (f - mean)^2, and of (f - mean)^2 (x - p)^2. */
    double square = all.ww - mean * all.w;
    double square_of_ones = ones.ww - 2.0 * mean * ones.w + mean * mean * ones.count;
    double second = square_of_ones * (1.0 - 2.0 * p) + square * p * p;
    double variance = second * n / ((n - 1.0) * (n - 1.0)) - gradient * gradient;
    *error = sqrt(fmax(variance, 0.0) / (n - 1.0));
    return gradient;
}
