"""Fit the polynomials of ``normals.h`` and ``powers.h``; print the header ``coefficients.h``.

Run ``python fit.py > coefficients.h`` in this folder; only the standard library is needed
(``decimal`` at 60 digits; neither mpmath nor anything else).

Each polynomial interpolates its function at Chebyshev nodes, which is within a small factor of the
best polynomial of that degree; the coefficients are rounded to double only at the end, and the
error printed beside each table is that of the rounded coefficients.

Three functions are needed by a Box-Muller transform of the unit square:

* ``-log(1.5 + h)`` for ``h`` in [-1/2, 1/2]: the mantissa of a number in [1, 2).  The table is
  raised by its own largest error, so that the polynomial is never below the function: what
  ``normals.h`` takes the square root of is then never negative, and no clamp is needed.
* ``cos(pi/2 v)`` and ``sin(pi/2 v) / v`` as polynomials in ``q = v**2``, ``v`` in [-1/2, 1/2].

A fourth, ``2**r`` for ``r`` in [-1/2, 1/2], gives the densities of importance weights.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext
from functools import reduce

getcontext().prec = 60

Function = Callable[[Decimal], Decimal]
Interval = tuple[Decimal, Decimal]

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
HALF = Decimal("0.5")
LOG_DEGREE, COS_DEGREE, SIN_DEGREE, POWER_DEGREE = 15, 6, 5, 9


def alternating_series(square: Decimal, first_factorial: int) -> Decimal:
    """Sum ``(-square)**i / ((2 i + first_factorial)! / first_factorial!)`` until it is exact."""
    term = total = Decimal(1)
    factor = first_factorial
    while abs(term) > Decimal(10) ** -58:
        term *= -square / ((factor + 1) * (factor + 2))
        factor += 2
        total += term
    return total


def minus_log(h: Decimal) -> Decimal:
    """``-log(1.5 + h)``."""
    return -(Decimal("1.5") + h).ln()


def cosine(q: Decimal) -> Decimal:
    """``cos(pi/2 sqrt(q))``."""
    return alternating_series(q * PI * PI / 4, 0)


def sine_ratio(q: Decimal) -> Decimal:
    """``sin(pi/2 sqrt(q)) / sqrt(q)``."""
    return PI / 2 * alternating_series(q * PI * PI / 4, 1)


def power_of_two(r: Decimal) -> Decimal:
    """``2**r``."""
    return Decimal(2) ** r


def chebyshev_points(interval: Interval, count: int) -> list[Decimal]:
    """Return the roots of the Chebyshev polynomial of degree `count`, moved to `interval`."""
    low, high = interval
    middle, radius = (low + high) / 2, (high - low) / 2
    angles = [PI * (2 * i + 1) / (2 * count) for i in range(count)]
    return [middle + radius * alternating_series(angle * angle, 0) for angle in angles]


def evaluate(coefficients: list[Decimal], x: Decimal) -> Decimal:
    """Evaluate a polynomial given by ascending coefficients (Horner)."""
    return reduce(lambda value, c: value * x + c, reversed(coefficients), Decimal(0))


def interpolate(function: Function, interval: Interval, degree: int) -> list[Decimal]:
    """Return the ascending coefficients of the interpolant at Chebyshev points.

    Newton's divided differences, expanded to powers of x from the innermost bracket outwards.
    """
    points = chebyshev_points(interval, degree + 1)
    differences = [function(x) for x in points]
    for order in range(1, degree + 1):
        for i in range(degree, order - 1, -1):
            run = points[i] - points[i - order]
            differences[i] = (differences[i] - differences[i - 1]) / run
    coefficients = [differences[degree]]
    for i in range(degree - 1, -1, -1):
        shifted = [Decimal(0), *coefficients]
        lowered = [*(c * points[i] for c in coefficients), Decimal(0)]
        coefficients = [s - c for s, c in zip(shifted, lowered, strict=True)]
        coefficients[0] += differences[i]
    return coefficients


def round_to_double(coefficients: list[Decimal]) -> list[Decimal]:
    """Round every coefficient to the nearest double, kept as a Decimal."""
    return [Decimal(float(c)) for c in coefficients]


def largest_error(coefficients: list[Decimal], function: Function, interval: Interval) -> Decimal:
    """Return the largest absolute error on a grid ten times finer than the error's own wiggles."""
    low, high = interval
    count = 20 * len(coefficients)
    grid = [low + (high - low) * i / count for i in range(count + 1)]
    return max(abs(evaluate(coefficients, x) - function(x)) for x in grid)


def table(name: str, coefficients: list[Decimal], error: Decimal) -> str:
    """Return a polynomial as a C array, its largest error in a comment above it."""
    rows = ",\n".join(f"    {float(c)!r}" for c in coefficients)
    return (
        f"/* degree {len(coefficients) - 1}, largest error {float(error):.1e} */\n"
        f"static const double {name}[{len(coefficients)}] = {{\n{rows}}};\n"
    )


def main() -> None:
    """Print the header."""
    print("/* Printed by fit.py: ascending coefficients of polynomials. */\n#pragma once\n")
    unit, quarter = (-HALF, HALF), (Decimal(0), HALF * HALF)
    log = interpolate(minus_log, unit, LOG_DEGREE)
    log[0] += largest_error(round_to_double(log), minus_log, unit) * Decimal("1.02")
    for name, function, interval, fitted in (
        ("MINUS_LOG", minus_log, unit, log),
        ("COS", cosine, quarter, interpolate(cosine, quarter, COS_DEGREE)),
        ("SIN_RATIO", sine_ratio, quarter, interpolate(sine_ratio, quarter, SIN_DEGREE)),
        ("POWER", power_of_two, unit, interpolate(power_of_two, unit, POWER_DEGREE)),
    ):
        rounded = round_to_double(fitted)
        print(table(name, rounded, largest_error(rounded, function, interval)))


if __name__ == "__main__":
    main()
