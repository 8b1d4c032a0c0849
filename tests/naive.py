"""The estimators in plain NumPy, on whole arrays, as FORMULAS.md writes them.

Nothing here comes from fastscore: it is what fastscore is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# --- the normal distribution, independent coordinates; x is (n, d), loc and scale are (d,) ---


def normal_log_prob(x, loc, scale):
    """``log p(x) = Σ_k −z²/2 − log σ − log √(2π)``, of shape (n,)."""
    z = (x - loc) / scale
    return np.sum(-0.5 * z**2 - np.log(scale) - 0.5 * np.log(2 * np.pi), axis=1)


def normal_score(x, loc, scale, by_log=False):
    """``∂_μ = z/σ``, ``∂_σ = (z² − 1)/σ``, ``∂_{log σ} = z² − 1``, of shape (n, 2 d)."""
    z = (x - loc) / scale
    by_scale = z**2 - 1 if by_log else (z**2 - 1) / scale
    return np.concatenate([z / scale, by_scale], axis=1)


def normal_fisher(scale, by_log=False):
    """``diag(1/σ², 2/σ²)``, or ``diag(1/σ², 2)`` by log σ."""
    by_scale = np.full_like(scale, 2.0) if by_log else 2 / scale**2
    return np.diag(np.concatenate([1 / scale**2, by_scale]))


# --- independent coordinates of 0 or 1; x is (n, d), probs are (d,) ---


def bernoulli_log_prob(x, probs):
    """``Σ_k x log p + (1 − x) log (1 − p)``, of shape (n,)."""
    return np.where(x == 1, np.log(probs), np.log1p(-probs)).sum(axis=1)


def bernoulli_score(x, probs, by_logit=False):
    """``x − p`` by the logit, ``(x − p)/(p (1 − p))`` by the probability, of shape (n, d)."""
    return (x - probs) / (1 if by_logit else probs * (1 - probs))


def bernoulli_fisher(probs, by_logit=False):
    """``diag(p (1 − p))`` by logits, its inverse by probabilities."""
    variance = probs * (1 - probs)
    return np.diag(variance if by_logit else 1 / variance)


# --- d independent variables of K classes; x is (n, d), weights are (d, K) ---


def categorical_log_prob(x, weights):
    """``Σ_k log (w_k[x_k] / Σ w_k)``, of shape (n,)."""
    with np.errstate(divide="ignore"):
        log_probs = np.log(weights / weights.sum(axis=1, keepdims=True))
    return log_probs[np.arange(len(weights)), x].sum(axis=1)


def categorical_score(x, weights, by_logit=False):
    """``1[x = a] − p_a`` by logits, divided by the weights by these, of shape (n, d K)."""
    score = (x[:, :, None] == np.arange(weights.shape[1])) - weights / weights.sum(1, keepdims=True)
    return (score if by_logit else score / weights).reshape(len(x), -1)


def categorical_fisher(weights, by_logit=False):
    """``diag(p) − p pᵀ`` of each variable by logits, divided by both weights by these."""
    d, classes = weights.shape
    out = np.zeros((d, classes, d, classes))
    for k, w in enumerate(weights):
        p = w / w.sum()
        out[k, :, k] = (np.diag(p) - np.outer(p, p)) / (1 if by_logit else np.outer(w, w))
    return out.reshape(weights.size, weights.size)


# --- the estimator; f is (n,), s and direct are (n, P), folds labels each sample ---


@dataclass(frozen=True)
class Estimate:
    """Value and gradient with standard errors, and what the baseline bought."""

    value: float
    value_stderr: float
    grad: np.ndarray
    stderr: np.ndarray
    variance_ratio: np.ndarray


def estimate(f, s, folds, baseline, direct=None):
    """``ĝ = (1/U) Σ_u (F_u − b_u S_u)``, F = f s + direct; each sample is a unit."""
    F = f[:, None] * s + (0 if direct is None else direct)
    terms = F - coefficients(f, F, s, folds, baseline, direct is not None) * s
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = standard_error(F) ** 2 / standard_error(terms) ** 2
    return Estimate(f.mean(), standard_error(f), terms.mean(0), standard_error(terms), ratio)


def standard_error(terms):
    """Of the mean of independent terms: ``se² = Σ (t − t̄)² / (U (U − 1))``; NaN for one."""
    units = len(terms)
    if units < 2:
        return np.full(terms.shape[1:], np.nan)[()]
    return np.sqrt(np.sum((terms - terms.mean(0)) ** 2, axis=0) / (units * (units - 1)))


def coefficients(f, F, s, folds, baseline, direct=False, weights=None):
    """b, of shape (n, P): what multiplies the score of each sample.

    Under weights, of which f are multiples, a mean is a sum of these over one of the weights.
    """
    n = len(f)
    weights = np.ones(n) if weights is None else weights
    if baseline is None or (n == 1 and isinstance(baseline, str)):
        return np.zeros_like(s)
    if not isinstance(baseline, str):
        return np.full_like(s, baseline)
    if baseline == "mean" and not direct:  # the mean of all but the sample itself
        return np.repeat((f.mean() + (f.mean() - f) / (n - 1))[:, None], s.shape[1], axis=1)
    b = np.empty_like(s)
    for k in np.unique(folds):
        others = folds != k
        mean = weighted_mean(f[others], weights[others])
        b[~others] = mean
        if baseline != "mean" and others.sum() > 10:
            b[~others] = shrunk_optimum(F[others], s[others], mean, pooled=baseline == "scalar")
    return b


def weighted_mean(f, weights):
    """0 if there is none."""
    return f.sum(axis=0) / weights.sum() if weights.any() else 0.0


def shrunk_optimum(F, s, mean, pooled):
    """``m + λ (b̂ − m)``, b̂ the slope of F on s with an intercept, of each or of all coordinates.

    ``λ = 1 − (10/U') v/(v + (b̂ − m)²)``, v = U'² Var(b̂) from the residuals.  Equal scores, which
    discrete samples may have, give 0/0, and m.
    """
    n = len(F)
    F, s = centred(F), centred(s)
    total = (lambda a: a.sum()) if pooled else (lambda a: a.sum(0))
    with np.errstate(invalid="ignore"):
        slope = total(F * s) / total(s**2)
        v = n * total((F - slope * s) ** 2) / total(s**2)
        doubt = np.where(v > 0, v / (v + (slope - mean) ** 2), 0)
    return np.where(np.isnan(slope), mean, mean + (1 - 10 / n * doubt) * (slope - mean))


def centred(a):
    """About the mean; of equal rows exactly 0."""
    a = a - a[0]
    return a - a.mean(0)


# --- the matrix baseline: F is regressed on the whole score ---


def matrix_terms(f, F, s, folds, weights=None):
    """``F_i − C_{−k} s_i`` of each sample, ``C_{−k} = m + λ (Ĉ − m)`` from the other folds."""
    terms = np.empty_like(F)
    weights = np.ones(len(f)) if weights is None else weights
    for k in np.unique(folds):
        others = folds != k
        mean = weighted_mean(f[others], weights[others])
        c = mean * np.eye(s.shape[1])
        if others.sum() > 10:
            c += shrunk_regression(F[others] - mean * s[others], s[others])
        for i in np.flatnonzero(~others):
            terms[i] = F[i] - c @ s[i]
    return terms


def shrunk_regression(F, s):
    """λ times the slope of F on the whole s, with an intercept, row by row.

    With r the rank of s, σ² the residual variance and δ what is explained beyond noise:
    ``cost = σ² r/(U' − r − 1)``, ``λ = δ/(δ + cost) (1 − (10 + 2 r)/U' σ²/(σ² + δ/U'))``.
    An entry that does not vary among the samples has no slope.
    """
    n, rms = len(s), np.sqrt(np.mean(s**2, axis=0))
    F, s = centred(F), centred(s)
    spread = np.sqrt(np.mean(s**2, axis=0))
    scale = np.where(spread > 1e-6 * rms, spread, np.inf)
    z = s / scale
    correlation = z.T @ z / n
    rank = np.linalg.matrix_rank(correlation, tol=1e-10, hermitian=True)
    free = n - rank - 1
    if rank == 0 or free < 1:
        return np.zeros((F.shape[1], s.shape[1]))
    slope = F.T @ z / n @ np.linalg.pinv(correlation, rcond=1e-10, hermitian=True) / scale
    residual = np.sum((F - s @ slope.T) ** 2, axis=0) / free
    explained = np.mean((s @ slope.T) ** 2, axis=0)
    delta = np.maximum(explained - residual * rank / n, 0)
    cost = residual * rank / free
    with np.errstate(invalid="ignore"):
        rate = np.where(cost > 0, delta / (delta + cost), 1)
        doubt = np.where(cost > 0, residual / (residual + delta / n), 0)
    return (rate * np.maximum(1 - (10 + 2 * rank) / n * doubt, 0))[:, None] * slope


# --- importance sampling from J proposals; log_p is (n,), log_q is (J, n), index says whose ---


def heuristic_weights(heuristic, log_q, counts, beta=2.0, alpha=0.1, weights=None):
    """``log w_j(x_i)`` of shape (J, n), from ``c_j = n_j q_j`` relative to the largest of them.

    Of equally large ones, to rounding, "maximum" takes the last.
    """
    log_c = np.log(counts)[:, None] + log_q
    top = log_c.max(axis=0)
    log_c = log_c - top
    with np.errstate(divide="ignore"):
        if heuristic == "constant":
            weights = np.full(len(log_q), 1 / len(log_q)) if weights is None else weights
            return np.repeat(np.log(weights)[:, None], log_q.shape[1], axis=1)
        if heuristic == "maximum":
            largest = log_c >= -1e-13 * (1 + np.abs(top))
            last = len(log_q) - 1 - np.argmax(largest[::-1], axis=0)
            return np.log(np.arange(len(log_q))[:, None] == last)
        if heuristic == "power":
            log_c = beta * log_c
        if heuristic == "cutoff":
            log_c = np.where(log_c >= np.log(alpha), log_c, -np.inf)
        return log_c - np.log(np.exp(log_c).sum(axis=0))


def importance_weights(heuristic, log_p, log_q, counts, index, clip=None, **options):
    """``W_i = w_j(x_i)/n_j · p(x_i)/q_j(x_i)`` of shape (n,), j the proposal that x_i came from.

    Of the mixture ``q̄ = Σ α_j q_j``, from which all came, ``W_i = p/q̄``.  Counts are those of a
    unit, whose samples have weights with a sum of mean 1; ``M W_i`` is cut at ``clip``.
    """
    counts = np.asarray(counts)
    if heuristic == "mixture":
        log_w = log_p - log_mixture(log_q, counts)
        size = 1
    else:
        each = np.arange(len(index))
        log_w = heuristic_weights(heuristic, log_q, counts, **options)[index, each]
        log_w = log_w - np.log(counts)[index] + log_p - log_q[index, each]
        size = counts.sum()
    w = np.exp(log_w)
    return w if clip is None else np.minimum(w, clip / size)


def log_mixture(log_q, counts):
    """``log q̄ = log Σ n_j q_j/N``, of shape (n,)."""
    log_c = np.log(counts / np.sum(counts))[:, None] + log_q
    top = log_c.max(axis=0)
    return top + np.log(np.exp(log_c - top).sum(axis=0))


def control_columns(log_p, log_q, counts, which):
    """Columns of mean 0 under q̄: ``q_j/q̄ − 1`` of each proposal, ``p/q̄ − 1``; (n, columns)."""
    log_q_bar = log_mixture(log_q, counts)
    rows = [*log_q] * ("proposals" in which) + [log_p] * ("target" in which)
    return np.exp(np.array(rows) - log_q_bar).T - 1


@dataclass(frozen=True)
class Units:
    """Sums over units: of ``W f``, of ``F = W (f s + direct)``, of ``W s`` and of W."""

    value: np.ndarray
    F: np.ndarray
    S: np.ndarray
    W: np.ndarray


def unit_sums(W, f, s, size, direct=0.0):
    """Of ``size`` samples each, one unit behind the other."""

    def summed(terms):
        return terms.reshape(-1, size, *terms.shape[1:]).sum(axis=1)

    W = W[:, None]
    terms = W * (f[:, None] * s + direct)
    return Units(summed(W[:, 0] * f), summed(terms), summed(W * s), summed(W[:, 0]))


def importance_estimate(units, folds, baseline, self_normalized=False):
    """``ĝ = (1/U) Σ_u (F_u − b_{−k} S_u)``, or ``Σ (F_u − b S_u) / Σ W_u``; folds label units.

    A ratio's error is that of ``(t_u − ĝ W_u)/W̄``.
    """
    total = units.W.mean() if self_normalized else 1.0

    def with_error(t):
        mean, W = t.mean(0) / total, units.W.reshape(-1, *[1] * (t.ndim - 1))
        return mean, standard_error((t - mean * W) / total if self_normalized else t)

    terms = unit_terms(units, folds, baseline, self_normalized)
    (value, value_stderr), (grad, stderr) = with_error(units.value), with_error(terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = with_error(units.F)[1] ** 2 / stderr**2
    return Estimate(value, value_stderr, grad, stderr, ratio)


def unit_terms(units, folds, baseline, self_normalized=False):
    """``F_u − b_{−k} S_u``, of shape (U, P).  The mean of the other folds is ``Σ W f / Σ W``.

    Self-normalised, the baseline "mean" is the value itself: then ĝ is the gradient of the
    self-normalised value.
    """
    if baseline == "mean" and self_normalized:
        baseline = units.value.mean() / units.W.mean()
    if baseline == "matrix" and len(units.W) > 1:
        return matrix_terms(units.value, units.F, units.S, folds, units.W)
    b = coefficients(
        units.value, units.F, units.S, folds, "mean" if baseline == "matrix" else baseline,
        direct=True, weights=units.W,
    )  # fmt: skip
    return units.F - b * units.S


# --- units of several draws: pairs, sets, strata, replicates; and control variates ---


@dataclass(frozen=True)
class Control:
    """A function h with known mean, at n samples.

    With the gradient of its mean, (P,), the control of entry k is ``h s_k − ∂_k E h``; without,
    and for the value, it is ``h − E h``.  A coefficient that is None is fitted.
    """

    h: np.ndarray
    mean: float
    gradient: np.ndarray | None = None
    coefficient: float | None = None

    def of_value(self):
        """Of shape (n,)."""
        return self.h - self.mean

    def of_entries(self, s):
        """Of shape (n, P)."""
        if self.gradient is None:
            return np.repeat(self.of_value()[:, None], s.shape[1], axis=1)
        return self.h[:, None] * s - self.gradient


def by_coordinate(w, s, coordinate):
    """``w_c(j) s_j``, which Rao-Blackwellization puts in place of ``f s_j``.

    The weights w (n, d) are of coordinates, ``coordinate`` says which one each score is of.
    """
    return w[:, coordinate] * s


def unit_means(terms, unit):
    """Means over the draws of each unit; ``unit`` labels samples from 0 on."""
    out = np.zeros((unit.max() + 1, *terms.shape[1:]))
    np.add.at(out, unit, terms)
    return out / np.bincount(unit).reshape(-1, *[1] * (terms.ndim - 1))


def unit_estimate(f, s, unit, folds, baseline, controls=(), terms=None, level=None):
    """From samples in independent units; ``folds`` labels units.

    ``terms`` (n, P) stand in place of ``f s``.  A baseline "mean" is that of ``level`` over the
    other folds: of f, or of weights by entry, (n, P).  A control whose coefficient a is given
    leaves ``f − a (h − E h)`` of f; where it goes by the score, the level of ``f − a h``.
    """
    F = f[:, None] * s if terms is None else terms
    without = standard_error(unit_means(F, unit))
    level = f if level is None else level
    for c in controls:
        if c.coefficient is not None:
            f, F = f - c.coefficient * c.of_value(), F - c.coefficient * c.of_entries(s)
            if c.gradient is not None:
                level = (level.T - c.coefficient * c.h).T
    fitted = [c for c in controls if c.coefficient is None]
    by_entry = [unit_means(c.of_entries(s), unit) for c in fitted]
    by_value = [unit_means(c.of_value()[:, None], unit) for c in fitted]
    f, F, S, level = (unit_means(a, unit) for a in (f, F, s, level))
    terms = controlled_terms(level, F, S, by_entry, folds, baseline)
    value = controlled_terms(f, f[:, None], np.zeros((len(f), 1)), by_value, folds, None)[:, 0]
    stderr = standard_error(terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = without**2 / stderr**2
    return Estimate(value.mean(), standard_error(value), terms.mean(0), stderr, ratio)


def controlled_terms(level, F, S, controls, folds, baseline):
    """``F_u − b_{−k} S_u − β_{−k} c_u``, of shape (U, P), from controls each of that shape.

    The optimal b is that of what the controls leave of F and of S; β regresses ``F − b S``.
    """
    if baseline == "matrix" and len(F) > 1:
        if controls:
            raise ValueError("the matrix baseline does not go with controls")
        return matrix_terms(level, F, S, folds)
    joint = baseline == "optimal" and len(controls) > 0
    b = coefficients(level, F, S, folds, "mean" if joint else baseline, direct=True)
    terms = F - b * S
    for k in np.unique(folds) if controls else ():
        others = folds != k
        if others.sum() <= 10:
            continue
        for j in range(F.shape[1]):
            F_j, S_j, c = F[:, j], S[:, j], np.stack([c[:, j] for c in controls], axis=1)
            slope = b[~others, j][0]
            if joint:
                slope = controlled_optimum(F_j[others], S_j[others], c[others], slope)
            rest = F_j - slope * S_j
            beta = shrunk_regression(rest[others, None], c[others])[0]
            terms[~others, j] = (rest - c @ beta)[~others]
    return terms


def controlled_optimum(F, S, c, mean):
    """The shrunk slope of F on S beside controls; the mean where they leave nothing of S."""
    c = centred(c)
    size = np.sqrt(np.sum(c**2, axis=0))
    c = c / np.where(size > 0, size, 1)

    def rest(a):
        return centred(a) - c @ np.linalg.lstsq(c, centred(a), rcond=1e-5)[0]

    if np.sum(rest(S) ** 2) <= 1e-13 * np.sum(S**2):
        return mean
    return shrunk_optimum(rest(F)[:, None], rest(S)[:, None], mean, pooled=False)[0]


# --- random streams, in Python's integers ---

WORD = 2**64
LANES = 8


def splitmix64(counter):
    """The output of splitmix64 whose state is ``counter``."""
    z = ((counter ^ (counter >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def stream_state(seed, block):
    """Four rows of eight lanes: the state of the stream of one block."""
    golden = 0x9E3779B97F4A7C15
    key = [int(word) for word in np.random.SeedSequence(seed).generate_state(2, np.uint64)]
    start = splitmix64(splitmix64((key[0] + (block + 1) * golden) % WORD) ^ key[1])
    words = [splitmix64((start + (i + 1) * golden) % WORD) for i in range(4 * LANES)]
    return [words[LANES * row : LANES * (row + 1)] for row in range(4)]


def rotate(x, count):
    """Bits of a word rotated to the left."""
    return (x << count) % WORD | x >> (64 - count)


def xoshiro256pp(state):
    """An endless sequence of words; lane l of step i gives word 8 i + l."""
    lanes = [list(lane) for lane in zip(*state, strict=True)]
    while True:
        for s in lanes:
            yield (rotate((s[0] + s[3]) % WORD, 23) + s[0]) % WORD
            shifted = (s[1] << 17) % WORD
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= shifted
            s[3] = rotate(s[3], 45)


def standard_normals(stream, count, run=512):
    """Box and Muller: half the words of a run make radii, the other half angles."""
    count = -(-count // 16) * 16
    out = []
    for start in range(0, count, run):
        half = min(run, count - start) // 2
        words = [next(stream) for _ in range(2 * half)]
        u = np.array([1 - (w >> 12) / 2**52 for w in words[:half]])
        radius = np.sqrt(-2 * np.log(u))
        angle = np.array([(w >> 12) / 2**52 * np.pi / 2 for w in words[half:]])
        signs = np.array([(1 - 2 * (w & 1), 1 - 2 * (w >> 1 & 1)) for w in words[half:]])
        out += [radius * np.cos(angle) * signs[:, 0], radius * np.sin(angle) * signs[:, 1]]
    return np.concatenate(out)
