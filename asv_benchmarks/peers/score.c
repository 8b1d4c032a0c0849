/* Score-function gradient of a diagonal Gaussian, hand-written SIMD C.
 *
 *   x ~ N(mu, diag(sigma)^2),  sigma = exp(log_scale),  f(x) = sum_k (x_k - 3)^2
 *   gradient of E f(x) with respect to (mu, log sigma) from n samples
 *
 * It is what a careful C programmer would write for this one problem, and fastscore is measured
 * against it.  The plan, for each thread:
 *
 *   1. fill a tile of standard normals z that fits in the L2 cache   (fill_normals)
 *   2. w = f(mu + sigma z) - f_ref for each sample of the tile       (tile_values)
 *   3. add the tile to a few sums per coordinate                     (tile_sums)
 *
 * and, at the end, turn the sums of all threads into the gradient     (finish).  With
 * u = z^2 - 1 the scores are z / sigma (of mu) and u (of log sigma), so that everything wanted is
 * a quotient of sums of z, u, w and their products; no array of n x d numbers is ever held.
 *
 * SIMD by GCC's vector extensions: `vec` is LANES doubles, + - * work lane by lane, and a scalar
 * operand is broadcast.  The compiler picks the instructions (AVX-512, AVX2, NEON, ...), and
 * contracts a * b + c to a fused multiply-add.  -ffast-math is neither needed (the sums below are
 * already split over lanes by hand) nor wanted: it may re-associate the exponent arithmetic of
 * `minus_log`.  -fno-math-errno and -fno-trapping-math are needed for the vector square root.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "coefficients.h"

#if defined __AVX512F__
#define LANES 8
#elif defined __AVX__
#define LANES 4
#else /* SSE2, NEON */
#define LANES 2
#endif
typedef double vec __attribute__((vector_size(8 * LANES)));
typedef uint64_t word __attribute__((vector_size(8 * LANES)));

#define INLINE static inline __attribute__((always_inline))

/* ---------------------------------------------------------------- random words */

/* LANES independent xoshiro256++ generators, one in each lane. */
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

/* ---------------------------------------------------------------- standard normals */

/* The top 52 bits of a word as the mantissa of a double in [1, 2). */
INLINE vec one_to_two(word bits) { return (vec)((bits >> 12) | 0x3FF0000000000000u); }

/* -log of a normal positive u: the exponent times log 2, and a polynomial of the mantissa.
 * The exponent becomes a double without a conversion (AVX2 has none from 64-bit integers): put
 * in the low bits of 2^52 it reads 2^52 + exponent.  The polynomial is evaluated in pairs
 * (Estrin) because a chain of 15 dependent multiply-adds would be bound by latency. */
