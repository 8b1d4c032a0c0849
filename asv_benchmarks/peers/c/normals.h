/* Standard normals, by Box-Muller. */
#pragma once
#include <math.h>

#include "coefficients.h"
#include "random.h"

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

/* Vectors that are made at a time; rows of a tile come in multiples of it. */
enum { ROWS = 2 * PAIRS };

/* `count` vectors of standard normals, a multiple of ROWS.  The generator is copied to a local
 * variable, which the compiler can keep in registers as no pointer leads to it. */
static __attribute__((noinline)) void fill_normals(rng *g, vec *z, long count) {
    rng local = *g;
    for (long i = 0; i < count; i += ROWS) next_normals(&local, z + i);
    *g = local;
}

/* Rows of a tile with so many columns: a multiple of ROWS, no more than MAX_ROWS, and otherwise
 * such that the tile has TILE numbers (128 KB: half of a small L2 cache). */
enum { TILE = 16384, MAX_ROWS = 32 };

static long rows_of_tile(long columns) {
    long rows = TILE / LANES / columns / ROWS * ROWS;
    return rows < ROWS ? ROWS : rows > MAX_ROWS ? MAX_ROWS : rows;
}
