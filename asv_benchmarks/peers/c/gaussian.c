/* W1: gradient of a diagonal Gaussian, each coordinate with its own optimal baseline.
 *
 *   x ~ N(mu, diag(sigma)^2),  sigma = exp(log_scale),  f(x) = sum_k (x_k - 3)^2
 *   gradient of E f(x) with respect to (mu, log sigma) from n samples
 *
 * The plan, for each thread:
 *
 *   1. fill a tile of standard normals z that fits in the L2 cache   (fill_normals)
 *   2. w = f(mu + sigma z) - f_ref for each sample of the tile       (tile_values)
 *   3. add the tile to a few sums per coordinate                     (tile_sums)
 *
 * and, at the end, turn the sums of all threads into the gradient     (finish).  With
 * u = z^2 - 1 the scores are z / sigma (of mu) and u (of log sigma), so that everything wanted is
 * a quotient of sums of z, u, w and their products; no array of n x d numbers is ever held.
 */
#include "normals.h"
#include "threads.h"

typedef struct {
    const double *mu, *sigma;
    long d;
    double f_ref;
    int errors;
} problem;

/* A tile holds `rows` vectors (LANES * rows samples) of each coordinate: z[k * rows + row]. */

/* w = f(mu + sigma z) - f_ref of every sample.  The values of ROWS vectors of samples stay in
 * registers over all coordinates, so that each w is written once. */
static __attribute__((noinline)) void tile_values(const vec *z, vec *w, const double *mu,
                                                  const double *sigma, long d, long rows,
                                                  double f_ref) {
    for (long row = 0; row < rows; row += ROWS) {
        vec f[ROWS];
        for (int i = 0; i < ROWS; i++) f[i] = (vec){0} - f_ref;
        for (long k = 0; k < d; k++) {
            for (int i = 0; i < ROWS; i++) {
                vec y = z[k * rows + row + i] * sigma[k] + (mu[k] - 3.0);
                f[i] += y * y;
            }
        }
        for (int i = 0; i < ROWS; i++) w[row + i] = f[i];
    }
}

/* The sums kept for each coordinate.  After those of all coordinates there are two more, the sums
 * of w and of w^2. */
enum { Z, U, WZ, WU, UU, WUU, WWU, WWUU, SUMS };

/* Add the tile to the sums.  Inlined with and without standard errors, which need two sums more. */
INLINE void tile_sums(int errors, const vec *z, const vec *w, long d, long rows, double *sums) {
    for (long k = 0; k < d; k++) {
        vec a[SUMS] = {0};
        for (long row = 0; row < rows; row++) {
            vec zz = z[k * rows + row], ww = w[row];
            vec u = zz * zz - 1.0, wu = ww * u;
            a[Z] += zz;
            a[U] += u;
            a[WZ] += ww * zz;
            a[WU] += wu;
            a[UU] += u * u;
            a[WUU] += wu * u;
            if (errors) a[WWU] += ww * wu, a[WWUU] += wu * wu;
        }
        add_lanes(sums + k * SUMS, a);
    }
}

static __attribute__((noinline)) void tile_sums_with_errors(const vec *z, const vec *w, long d,
                                                            long rows, double *sums) {
    tile_sums(1, z, w, d, rows, sums);
}

static __attribute__((noinline)) void tile_sums_without(const vec *z, const vec *w, long d,
                                                        long rows, double *sums) {
    tile_sums(0, z, w, d, rows, sums);
}

/* Make the samples of a last tile after the first `samples` count for nothing: w = 0, and z = 1,
 * so that u = 0.  They remain in the sum of z alone, which add_samples corrects. */
static void blank_samples(double *z, double *w, long d, long width, long samples) {
    for (long t = samples; t < width; t++) {
        w[t] = 0.0;
        for (long k = 0; k < d; k++) z[k * width + t] = 1.0;
    }
}

static void add_samples(const void *problem_, long samples, rng g, double *sums) {
    const problem *p = problem_;
    long d = p->d, rows = rows_of_tile(d), width = rows * LANES, blank = 0;
    vec *z = allocate(d * width * 8), *w = allocate(width * 8), sum_w = {0}, sum_ww = {0};

    for (; samples > 0; samples -= width) {
        fill_normals(&g, z, d * rows);
        tile_values(z, w, p->mu, p->sigma, d, rows, p->f_ref);
        if (samples < width) {
            blank = width - samples;
            blank_samples((double *)z, (double *)w, d, width, samples);
        }
        for (long row = 0; row < rows; row++) {
            sum_w += w[row];
            sum_ww += w[row] * w[row];
        }
        if (p->errors)
            tile_sums_with_errors(z, w, d, rows, sums);
        else
            tile_sums_without(z, w, d, rows, sums);
    }
    for (long k = 0; k < d; k++) sums[k * SUMS + Z] -= blank;
    sums[d * SUMS] = sum_of_lanes(sum_w);
    sums[d * SUMS + 1] = sum_of_lanes(sum_ww);
    free(z);
    free(w);
}

/* The mean of (w - b) s over n samples and its standard error, from the sums of s, w s, s^2, w s^2
 * and w^2 s^2, with b = E w s^2 / E s^2. */
static double finish(double s, double ws, double ss, double wss, double wwss, double n,
                     double *error) {
    double b = wss / ss, mean = (ws - b * s) / n;
    *error = sqrt(((wwss - 2.0 * b * wss + b * b * ss) / n - mean * mean) / (n - 1.0));
    return mean;
}

/* f at the mean.  Values are counted from it: with a baseline a common shift of the values changes
 * nothing, and small numbers keep the sums accurate. */
static double value_at_mean(const double *mu, long d) {
    double f = 0.0;
    for (long k = 0; k < d; k++) f += (mu[k] - 3.0) * (mu[k] - 3.0);
    return f;
}

/* out: d entries for mu, d for log sigma; with `errors` then 2 d standard errors. */
void w1(const double *mu, const double *log_scale, long d, long n, int errors, uint64_t seed,
        int threads, double *out) {
    double *sigma = allocate(d * 8);
    for (long k = 0; k < d; k++) sigma[k] = exp(log_scale[k]);
    problem p = {mu, sigma, d, value_at_mean(mu, d), errors};
    double *sums = sum_over_samples(add_samples, &p, n, d * SUMS + 2, seed, threads);
    double w = sums[d * SUMS], ww = sums[d * SUMS + 1];

    for (long k = 0; k < d; k++) {
        const double *s = sums + k * SUMS;
        double of_z, of_u; /* standard errors */
        /* Sums of z^2 are sums of u + 1. */
        out[k] = finish(s[Z], s[WZ], s[U] + n, s[WU] + w, s[WWU] + ww, n, &of_z) / sigma[k];
        out[d + k] = finish(s[U], s[WU], s[UU], s[WUU], s[WWUU], n, &of_u);
        if (errors) {
            out[2 * d + k] = of_z / sigma[k];
            out[3 * d + k] = of_u;
        }
    }
    free(sums);
    free(sigma);
}
