/* W4: gradient of a diagonal Gaussian from samples of several others, balance heuristic.
 *
 *   p = N(mu, diag(sigma)^2),  q_j = N(loc_j, diag(scale_j)^2),  f(x) = sum_k (x_k - 3)^2
 *   gradient of E_p f(x) with respect to (mu, log sigma), from as many samples of each q_j
 *
 * The balance heuristic gives a sample x of whichever proposal the weight w = p(x) / q(x), where q
 * is the mean of all q_j.  With y = (x - mu) / sigma the scores are y / sigma (of mu) and
 * u = y^2 - 1 (of log sigma), and the logarithm of q_j / p is a polynomial of second degree in y
 * without mixed terms: two multiply-adds for each proposal, sample and coordinate.
 *
 * A unit is one sample of each proposal: no less has an expected score of zero.  Its samples are
 * in the same lane of the same row of the tile.  There is no baseline without standard errors;
 * with them, each entry of the gradient has its own optimal one. */
#include "normals.h"
#include "powers.h"
#include "threads.h"

/* Values of q_j / p are computed for GROUP proposals and STRIP rows side by side, for which there
 * are registers.  The last group is filled up with proposals of density 0. */
enum { GROUP = LANES == 8 ? 8 : 4, STRIP = 2 };

/* log2 of q_j / (J p), of the proposals of a group, is constant + sum_k linear_k y_k
 * + square_k y_k^2. */
typedef struct {
    double linear[GROUP], square[GROUP];
} terms;

typedef struct {
    const double *mu, *sigma;
    const double *shift, *stretch; /* y = shift + stretch z, [proposal * d + k] */
    const double *constant;        /* [proposal] */
    const terms *terms;            /* [group * d + k] */
    long d, proposals, groups;
    int errors;
} problem;

/* Add q_j / (J p) of the proposals of a group to `sum`, for a strip of rows. */
INLINE void add_group(const double *constant, const terms *of, long d, const vec *y, long rows,
                      vec *sum) {
    vec power[GROUP][STRIP];
    for (int j = 0; j < GROUP; j++)
        for (int i = 0; i < STRIP; i++) power[j][i] = (vec){0} + constant[j];
    for (long k = 0; k < d; k++) {
        for (int j = 0; j < GROUP; j++) {
            for (int i = 0; i < STRIP; i++) {
                vec v = y[k * rows + i];
                power[j][i] += of[k].linear[j] * v;
                power[j][i] += of[k].square[j] * (v * v);
            }
        }
    }
    for (int j = 0; j < GROUP; j++)
        for (int i = 0; i < STRIP; i++) sum[i] += power_of_two(power[j][i]);
}

/* Turn the normals of a proposal into y, and compute w and w f of each sample. */
static __attribute__((noinline)) void weigh(const problem *p, long proposal, vec *y, vec *w,
                                            vec *wf, long rows) {
    const double *shift = p->shift + proposal * p->d, *stretch = p->stretch + proposal * p->d;
    for (long row = 0; row < rows; row += STRIP) {
        vec f[STRIP] = {0}, sum[STRIP] = {0};
        for (long k = 0; k < p->d; k++) {
            for (int i = 0; i < STRIP; i++) {
                vec v = y[k * rows + row + i] * stretch[k] + shift[k];
                vec distance = v * p->sigma[k] + (p->mu[k] - 3.0);
                y[k * rows + row + i] = v;
                f[i] += distance * distance;
            }
        }
        for (long g = 0; g < p->groups; g++)
            add_group(p->constant + g * GROUP, p->terms + g * p->d, p->d, y + row, rows, sum);
        for (int i = 0; i < STRIP; i++) {
            w[row + i] = 1.0 / sum[i];
            wf[row + i] = f[i] / sum[i];
        }
    }
}

/* The sums over units kept for each entry of the gradient: a unit's F is its sum of w f times the
 * score, and its S that of w times the score. */
enum { F, S, FF, FS, SS, SUMS };

INLINE void add_unit(int errors, vec f, vec s, vec *sums) {
    sums[F] += f;
    if (errors) {
        sums[S] += s;
        sums[FF] += f * f;
        sums[FS] += f * s;
        sums[SS] += s * s;
    }
}

/* Add the tile to the sums, lane by lane.  Inlined with and without standard errors. */
INLINE void add_tile(int errors, const problem *p, const vec *y, const vec *w, const vec *wf,
                     long rows, vec *sums) {
    for (long k = 0; k < p->d; k++) {
        vec mu[SUMS] = {0}, log_sigma[SUMS] = {0};
        for (long row = 0; row < rows; row++) {
            vec f[2] = {0}, s[2] = {0};
            for (long j = 0; j < p->proposals; j++) {
                vec v = y[(j * p->d + k) * rows + row], u = v * v - 1.0;
                f[0] += wf[j * rows + row] * v;
                f[1] += wf[j * rows + row] * u;
                s[0] += w[j * rows + row] * v;
                s[1] += w[j * rows + row] * u;
            }
            add_unit(errors, f[0], s[0], mu);
            add_unit(errors, f[1], s[1], log_sigma);
        }
        for (int i = 0; i < SUMS; i++) {
            sums[k * SUMS + i] += mu[i];
            sums[(p->d + k) * SUMS + i] += log_sigma[i];
        }
    }
}