INLINE vec minus_log(vec u) {
    const double *c = MINUS_LOG;
    word bits = (word)u;
    vec exponent = (vec)((bits >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    vec h = (vec)((bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u) - 1.5;
    vec h2 = h * h, h4 = h2 * h2, h8 = h4 * h4;
    vec low = ((c[3] * h + c[2]) * h2 + (c[1] * h + c[0])) +
              ((c[7] * h + c[6]) * h2 + (c[5] * h + c[4])) * h4;
    vec high = ((c[11] * h + c[10]) * h2 + (c[9] * h + c[8])) +
               ((c[15] * h + c[14]) * h2 + (c[13] * h + c[12])) * h4;
    return (high * h8 + low) - exponent * 0x1.62e42fefa39efp-1; /* log 2 */
}

/* The cosine and sine of a quarter turn, both times sqrt 2.  For v uniform in [-1/2, 1/2) the
 * angle pi/4 + pi/2 v is uniform in the first quadrant, where
 *     sqrt 2 cos(pi/4 + a) = cos a - sin a  and  sqrt 2 sin(pi/4 + a) = cos a + sin a. */
INLINE void first_quadrant(vec v, vec *x, vec *y) {
    vec q = v * v, even = q * COS[6] + COS[5], odd = q * SIN_RATIO[5] + SIN_RATIO[4];
    for (int i = 4; i >= 0; i--) even = even * q + COS[i];
    for (int i = 3; i >= 0; i--) odd = odd * q + SIN_RATIO[i];
    *x = even - v * odd;
    *y = even + v * odd;
}

/* Box-Muller: words a and b give the two normals sqrt(-2 log u) (cos, sin)(angle).  The angle
 * above covers the first quadrant, and a random sign for each of the two does the rest: the lowest
 * bits of a and b, which the mantissas do not use.  The sqrt 2 of the radius is in x and y.
 *
 * PAIRS of them are written side by side: the polynomials are long chains of dependent steps, and
 * the compiler interleaves two such chains so that the processor has always something to do.
 * (Measured on AVX2 and AVX-512: with four side by side the registers run out, and one is slower
 * with AVX-512 and no quicker with AVX2.) */
enum { PAIRS = 2 };
#define SIGN(bits) ((bits) << 63)

INLINE void next_normals(rng *g, vec *z) {
    word a[PAIRS], b[PAIRS];
    vec radius[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        a[i] = rng_next(g);
        b[i] = rng_next(g);
    }
    for (int i = 0; i < PAIRS; i++) {
        /* 1.f - (1 - 2^-53) is in (0, 1): neither log 0 nor a clamp. */
        vec square = minus_log(one_to_two(a[i]) - (1.0 - 0x1p-53));
        for (int lane = 0; lane < LANES; lane++) square[lane] = sqrt(square[lane]);
        radius[i] = (vec)((word)square ^ SIGN(a[i]));
    }
    for (int i = 0; i < PAIRS; i++) {
        vec x, y;
        first_quadrant(one_to_two(b[i]) - 1.5, &x, &y);
        z[2 * i] = radius[i] * x;
        z[2 * i + 1] = (vec)((word)radius[i] ^ SIGN(b[i])) * y;
    }
}

/* `count` vectors of standard normals, a multiple of 2 PAIRS.  The generator is copied to a local
 * variable, which the compiler can keep in registers as no pointer leads to it. */
static __attribute__((noinline)) void fill_normals(rng *g, vec *z, long count) {
    rng local = *g;
    for (long i = 0; i < count; i += 2 * PAIRS) next_normals(&local, z + i);
    *g = local;
}

/* ---------------------------------------------------------------- one tile */

/* A tile holds `rows` vectors (LANES * rows samples) of each coordinate: z[k * rows + row]. */

/* w = f(mu + sigma z) - f_ref of every sample.  The values of ROWS vectors of samples stay in
 * registers over all coordinates, so that each w is written once. */
enum { ROWS = 2 * PAIRS };

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

/* The sums kept for each coordinate, and what the modes need of them. */
enum { Z, U, WZ, WU, UU, WUU, WWU, WWUU, SUMS };
enum mode { NO_BASELINE, OPTIMAL, LEAVE_ONE_OUT, STANDARD_ERRORS };

/* Horizontal sums: lane j of the result is the sum of the lanes of a[j].  Adding the even and the
 * odd lanes of two vectors sums both at once and leaves one vector to sum further, where summing
 * each vector on its own would take as many additions for one.  With few rows in a tile (large d)
 * it matters. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (word){__VA_ARGS__})
#endif

#if LANES == 8
INLINE void add_lanes(double *sums, const vec *a) {
    vec b[4], c[2];
    for (int i = 0; i < 4; i++)
        b[i] = SHUFFLE(a[2 * i], a[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
               SHUFFLE(a[2 * i], a[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    for (int i = 0; i < 2; i++)
        c[i] = SHUFFLE(b[2 * i], b[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
               SHUFFLE(b[2 * i], b[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    *(vec *)sums += SHUFFLE(c[0], c[1], 0, 1, 2, 3, 8, 9, 10, 11) +
                    SHUFFLE(c[0], c[1], 4, 5, 6, 7, 12, 13, 14, 15);
}
#elif LANES == 4
INLINE void add_lanes(double *sums, const vec *a) {
    vec b[4];
    for (int i = 0; i < 4; i++)
        b[i] = SHUFFLE(a[2 * i], a[2 * i + 1], 0, 4, 2, 6) +
               SHUFFLE(a[2 * i], a[2 * i + 1], 1, 5, 3, 7);
    for (int i = 0; i < 2; i++)
        ((vec *)sums)[i] += SHUFFLE(b[2 * i], b[2 * i + 1], 0, 1, 4, 5) +
                            SHUFFLE(b[2 * i], b[2 * i + 1], 2, 3, 6, 7);
}
#else
INLINE void add_lanes(double *sums, const vec *a) {
    for (int i = 0; i < 4; i++)
        ((vec *)sums)[i] +=
            SHUFFLE(a[2 * i], a[2 * i + 1], 0, 2) + SHUFFLE(a[2 * i], a[2 * i + 1], 1, 3);
}
#endif

/* Add the tile to the sums.  Inlined once for each mode: the sums a mode does not need vanish. */
INLINE void tile_sums(enum mode mode, const vec *z, const vec *w, long d, long rows,
                      double *sums) {
    int scores = mode != NO_BASELINE, squares = mode == OPTIMAL || mode == STANDARD_ERRORS;
    for (long k = 0; k < d; k++) {
        vec a[SUMS] = {0};
        for (long row = 0; row < rows; row++) {
            vec zz = z[k * rows + row], ww = w[row];
            vec u = zz * zz - 1.0, wu = ww * u;
            a[WZ] += ww * zz;
            a[WU] += wu;
            if (scores) a[Z] += zz, a[U] += u;
            if (squares) a[UU] += u * u, a[WUU] += wu * u;
            if (mode == STANDARD_ERRORS) a[WWU] += ww * wu, a[WWUU] += wu * wu;
        }
        add_lanes(sums + k * SUMS, a);
    }
}

static __attribute__((noinline)) void tile_sums_of_mode(enum mode mode, const vec *z, const vec *w,
                                                        long d, long rows, double *sums) {
    switch (mode) {
    case NO_BASELINE: tile_sums(NO_BASELINE, z, w, d, rows, sums); break;
    case OPTIMAL: tile_sums(OPTIMAL, z, w, d, rows, sums); break;
    case LEAVE_ONE_OUT: tile_sums(LEAVE_ONE_OUT, z, w, d, rows, sums); break;
    case STANDARD_ERRORS: tile_sums(STANDARD_ERRORS, z, w, d, rows, sums); break;
    }
}

/* ---------------------------------------------------------------- one thread's share */

/* Sums over samples: w and w^2 once, the others for each coordinate. */
typedef struct {
    double w, ww;
    double *sums; /* d x SUMS */
} totals;

typedef struct {
    const double *mu, *sigma;
    long d, n;
    double f_ref;
    enum mode mode;
} problem;

static void *allocate(long bytes) {
    void *p = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!p) abort();
    return p;
}

/* Rows of a tile: a multiple of ROWS, no more than MAX_ROWS, and otherwise such that the tile has
 * TILE numbers (128 KB: half of a small L2 cache). */
enum { TILE = 16384, MAX_ROWS = 32 };

static long rows_of_tile(long d) {
    long rows = TILE / LANES / d / ROWS * ROWS;
    return rows < ROWS ? ROWS : rows > MAX_ROWS ? MAX_ROWS : rows;
}

/* Make the samples of a last tile after the first `samples` count for nothing: w = 0, and z = 1,
 * so that u = 0.  They remain in the sum of z alone, which thread_totals corrects. */
static void blank_samples(double *z, double *w, long d, long width, long samples) {
    for (long t = samples; t < width; t++) {
        w[t] = 0.0;
        for (long k = 0; k < d; k++) z[k * width + t] = 1.0;
    }
}

static totals thread_totals(const problem *p, long samples, rng g) {
    long rows = rows_of_tile(p->d), width = rows * LANES, blank = 0;
    vec *z = allocate(p->d * width * 8), *w = allocate(width * 8);
    totals total = {0, 0, allocate(p->d * SUMS * 8)};
    vec sum_w = {0}, sum_ww = {0};
    memset(total.sums, 0, p->d * SUMS * 8);

    for (; samples > 0; samples -= width) {
        fill_normals(&g, z, p->d * rows);
        tile_values(z, w, p->mu, p->sigma, p->d, rows, p->f_ref);
        if (samples < width) {
            blank = width - samples;
            blank_samples((double *)z, (double *)w, p->d, width, samples);
        }
        for (long row = 0; row < rows; row++) {
            sum_w += w[row];
            sum_ww += w[row] * w[row];
        }
        tile_sums_of_mode(p->mode, z, w, p->d, rows, total.sums);
    }
    for (long k = 0; k < p->d; k++) total.sums[k * SUMS + Z] -= blank;
    for (int lane = 0; lane < LANES; lane++) {
        total.w += sum_w[lane];
        total.ww += sum_ww[lane];
    }
    free(z);
    free(w);
    return total;
}

/* ---------------------------------------------------------------- from sums to the gradient */

/* The variance of the mean of (w - b) s over n samples, from the sums of w^2 s^2, w s^2 and s^2. */
static double standard_error(double wwss, double wss, double ss, double b, double mean, double n) {
    return sqrt(((wwss - 2.0 * b * wss + b * b * ss) / n - mean * mean) / (n - 1.0));
}

/* Gradient and standard error for one coordinate, in units of the score of z and u. */
static void finish(const totals *total, const double *s, double n, enum mode mode, double grad[2],
                   double error[2]) {
    double mean = total->w / n, zz = s[U] + n, wzz = s[WU] + total->w;
    double b_z = 0.0, b_u = 0.0, count = n;
    if (mode == OPTIMAL || mode == STANDARD_ERRORS) { /* b = E w s^2 / E s^2 */
        b_z = wzz / zz;
        b_u = s[WUU] / s[UU];
    } else if (mode == LEAVE_ONE_OUT) { /* w - mean of the others = (w - mean) n / (n - 1) */
        b_z = b_u = mean;
        count = n - 1.0;
    }
    grad[0] = (s[WZ] - b_z * s[Z]) / count;
    grad[1] = (s[WU] - b_u * s[U]) / count;
    error[0] = standard_error(s[WWU] + total->ww, wzz, zz, b_z, grad[0], n);
    error[1] = standard_error(s[WWUU], s[WUU], s[UU], b_u, grad[1], n);
}

/* f at the mean.  Values are counted from it in all modes that have a baseline, as a common shift
 * of the values changes nothing there and small numbers keep the sums accurate. */
static double value_at_mean(const double *mu, long d) {
    double f = 0.0;
    for (long k = 0; k < d; k++) f += (mu[k] - 3.0) * (mu[k] - 3.0);
    return f;
}

/* out: d entries for mu, d for log sigma; in mode STANDARD_ERRORS then 2 d standard errors. */
void w1(const double *mu, const double *log_scale, long d, long n, int mode, uint64_t seed,
        int threads, double *out) {
    double *sigma = allocate(d * 8);
    for (long k = 0; k < d; k++) sigma[k] = exp(log_scale[k]);
    problem p = {mu, sigma, d, n, mode == NO_BASELINE ? 0.0 : value_at_mean(mu, d), mode};
    totals *parts = allocate(threads * (long)sizeof(totals));

#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        long share = n * (t + 1) / threads - n * t / threads;
        parts[t] = thread_totals(&p, share, rng_seed(seed, t));
    }
    /* In the order of the threads, so that the result does not depend on which finished first. */
    for (int t = 1; t < threads; t++) {
        parts[0].w += parts[t].w;
        parts[0].ww += parts[t].ww;
        for (long i = 0; i < d * SUMS; i++) parts[0].sums[i] += parts[t].sums[i];
        free(parts[t].sums);
    }
    for (long k = 0; k < d; k++) {
        double grad[2], error[2];
        finish(&parts[0], parts[0].sums + k * SUMS, (double)n, mode, grad, error);
        out[k] = grad[0] / sigma[k];
        out[d + k] = grad[1];
        if (mode == STANDARD_ERRORS) {
            out[2 * d + k] = error[0] / sigma[k];
            out[3 * d + k] = error[1];
        }
    }
    free(parts[0].sums);
    free(parts);
    free(sigma);
}

/* n standard normals, for a test of their moments; n is a multiple of 2 LANES. */
void normals(uint64_t seed, long n, double *out) {
    rng g = rng_seed(seed, 0);
    vec *z = allocate(n * 8);
    fill_normals(&g, z, n / LANES);
    memcpy(out, z, n * 8);
    free(z);
}
