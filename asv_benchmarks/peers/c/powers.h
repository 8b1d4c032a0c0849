/* Powers of two. */
#pragma once
#include "coefficients.h"
#include "vectors.h"

/* 2^x, with x cut to where that is a normal number.  Adding 1.5 2^52 rounds x to a whole number and
 * leaves it in the low bits; moved up by 52, they add to the exponent of 2^(x - whole), which a
 * polynomial gives to 1.4e-14.  (Cut at both ends in one loop, GCC 12 does it in more steps.) */
INLINE vec power_of_two(vec x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = x[lane] < 1000.0 ? x[lane] : 1000.0;
    for (int lane = 0; lane < LANES; lane++) x[lane] = x[lane] > -1000.0 ? x[lane] : -1000.0;
    vec shifted = x + 0x1.8p52, r = x - (shifted - 0x1.8p52), power = r * POWER[9] + POWER[8];
    for (int i = 7; i >= 0; i--) power = power * r + POWER[i];
    return (vec)((word)power + ((word)shifted << 52));
}
