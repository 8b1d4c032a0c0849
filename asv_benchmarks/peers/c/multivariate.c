/* W5: gradient of a Gaussian with any covariance, leave-one-out.
 *
 *   x = mu + L z,  z standard normal,  L lower triangular,  f(x) = sum_k (x_k - 3)^2
 *   gradient of E f(x) with respect to (mu, L) from n samples
 *
 * The scores are L^-T z (of mu) and the lower triangle of L^-T (z z^T - 1) (of L), so that the sums
 * wanted are those of w z and w z z^T, where w is f less its baseline; L^-T comes afterwards.  The
 * baseline is the mean of the other samples of the tile.  The w of a tile then sum to zero, and
 * the 1 drops out; and each tile has an unbiased gradient of its own, whose spread gives the
 * standard errors.
 *
 * Nearly all the work is two products with triangles: L z, and the lower half of w z z^T.  Both go
 * block by block, a block having as many sums as registers can hold. */
#include "normals.h"
#include "threads.h"

/* Blocks are of BLOCK coordinates, and of STRIP vectors of samples or of BLOCK coordinates more. */
enum { BLOCK = LANES == 8 ? 5 : 3, STRIP = ROWS };

/* Sums of a block of w z z^T, filled up to what add_lanes takes.  A block on the diagonal has the
 * sums of w z in its last row. */
enum { SUMS = (BLOCK * (BLOCK + 1) + 7) / 8 * 8 };

typedef struct {
    const double *shift;  /* mu - 3, filled up to whole blocks with zeros */
    const double *factor; /* L, row by row */
    const double *packed; /* L in the order of its use */
    long d, blocks;
    int errors;
} problem;

/* Where the block of w z z^T in row i and column j is. */
INLINE long block_at(long i, long j) { return (i * (i + 1) / 2 + j) * SUMS; }

/* L, block of rows after block of rows, each column by column up to the diagonal. */
static double *pack(const double *factor, long d, long blocks) {
    double *packed = allocate(block_at(blocks, 0) / SUMS * BLOCK * BLOCK * 8), *to = packed;
    for (long b = 0; b < blocks; b++)
        for (long k = 0; k < (b + 1) * BLOCK; k++)
            for (long i = b * BLOCK; i < (b + 1) * BLOCK; i++)
                *to++ = i < d && k <= i ? factor[i * d + k] : 0.0;
    return packed;
}

/* Add a column's part of L z to those of the rows of a block from `first` on. */
INLINE void add_column(const double *l, const vec *z, int first, vec y[BLOCK][STRIP]) {
    for (int i = first; i < BLOCK; i++)
        for (int s = 0; s < STRIP; s++) y[i][s] += z[s] * l[i];
}

/* f of a strip of samples. */
static __attribute__((noinline)) void evaluate(const problem *p, const vec *z, long rows, vec *f) {
    const double *l = p->packed;
    vec sum[STRIP] = {0};
    for (long b = 0; b < p->blocks; b++) {
        vec y[BLOCK][STRIP];
        for (int i = 0; i < BLOCK; i++)
            for (int s = 0; s < STRIP; s++) y[i][s] = (vec){0} + p->shift[b * BLOCK + i];
        const vec *column = z;
        for (long k = 0; k < b * BLOCK; k++, l += BLOCK, column += rows)
            add_column(l, column, 0, y);
        for (int i = 0; i < BLOCK; i++, l += BLOCK, column += rows) add_column(l, column, i, y);
        for (int i = 0; i < BLOCK; i++)
            for (int s = 0; s < STRIP; s++) sum[s] += y[i][s] * y[i][s];
    }
    for (int s = 0; s < STRIP; s++) f[s] = sum[s];
}

/* From f to w; the samples of a tile beyond `samples` are to count for nothing. */
static void subtract_baseline(double *w, long width, long samples) {
    double total = 0.0;
    for (long t = 0; t < samples; t++) total += w[t];
    /* f less the mean of the others is (f - mean) samples / (samples - 1). */
    double mean = total / (double)samples, by = (double)samples / (double)(samples - 1);
    for (long t = 0; t < samples; t++) w[t] = (w[t] - mean) * by;
    for (long t = samples; t < width; t++) w[t] = 0.0;
}

INLINE void add_block(double *sums, const vec *a) {
    for (int i = 0; i < SUMS; i += 8) add_lanes(sums + i, a + i);
}

/* Add to a block on the diagonal; leave w z for the blocks to the left. */
static __attribute__((noinline)) void add_diagonal(const vec *z, const vec *w, long rows, vec *wz,
                                                   double *sums) {
    vec a[SUMS] = {0};
    for (long row = 0; row < rows; row++) {
        for (int i = 0; i < BLOCK; i++) {
            vec v = wz[i * rows + row] = w[row] * z[i * rows + row];
            for (int j = 0; j <= i; j++) a[i * BLOCK + j] += v * z[j * rows + row];
            a[BLOCK * BLOCK + i] += v;
        }
    }
    add_block(sums, a);
}

