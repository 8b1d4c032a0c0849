"""Attributes that are computed once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    cached = cached_property
else:

    class cached(cached_property):
        """`functools.cached_property` without the lock that it has in Python 3.11.

        That is one per class: instances in different threads wait for each other, and a child
        forked meanwhile waits for ever.  Two threads may compute the same value; the first is kept.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            """The value, computed at first use."""
            if instance is None:
                return self
            values = instance.__dict__
            if self.attrname not in values:
                values.setdefault(self.attrname, self.func(instance))
            return values[self.attrname]
