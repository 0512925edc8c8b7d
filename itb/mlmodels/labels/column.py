"""A label column: values that look forward, and when each of them became known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from itb.market.bars import FloatArray, IntArray

if TYPE_CHECKING:
    from itb.market.bars import Bars

NEVER = -1


class Label(Protocol):
    """What a model is taught: one number per bar, computed from the bars after it."""

    @property
    def name(self) -> str:
        """Column name; the score of a model that learned it is called ``<name>_<algorithm>``."""

    @property
    def horizon(self) -> int:
        """How many later bars decide a value.

        Of a hindsight label, whose ``known_at`` differs from row to row, the fewest.
        """

    @property
    def is_binary(self) -> bool:
        """Whether values are 0 and 1, so that a classifier can learn them.

        A label of several classes lists them in ``classes``, an attribute that numbers need not have.
        """

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar; rows whose future is not there yet are NaN."""


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """Values per bar (NaN = unknown) and ``known_at``: the position of the bar at whose close a value became known.

    ``known_at`` is -1 where the value is NaN and later than its own row everywhere else. Both arrays are read-only.
    Raises ``ValueError`` when one of these promises is broken.

    >>> LabelColumn.after(np.array([0.0, 1.0, 1.0]), horizon=1).known_at.tolist()
    [1, 2, -1]
    """

    values: FloatArray
    known_at: IntArray

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        known_at = np.array(self.known_at, dtype=np.int64)
        if values.ndim != 1 or values.shape != known_at.shape:
            raise ValueError(
                f"values and known_at must be as long as each other, were {values.shape}, {known_at.shape}"
            )
        if not np.array_equal(np.isnan(values), known_at == NEVER):
            raise ValueError(f"known_at must be {NEVER} where the value is NaN and nowhere else")
        if (known_at[known_at != NEVER] <= np.flatnonzero(known_at != NEVER)).any():
            raise ValueError("a label must become known later than its own bar: otherwise it is a feature")
        values.flags.writeable = False
        known_at.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "known_at", known_at)

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def after(cls, values: FloatArray, horizon: int) -> LabelColumn:
        """Give a column whose rows are all known ``horizon`` bars later; the last ``horizon`` rows become NaN.

        Values that were settled sooner are held back too, so that what is known early (the quick moves) is not
        over-represented in the newest training rows.
        """
        held = np.array(values, dtype=np.float64)
        held[max(0, len(held) - horizon) :] = np.nan
        rows = np.arange(len(held), dtype=np.int64)
        return cls(held, np.where(np.isnan(held), NEVER, rows + horizon))


def label_reach(known_at: IntArray) -> int:
    """Give over how many bars labels reach at most: rows further apart than that share nothing of their future.

    >>> label_reach(np.array([2, 3, -1]))
    2
    """
    rows = np.flatnonzero(known_at != NEVER)
    return int((known_at[rows] - rows).max()) if len(rows) else 1


def shortest_reach(known_at: IntArray) -> int:
    """Give after how many bars the first of the labels is known at the earliest.

    >>> shortest_reach(np.array([2, 3, 9, -1]))
    2
    """
    rows = np.flatnonzero(known_at != NEVER)
    return int((known_at[rows] - rows).min()) if len(rows) else 1


def typical_reach(known_at: IntArray, share: float = 0.9) -> int:
    """Give a number of bars within which ``share`` of the labels are known; never for what must not leak.

    The longest reach of a hindsight label is often thousands of bars, of one row alone: stretches of time as long as
    that would leave too few of them to judge anything by. Where labels have a horizon, this is it.

    >>> typical_reach(np.array([2, 3, 4, 5, 99, -1]), share=0.8), typical_reach(np.array([-1]))
    (2, 1)
    """
    rows = np.flatnonzero(known_at != NEVER)
    if not len(rows):
        return 1
    return int(np.quantile(known_at[rows] - rows, share, method="inverted_cdf"))


def check_alias(alias: str) -> None:
    """Refuse a column name that could not be a file name."""
    if alias and not re.fullmatch(r"[A-Za-z0-9_.-]+", alias):
        raise ValueError(f'alias may hold letters, digits, "_", "." and "-", was {alias!r}')