static __attribute__((noinline)) void add_left(const vec *wz, const vec *z, long rows,
                                               double *sums) {
    vec a[SUMS] = {0};
    for (long row = 0; row < rows; row++)
        for (int i = 0; i < BLOCK; i++)
            for (int j = 0; j < BLOCK; j++)
                a[i * BLOCK + j] += wz[i * rows + row] * z[j * rows + row];
    add_block(sums, a);
}

static void add_tile(const vec *z, const vec *w, vec *wz, long rows, long blocks, double *sums) {
    for (long i = 0; i < blocks; i++) {
        add_diagonal(z + i * BLOCK * rows, w, rows, wz, sums + block_at(i, i));
        for (long j = 0; j < i; j++)
            add_left(wz, z + j * BLOCK * rows, rows, sums + block_at(i, j));
    }
}

/* Multiply sums by L^-T, in place: row i of `y` has the sum of w z_i, and of w z_i z_j up to j = i.
 * Of the lower half of the result, no entry depends on the upper half of w z z^T. */
static void solve(const double *factor, long d, double *y) {
    for (long i = d - 1; i >= 0; i--) {
        double *row = y + i * (d + 1), inverse = 1.0 / factor[i * d + i];
        for (long j = 0; j <= i + 1; j++) row[j] *= inverse;
        for (long k = 0; k < i; k++) {
            double *above = y + k * (d + 1), by = factor[i * d + k];
            for (long j = 0; j <= k + 1; j++) above[j] -= by * row[j];
        }
    }
}

static long entries(long d) { return d + d * (d + 1) / 2; }

/* Add the gradient that the sums of all blocks amount to, and its square; clear the blocks. */
static void add_gradient(const problem *p, double *blocks, double *y, double *sums) {
    long d = p->d, at = d;
    for (long i = 0; i < d; i++) {
        long b = i / BLOCK, r = i % BLOCK;
        y[i * (d + 1)] = blocks[block_at(b, b) + BLOCK * BLOCK + r];
        for (long j = 0; j <= i; j++)
            y[i * (d + 1) + 1 + j] = blocks[block_at(b, j / BLOCK) + r * BLOCK + j % BLOCK];
    }
    solve(p->factor, d, y);
    double *squares = sums + entries(d);
    for (long i = 0; i < d; i++) {
        const double *row = y + i * (d + 1);
        sums[i] += row[0];
        squares[i] += row[0] * row[0];
        for (long j = 0; j <= i; j++, at++) {
            sums[at] += row[1 + j];
            squares[at] += row[1 + j] * row[1 + j];
        }
    }
    memset(blocks, 0, block_at(p->blocks, 0) * 8);
}

/* The sums: those of tiles' gradients, of their squares, and the number of tiles. */
static void add_samples(const void *problem_, long samples, rng g, double *sums) {
    const problem *p = problem_;
    long columns = p->blocks * BLOCK, rows = rows_of_tile(columns), width = rows * LANES;
    long tiles = (samples + width - 1) / width;
    vec *z = allocate(columns * width * 8), *wz = allocate(BLOCK * width * 8);
    vec *w = allocate(width * 8);
    double *blocks = allocate(block_at(p->blocks, 0) * 8), *y = allocate(p->d * (p->d + 1) * 8);
    memset(z, 0, columns * width * 8); /* for the coordinates that fill up the last block */
    memset(blocks, 0, block_at(p->blocks, 0) * 8);
    sums[2 * entries(p->d)] = (double)tiles;

    for (; tiles > 0; tiles--) { /* as equal as can be: no last one too small for a baseline */
        long count = samples / tiles;
        samples -= count;
        fill_normals(&g, z, p->d * rows);
        for (long row = 0; row < rows; row += STRIP) evaluate(p, z + row, rows, w + row);
        subtract_baseline((double *)w, width, count);
        add_tile(z, w, wz, rows, p->blocks, blocks);
        if (p->errors || tiles == 1) add_gradient(p, blocks, y, sums);
    }
    free(y);
    free(blocks);
    free(w);
    free(wz);
    free(z);
}

/* out: d entries for mu, then the lower half of L, row by row; with `errors` then the standard
 * errors of all. */
void w5(const double *mu, const double *factor, long d, long n, int errors, uint64_t seed,
        int threads, double *out) {
    long blocks = (d + BLOCK - 1) / BLOCK, size = entries(d);
    double *shift = allocate(blocks * BLOCK * 8), *packed = pack(factor, d, blocks);
    for (long k = 0; k < blocks * BLOCK; k++) shift[k] = k < d ? mu[k] - 3.0 : 0.0;
    problem p = {shift, factor, packed, d, blocks, errors};
    double *sums = sum_over_samples(add_samples, &p, n, 2 * size + 1, seed, threads);
    double tiles = sums[2 * size];
    for (long i = 0; i < size; i++) {
        out[i] = sums[i] / (double)n;
        double square = sums[size + i] - sums[i] * sums[i] / tiles;
        if (errors) out[size + i] = sqrt(square * tiles / (tiles - 1.0)) / (double)n;
    }
    free(sums);
    free(packed);
    free(shift);
}
