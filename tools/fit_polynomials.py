"""Make the polynomial coefficients of ``fastscore/engine/vecmath.py`` and ``special.py``, printed.

    python tools/fit_polynomials.py

Each polynomial is the minimax one, found by the Remez exchange in 60-digit arithmetic and rounded
to doubles at the end. The error printed is that of the rounded coefficients, evaluated exactly.
This is a maintainer's tool; like some tests it needs mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]

# Below this the remainders come from their Taylor series: the closed forms cancel.
SMALL = mp.mpf(10) ** -10


@dataclass(frozen=True)
class Fit:
    """A function to approximate by ``terms`` coefficients, and how much its error counts."""

    name: str
    meaning: str
    function: Function
    weight: Function
    low: mp.mpf
    high: mp.mpf
    terms: int


def log_tail(z: mp.mpf) -> mp.mpf:
    """(2 atanh(s) - 2 s) / s**3 at z = s**2."""
    if z < SMALL:
        return mp.mpf(2) / 3 + 2 * z / 5 + 2 * z**2 / 7 + 2 * z**3 / 9
    s = mp.sqrt(z)
    return 2 * (mp.atanh(s) - s) / s**3


def exp_tail(r: mp.mpf) -> mp.mpf:
    """(exp(r) - 1 - r) / r**2."""
    if abs(r) < SMALL:
        return mp.mpf(1) / 2 + r / 6 + r**2 / 24 + r**3 / 120
    return (mp.exp(r) - 1 - r) / r**2


def sin_tail(q: mp.mpf) -> mp.mpf:
    """(sin(r) - r) / r**3 at q = r**2."""
    if q < SMALL:
        return -mp.mpf(1) / 6 + q / 120 - q**2 / 5040 + q**3 / 362880
    r = mp.sqrt(q)
    return (mp.sin(r) - r) / r**3


def cos_tail(q: mp.mpf) -> mp.mpf:
    """(cos(r) - 1 + r**2 / 2) / r**4 at q = r**2."""
    if q < SMALL:
        return mp.mpf(1) / 24 - q / 720 + q**2 / 40320 - q**3 / 3628800
    return (mp.cos(mp.sqrt(q)) - 1 + q / 2) / q**2


def turn_sin(q: mp.mpf) -> mp.mpf:
    """sqrt(1/2) sin(pi v / 2) / v at q = v**2."""
    v = mp.sqrt(q)
    return mp.sqrt(0.5) * (mp.sin(mp.pi * v / 2) / v if v else mp.pi / 2)


def radius_tail(h: mp.mpf) -> mp.mpf:
    """What 128 log(2) d, d = 1 + (e + 63 + m - 1) / 64, lacks of -2 log(2**e m), m = 1.5 + h."""
    m = 1.5 + h
    return -2 * mp.log(m) + 2 * mp.log(2) * (m + 126)


def bernoulli_series(y: mp.mpf, divisor: Callable[[int], int]) -> mp.mpf:
    """``sum B_2k / divisor(2k) y**(2 - 2k)``, for large y."""
    terms = (mp.bernoulli(i) / divisor(i) * y ** (2 - i) for i in range(2, 56, 2))
    return mp.fsum(terms)


def stirling(r: mp.mpf) -> mp.mpf:
    """y (log gamma(y) - (y - 1/2) log y + y - log(2 pi) / 2) at r = 1/(y**2 + 1.1)."""
    if not r:
        return mp.mpf(1) / 12
    y = mp.sqrt(1 / r - SHIFT)
    if y > 40:
        return bernoulli_series(y, lambda i: i * (i - 1))
    return y * (mp.loggamma(y) - (y - 0.5) * mp.log(y) + y - mp.log(2 * mp.pi) / 2)


def digamma_rest(r: mp.mpf) -> mp.mpf:
    """y**2 (log y - digamma(y)) - y / 2 at r = 1/(y**2 + 1.1)."""
    if not r:
        return mp.mpf(1) / 12
    y = mp.sqrt(1 / r - SHIFT)
    if y > 40:
        return bernoulli_series(y, lambda i: i)
    return y * y * (mp.log(y) - mp.digamma(y)) - y / 2


def digamma_weight(r: mp.mpf) -> mp.mpf:
    """The error of ``log y - digamma(y)``, relative."""
    y = mp.sqrt(1 / r - SHIFT) if r else mp.inf
    return 1 / (y / 2 + digamma_rest(r)) if r else mp.mpf(0)


SHIFT = mp.mpf(1.1)
FARTHEST = mp.mpf(31) ** 2 / 64**2
EIGHTH = mp.pi / 4
FITS = (
    Fit("LOG", "(2 atanh(s) - 2 s) / s**3 in z = s**2", log_tail, lambda z: z / 2,
        mp.mpf(0), (3 - 2 * mp.sqrt(2)) ** 2, 7),
    Fit("EXP", "(exp(r) - 1 - r) / r**2 in r", exp_tail, lambda r: r**2 / mp.exp(r),
        -mp.log(2) / 2, mp.log(2) / 2, 10),
    Fit("SIN", "(sin(r) - r) / r**3 in q = r**2", sin_tail, lambda q: mp.sqrt(q) ** 3,
        mp.mpf(0), EIGHTH**2, 6),
    Fit("COS", "(cos(r) - 1 + r**2 / 2) / r**4 in q = r**2", cos_tail, lambda q: q**2,
        mp.mpf(0), EIGHTH**2, 6),
    Fit("RADIUS", "-2 log(m) + 2 log(2) (m + 126) in h = m - 1.5", radius_tail,
        lambda h: mp.mpf(1), mp.mpf(-0.5), mp.mpf(0.5), 16),
    Fit("TURN_SIN", "sqrt(1/2) sin(pi v / 2) / v in q = v**2", turn_sin, mp.sqrt,
        mp.mpf(0), mp.mpf(0.25), 7),
    Fit("TURN_COS", "sqrt(1/2) cos(pi v / 2) in q = v**2",
        lambda q: mp.sqrt(0.5) * mp.cos(mp.pi * mp.sqrt(q) / 2),
        lambda q: mp.mpf(1), mp.mpf(0), mp.mpf(0.25), 7),
    Fit("STIRLING", "y S(y) in r = 1/(1.1 + y**2)", stirling, lambda r: 1 / stirling(r),
        mp.mpf(0), 1 / (1 + SHIFT), 20),
    Fit("DIGAMMA", "y**2 (log y - digamma(y)) - y/2 in r = 1/(1.1 + y**2)", digamma_rest,
        digamma_weight, mp.mpf(0), 1 / (1 + SHIFT), 20),
)  # fmt: skip


def chebyshev_points(low: mp.mpf, high: mp.mpf, count: int) -> list[mp.mpf]:
    """The extrema of the Chebyshev polynomial of degree count - 1, moved to [low, high]."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]


