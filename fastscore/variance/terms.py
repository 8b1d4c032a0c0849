"""Rao-Blackwellization: which terms of f weigh a score entry, and whether the others leave it be.

If ``p = Π p_i`` and ``f = Σ f_t``, then ``E[f_t s_i] = E[f_t] E[s_i] = 0`` for every term that
does not depend on coordinate i: ``g_i = E[Σ_{t∋i} f_t s_i]``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastscore.families import Family

#: Samples at which each claim is tried, if that is cheap, and evaluations that are always allowed.
_TRIED = 4
_CHEAP = 256
#: So small a relative change is rounding.
_ROUNDING = 1e-9


def owners_and_groups(p: Family, what: str) -> tuple[np.ndarray, np.ndarray]:
    """The coordinate of each natural score column, and labels of dependent coordinates.

    Raises
    ------
    ValueError
        If p is no product.
    """
    try:
        return p.owners, p.groups
    except ValueError as error:
        raise ValueError(
            f"{what} needs independent coordinates, or groups of them, and {error}: leave it out"
        ) from None


def reach(depends: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """On which coordinates a term depends, those counted that are not independent of its own.

    Raises
    ------
    ValueError
        If the matrix does not fit the coordinates.
    """
    if depends.shape[1] != groups.size:
        raise ValueError(
            f"depends has shape {depends.shape}, and p {groups.size} coordinates: give (T, "
            f"{groups.size})"
        )
    out = depends.copy()
    for label in np.unique(groups[np.bincount(groups)[groups] > 1]):
        own = groups == label
        out[:, own] = depends[:, own].any(axis=1, keepdims=True)
    return out


def check_depends(
    reached: np.ndarray, groups: np.ndarray, draw: Callable[[int], np.ndarray],
    terms_at: Callable[[np.ndarray], np.ndarray], n: int,
) -> None:  # fmt: skip
    """Change all coordinates but those that a term is said to depend on, and see that it stays.

    Parameters
    ----------
    reached : ndarray of bool, of shape (T, d)
        See `reach`.
    groups : ndarray
        Labels of dependent coordinates, which change together.
    draw : callable
        Gives so many samples, (m, d).
    terms_at : callable
        Terms (m, T) at samples.
    n : int
        Samples of the run: the check takes at most a hundredth of them, or a few.

    Raises
    ------
    ValueError
        If a term changes.
    """
    kept = np.unique(np.packbits(reached, axis=1), axis=0)
    kept = np.unpackbits(kept, axis=1, count=reached.shape[1]).astype(bool)
    kept = kept[~kept.all(axis=1)]
    most = max(_CHEAP, n // 100)
    if not len(kept):
        return
    tried = max(1, min(_TRIED, most // len(kept)))
    if len(kept) > most:
        kept = kept[np.random.default_rng(0).permutation(len(kept))[:most]]
    base, other = np.split(draw(2 * tried), 2)
    at_base = terms_at(base)
    changed = np.where(kept[:, None], base, other).reshape(-1, base.shape[1])
    at_changed = terms_at(changed).reshape(len(kept), tried, -1)
    for own, values in zip(kept, at_changed, strict=True):
        said_to_stay = ~(reached & ~own).any(axis=1)
        wrong = np.argwhere(_differ(values, at_base) & said_to_stay)
        if len(wrong):
            i, t = wrong[0]
            _blame(t, base[i], other[i], np.unique(groups[~own]), groups, terms_at)


def _differ(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(a - b) > _ROUNDING * (np.abs(a) + np.abs(b))


def _blame(
    t: int, base: np.ndarray, other: np.ndarray, suspects: np.ndarray, groups: np.ndarray,
    terms_at: Callable[[np.ndarray], np.ndarray],
) -> None:  # fmt: skip
    """Find which coordinate it was."""
    alone = np.where(groups == suspects[:, None], other, base)
    before, after = terms_at(base[None])[0, t], terms_at(alone)[:, t]
    found = np.flatnonzero(_differ(after, np.full_like(after, before)))
    where = ", ".join(map(str, suspects if not len(found) else np.flatnonzero(
        groups == suspects[found[0]]
    )))  # fmt: skip
    raise ValueError(
        f"depends: term {t} of f changes with coordinate {where}, on which depends[{t}] says that "
        "it does not depend. The gradient would be wrong: mend depends"
    )


__all__ = ["check_depends", "owners_and_groups", "reach"]
