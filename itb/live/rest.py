"""What is left of a row that grows at its end and lets go of its beginning: places stay what they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np

from itb.errors import BarsError

T = TypeVar("T")


class Rest(Generic[T]):
    """The values from place ``first`` on, seen by their places in the whole row.

    A place that was let go of raises :class:`itb.errors.BarsError`; a slice gives what is left of it.

    >>> rest = Rest([30, 40, 50], first=2)
    >>> len(rest), rest[2], rest[-1], rest[0:4], rest.left()
    (5, 30, 50, [30, 40], [30, 40, 50])
    """

    def __init__(self, values: Any, first: int = 0) -> None:
        self._values, self.first = values, first

    def __len__(self) -> int:
        return self.first + len(self._values)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Any: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return self._values[max(0, start - self.first) : max(0, stop - self.first) : step]
        at = place + len(self) if place < 0 else place
        if at < self.first:
            raise BarsError(
                f"place {at:,} of {len(self):,} was let go of, the last {len(self._values):,} are kept; a running bot "
                "keeps what its features and indicators need: look back less far, or raise live.history"
            )
        return self._values[at - self.first]

    def left(self) -> Any:
        """Give all that is left."""
        return self._values

    def searchsorted(self, value: Any, side: Any = "left") -> int:
        """Give the place where a value belongs among those that are left, which are sorted."""
        return self.first + int(np.searchsorted(self._values, value, side))


class Tail(Rest[T]):
    """A list that keeps at least its last ``keep`` values, and less than twice as many; all of them if 0.

    >>> tail = Tail([1, 2], keep=2)
    >>> tail.extend([3, 4, 5])
    >>> len(tail), tail[-2:], tail.first
    (5, [4, 5], 3)
    """

    def __init__(self, values: Sequence[T] = (), keep: int = 0) -> None:
        super().__init__([])
        self.keep = keep
        self.extend(values)

    def append(self, value: T) -> None:
        """Add a value at the end."""
        self.extend((value,))

    def extend(self, values: Sequence[T]) -> None:
        """Add values at the end."""
        self._values.extend(values)
        if self.keep and len(self._values) >= 2 * self.keep:
            self.first += len(self._values) - self.keep
            del self._values[: -self.keep]
