/* Vectors of numbers, by GCC's vector extensions, which Clang has as well.
 *
 * `vec` is LANES doubles and `word` LANES 64-bit integers; + - * work lane by lane, and a scalar
 * operand is broadcast.  The compiler picks the instructions (AVX-512, AVX2, NEON, ...), and
 * contracts a * b + c to a fused multiply-add.  -ffast-math is neither needed (all sums are split
 * over lanes by hand) nor wanted: it may re-associate the exponent arithmetic of `minus_log`.
 * -fno-math-errno and -fno-trapping-math are needed for the vector square root.
 */
#pragma once
#include <stdint.h>
#include <stdlib.h>

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

static void *allocate(long bytes) {
    void *p = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    if (!p) abort();
    return p;
}

INLINE double sum_of_lanes(vec a) {
    double sum = 0.0;
    for (int lane = 0; lane < LANES; lane++) sum += a[lane];
    return sum;
}

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