def solve_levelled(fit: Fit, nodes: list[mp.mpf]) -> list[mp.mpf]:
    """The polynomial whose weighted errors at the nodes are equal in size and alternate in sign."""
    rows = mp.matrix(len(nodes))
    values = mp.matrix(len(nodes), 1)
    for i, x in enumerate(nodes):
        weight = fit.weight(x)
        for j in range(fit.terms):
            rows[i, j] = weight * x**j
        rows[i, fit.terms] = (-1) ** i
        values[i] = weight * fit.function(x)
    return list(mp.lu_solve(rows, values))[: fit.terms]


def alternating_extrema(xs: list[mp.mpf], errors: list[mp.mpf]) -> list[int]:
    """The index of the largest error in each stretch of constant sign."""
    best = [0]
    for i in range(1, len(xs)):
        if errors[i] * errors[best[-1]] <= 0 and errors[i]:
            best.append(i)
        elif abs(errors[i]) > abs(errors[best[-1]]):
            best[-1] = i
    return best


def remez(fit: Fit, rounds: int = 8, grid: int = 1200) -> list[mp.mpf]:
    """Minimax coefficients of ``fit``, lowest degree first."""
    count = fit.terms + 1
    # A weight may vanish at an end or in the middle, where no node may lie.
    nodes = [x for x in chebyshev_points(fit.low, fit.high, count + 2) if fit.weight(x)]
    spare = len(nodes) - count
    nodes = nodes[spare // 2 : spare // 2 + count]
    xs = chebyshev_points(fit.low, fit.high, grid)
    weights = [fit.weight(x) for x in xs]
    values = [fit.function(x) for x in xs]
    for _ in range(rounds):
        coefficients = solve_levelled(fit, nodes)
        descending = coefficients[::-1]
        errors = [
            w * (mp.polyval(descending, x) - y) for x, w, y in zip(xs, weights, values, strict=True)
        ]
        best = alternating_extrema(xs, errors)
        while len(best) > count:
            best.pop(0 if abs(errors[best[0]]) < abs(errors[best[-1]]) else -1)
        if len(best) < count:
            break
        nodes = [xs[i] for i in best]
    return coefficients


def largest_error(fit: Fit, coefficients: list[float], grid: int = 4000) -> mp.mpf:
    """The largest weighted error on a fine grid."""
    descending = [mp.mpf(c) for c in coefficients[::-1]]
    return max(
        abs(fit.weight(x) * (mp.polyval(descending, x) - fit.function(x)))
        for x in chebyshev_points(fit.low, fit.high, grid)
    )


def quantile_ratio(rest: mp.mpf) -> mp.mpf:
    """The normal quantile at 1/2 + v over v, at rest = (31/64)**2 - v**2."""
    square = FARTHEST - rest
    if square < SMALL**2:
        return mp.sqrt(2 * mp.pi)
    v = mp.sqrt(square)
    return mp.sqrt(2) * mp.erfinv(2 * v) / v


def quotient(
    function: Function, near: mp.mpf, high: mp.mpf, terms: int
) -> tuple[list[float], list[float]]:
    """A quotient of polynomials on [0, high], for a function that is singular at -near.

    It meets the function at Chebyshev points of log(x + near), which makes nearly equal errors.
    """
    count = 2 * terms - 1
    low_log, high_log = mp.log(near), mp.log(high + near)
    middle, half = (low_log + high_log) / 2, (high_log - low_log) / 2
    rows, values = mp.matrix(count), mp.matrix(count, 1)
    for i in range(count):
        x = mp.exp(middle - half * mp.cos(mp.pi * (2 * i + 1) / (2 * count))) - near
        values[i] = function(x)
        for j in range(terms):
            rows[i, j] = x**j
        for j in range(1, terms):
            rows[i, terms + j - 1] = -values[i] * x**j
    found = [float(c) for c in mp.lu_solve(rows, values)]
    return found[:terms], [1.0, *found[terms:]]


def split(value: mp.mpf, bits: int, parts: int) -> list[float]:
    """``value`` as a sum of doubles of which all but the last have at most ``bits`` bits."""
    pieces = []
    for _ in range(parts - 1):
        scale = mp.mpf(2) ** (bits - 1 - mp.floor(mp.log(abs(value), 2)))
        piece = mp.floor(value * scale) / scale
        pieces.append(float(piece))
        value -= piece
    return [*pieces, float(value)]


def show(name: str, numbers: list[float]) -> None:
    print(f"{name} = (")
    for number in numbers:
        print(f"    {number!r},")
    print(")")


def main() -> None:
    for fit in FITS:
        coefficients = [float(c) for c in remez(fit)]
        print(f"# {fit.meaning}; error {mp.nstr(largest_error(fit, coefficients), 2)}")
        show(fit.name, coefficients)
    for name, found in zip(
        ("ABOVE", "BELOW"),
        quotient(quantile_ratio, mp.mpf(1) / 4 - FARTHEST, FARTHEST, 9), strict=True,
    ):  # fmt: skip
        show(name, found)
    show("LN2", split(mp.log(2), 40, 2))
    show("HALF_PI", split(mp.pi / 2, 28, 3))


if __name__ == "__main__":
    main()
