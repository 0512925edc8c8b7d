"""The values of one function over several windows, made relative to one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from itb.market.bars import FloatArray

RelBase = Literal["", "next", "last", "prev", "first"]
RelFunc = Literal["", "rel", "diff", "rel_diff"]


@dataclass(frozen=True)
class WindowRelative:
    """Relate each window's series to that of another window, in the order the windows are given.

    The intelligent-trading-bot's post-processing of talib and itbstats. ``rel_base`` says to which: the ``next`` in
    the list, the ``last``, the one before (``prev``), the ``first``; the series without such a base stays as it is.
    (The original takes the last series for ``first``; here it is the first.) ``rel_func`` says how: ``rel`` is
    ``x / base``, ``diff`` is ``x - base``, ``rel_diff`` is ``(x - base) / base``. Then ``percentage`` multiplies all
    series by 100, and ``log`` takes natural logarithms. NaN where a base is 0, and for the logarithm of what is not
    above 0.

    >>> fast, slow = np.array([11.0]), np.array([10.0])
    >>> [float(x.round(3)[0]) for x in WindowRelative("next", "rel_diff", percentage=True)([fast, slow])]
    [10.0, 1000.0]
    """

    rel_base: RelBase = ""
    rel_func: RelFunc = ""
    percentage: bool = False
    log: bool = False

    def __post_init__(self) -> None:
        for name, kinds in (("rel_base", RelBase), ("rel_func", RelFunc)):
            if getattr(self, name) not in get_args(kinds):
                known = ", ".join(get_args(kinds)[1:])
                raise ValueError(f"{name} must be one of {known}, was {getattr(self, name)!r}")
        if bool(self.rel_base) != bool(self.rel_func):
            given, missing = ("rel_base", "rel_func") if self.rel_base else ("rel_func", "rel_base")
            raise ValueError(f"{given} needs {missing} beside it; give both or neither")

    @property
    def changes_nothing(self) -> bool:
        """Whether series stay as they are."""
        return self == WindowRelative()

    def __call__(self, series: Sequence[FloatArray]) -> list[FloatArray]:
        """Give the series, one per window, in the same order."""
        return [self._finish(self._related(series, place)) for place in range(len(series))]

    def _related(self, series: Sequence[FloatArray], place: int) -> FloatArray:
        last = len(series) - 1
        base_of = {"next": min(place + 1, last), "last": last, "prev": max(place - 1, 0), "first": 0}
        at = base_of.get(self.rel_base, place)
        values = series[place]
        if at == place:
            return values
        base = series[at]
        part = values if self.rel_func == "rel" else values - base
        if self.rel_func == "diff":
            return part
        share: FloatArray = np.divide(part, base, out=np.full(len(base), np.nan), where=base != 0)
        return share

    def _finish(self, values: FloatArray) -> FloatArray:
        values = values * 100.0 if self.percentage else values
        if not self.log:
            return values
        return np.log(values, out=np.full(len(values), np.nan), where=values > 0)
