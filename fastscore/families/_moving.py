"""Constants with which a support moves: there is no derivative by them, and here is why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastscore.checks import one_of


def reason(p: Any, name: str) -> str | None:
    """Why a distribution, or a class, has no derivative by a name, if that moves its support."""
    owner, dot, own = name.rpartition(".")
    if owner + dot + own.removeprefix("log_") not in p.moving:
        return None
    of = p.__name__ if isinstance(p, type) else repr(p)
    return (
        f"there is no derivative by {name}: the support of {of} moves with it, and what happens at "
        "the ends of a support no score sees. Draw u from a fixed distribution, such as "
        f"fs.Uniform(0.0, 1.0), write x as a function of u and {own}, such as "
        "low + (high - low)*u, and average the derivative of f by it"
    )


def require_parameter(argument: str, name: Any, p: Any) -> None:
    """Raise a ValueError if a name is no parameter of a distribution."""
    why = reason(p, name) if isinstance(name, str) else None
    if why is not None:
        raise ValueError(f"{argument}={name!r}: {why}")
    one_of(argument, name, p.parameters)


def require_parameters(p: Any) -> None:
    """Raise a ValueError if there is none to differentiate by."""
    if not p.parameters:
        why = reason(p, p.moving[0]) if p.moving else repr(p)
        raise ValueError(f"p has no parameter to differentiate by: {why}")


class ByParameter(Mapping[str, Any]):
    """One value per parameter of a distribution; equal to a dict of the same.

    Parameters
    ----------
    p : Family
        The distribution.
    values : mapping of str to object
        The values.
    """

    def __init__(self, p: Any, values: Mapping[str, Any]) -> None:
        self._p, self._values = p, values

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise KeyError(reason(self._p, str(name)) or name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


__all__ = ["ByParameter", "reason", "require_parameter", "require_parameters"]