static __attribute__((noinline)) void add_tile_with_errors(const problem *p, const vec *y,
                                                           const vec *w, const vec *wf, long rows,
                                                           vec *sums) {
    add_tile(1, p, y, w, wf, rows, sums);
}

static __attribute__((noinline)) void add_tile_without(const problem *p, const vec *y,
                                                       const vec *w, const vec *wf, long rows,
                                                       vec *sums) {
    add_tile(0, p, y, w, wf, rows, sums);
}

/* Make the units of a last tile after the first `units` count for nothing. */
static void blank_units(double *w, double *wf, long proposals, long width, long units) {
    for (long j = 0; j < proposals; j++)
        for (long t = units; t < width; t++) w[j * width + t] = wf[j * width + t] = 0.0;
}

static void add_units(const void *problem_, long units, rng g, double *sums) {
    const problem *p = problem_;
    long columns = p->proposals * p->d, rows = rows_of_tile(columns), width = rows * LANES;
    long entries = 2 * p->d * SUMS;
    vec *y = allocate(columns * width * 8), *total = allocate(entries * (long)sizeof *total);
    vec *w = allocate(p->proposals * width * 8), *wf = allocate(p->proposals * width * 8);
    memset(total, 0, entries * sizeof *total);

    for (; units > 0; units -= width) {
        fill_normals(&g, y, columns * rows);
        for (long j = 0; j < p->proposals; j++)
            weigh(p, j, y + j * p->d * rows, w + j * rows, wf + j * rows, rows);
        if (units < width) blank_units((double *)w, (double *)wf, p->proposals, width, units);
        if (p->errors)
            add_tile_with_errors(p, y, w, wf, rows, total);
        else
            add_tile_without(p, y, w, wf, rows, total);
    }
    for (long i = 0; i < entries; i++) sums[i] = sum_of_lanes(total[i]);
    free(wf);
    free(w);
    free(total);
    free(y);
}

/* Fill in the polynomial of a proposal, j of its group.  With r = sigma / scale and
 * m = (mu - loc) / scale, log q_j / p = sum_k log r + (y^2 - (r y + m)^2) / 2. */
static void expand(const double *mu, const double *sigma, const double *loc, const double *scale,
                   long d, int j, double *constant, terms *of) {
    const double log2_e = 1.0 / log(2.0);
    for (long k = 0; k < d; k++) {
        double r = sigma[k] / scale[k], m = (mu[k] - loc[k]) / scale[k];
        *constant += (log(r) - 0.5 * m * m) * log2_e;
        of[k].linear[j] = -r * m * log2_e;
        of[k].square[j] = 0.5 * (1.0 - r * r) * log2_e;
    }
}

/* The mean of F over units; with standard error, that of F - b S with the b of least variance. */
static double finish(int errors, const double *sums, double units, double *error) {
    if (!errors) return sums[F] / units;
    double f = sums[F] / units, s = sums[S] / units;
    double b = (sums[FS] / units - f * s) / (sums[SS] / units - s * s), mean = f - b * s;
    double square = (sums[FF] - 2.0 * b * sums[FS] + b * b * sums[SS]) / units;
    *error = sqrt((square - mean * mean) / (units - 1.0));
    return mean;
}

/* `n` counts the samples of all proposals; it is rounded up to whole units.
 * out: d entries for mu, d for log sigma; with `errors` then 2 d standard errors. */
void w4(const double *mu, const double *log_scale, const double *loc, const double *scale, long d,
        long proposals, long n, int errors, uint64_t seed, int threads, double *out) {
    long groups = (proposals + GROUP - 1) / GROUP, units = (n + proposals - 1) / proposals;
    double *sigma = allocate(d * 8), *constant = allocate(groups * GROUP * 8);
    double *shift = allocate(proposals * d * 8), *stretch = allocate(proposals * d * 8);
    terms *of = allocate(groups * d * (long)sizeof *of);
    memset(of, 0, groups * d * sizeof *of);
    for (long k = 0; k < d; k++) sigma[k] = exp(log_scale[k]);
    for (long j = 0; j < groups * GROUP; j++)
        constant[j] = j < proposals ? -log2((double)proposals) : -INFINITY;
    for (long j = 0; j < proposals; j++) {
        expand(mu, sigma, loc + j * d, scale + j * d, d, (int)(j % GROUP), constant + j,
               of + j / GROUP * d);
        for (long k = 0; k < d; k++) {
            shift[j * d + k] = (loc[j * d + k] - mu[k]) / sigma[k];
            stretch[j * d + k] = scale[j * d + k] / sigma[k];
        }
    }
    problem p = {mu, sigma, shift, stretch, constant, of, d, proposals, groups, errors};
    double *sums = sum_over_samples(add_units, &p, units, 2 * d * SUMS, seed, threads);

    for (long i = 0; i < 2 * d; i++) {
        double by = (double)proposals * (i < d ? sigma[i] : 1.0), error = 0.0;
        out[i] = finish(errors, sums + i * SUMS, (double)units, &error) / by;
        if (errors) out[2 * d + i] = error / by;
    }
    free(sums);
    free(of);
    free(stretch);
    free(shift);
    free(constant);
    free(sigma);
}
