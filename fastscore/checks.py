"""Checks of what users pass in: errors name the argument, quote it and say what would do."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np


def one_of(name: str, value: Any, options: Iterable[str]) -> None:
    """Raise a ValueError that lists the options if ``value`` is none of them."""
    listed = list(options)
    if not isinstance(value, str) or value not in listed:
        raise ValueError(
            f"{name}={value!r} is unknown: choose one of {', '.join(map(repr, listed))}"
        )


def count(name: str, value: Any) -> int:
    """A positive integer.

    Raises
    ------
    TypeError, ValueError
        If it is not an integer, or not positive.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is not an integer: give a positive integer") from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={value!r} is a truth value: give a positive integer")
    if number < 1:
        raise ValueError(f"{name}={value!r} is not positive: give an integer of at least 1")
    return number


def exactly_one(owner: str, **given: Any) -> tuple[str, Any]:
    """Name and value of the one argument that is not None.

    Raises
    ------
    TypeError
        If none or several are given.
    """
    found = [(name, value) for name, value in given.items() if value is not None]
    if len(found) != 1:
        raise TypeError(f"{owner} takes either {' or '.join(given)}: give exactly one of them")
    return found[0]


def parameter(name: str, value: Any, least: float | None = None) -> np.ndarray:
    """A read-only float64 copy of a parameter, checked to be real, finite and not empty.

    Entries may also be ``least``, such as a minus infinity that has a meaning.
    """
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "biuf":
            raise TypeError(f"dtype {given.dtype}")
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}={value!r} is not an array of real numbers ({error})") from error
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, without an entry: give at least one")
    allowed = "finite" if least is None else f"finite or {least}"
    require(name, array, np.isfinite(array) | (array == least), allowed)
    array.flags.writeable = False
    return array


def require(name: str, array: np.ndarray, holds: np.ndarray, what: str) -> None:
    """Raise a ValueError that quotes the first entry for which a condition fails."""
    if holds.all():
        return
    where = np.unravel_index(int(np.argmin(holds)), array.shape)
    at = f"[{', '.join(map(str, where))}]" if array.ndim else ""
    raise ValueError(f"{name}{at} = {float(array[where])!r}: {name} must be {what}")
