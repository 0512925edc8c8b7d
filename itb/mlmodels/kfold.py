"""Purged k-fold: every part of history is scored once, by a model that learned from all the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from itb.market.bars import IntArray
from itb.mlmodels.labels.column import NEVER

Span = tuple[int, int]
IntTable = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CrossSplit:
    """One fit of a cross-validation: it learns from the rows ``train`` and scores those of the folds ``tested``.

    ``spans`` holds the first row of each such fold and the one after its last. It also learns from bars after those
    that it scores, therefore it is retrospective.
    """

    is_retrospective: ClassVar[bool] = True

    number: int
    tested: tuple[int, ...]
    spans: tuple[Span, ...]
    train: IntArray

    @property
    def test(self) -> IntArray:
        """Rows to score."""
        return np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in self.spans])


def fold_spans(bars: int, folds: int, first_bar: int = 0) -> tuple[Span, ...]:
    """Cut bars ``first_bar <= t < bars`` into folds of equal length; the last one also takes the remainder.

    >>> fold_spans(12, 5)
    ((0, 2), (2, 4), (4, 6), (6, 8), (8, 12))
    """
    size = (bars - first_bar) // folds
    if size < 1:
        raise ValueError(f"{folds} folds need at least {folds} bars, there are {max(0, bars - first_bar)}")
    starts = [first_bar + size * fold for fold in range(folds)]
    return tuple(zip(starts, [*starts[1:], bars], strict=True))


def purged_rows(
    known_at: IntArray, tested: Sequence[Span], *, embargo_bars: int = 0, embargo_before_bars: int = 0
) -> IntArray:
    """Give the rows whose label shares no bar with a label of the ``tested`` spans or with the embargo around them.

    The label of row t lies on the bars from t to ``known_at[t]``, both included. Rows before a tested span must be
    known before it, by more than ``embargo_before_bars``; rows after it must follow the last bar that its labels
    look at, by more than ``embargo_bars`` (Lopez de Prado, *Advances in Financial Machine Learning*, 7.4: there the
    embargo lies after the test only). Rows whose label is never known are not learned from.

    >>> purged_rows(np.arange(12) + 1, [(0, 4), (8, 12)]).tolist()
    [5, 6]
    """
    kept = known_at != NEVER
    for start, stop in tested:
        reach = max(stop - 1, int(known_at[start:stop].max(initial=NEVER)))
        kept[:start] &= known_at[:start] + embargo_before_bars < start
        kept[start : reach + embargo_bars + 1] = False
    return np.flatnonzero(kept).astype(np.int64)


@dataclass(frozen=True)
class PurgedKFold:
    """Cut history into ``folds`` parts and score each by a model of the others, purged and with embargo.

    Its models have seen the future of what they score: what it says is about how steady a model is, never about money
    that could have been earned.

    >>> for split in PurgedKFold(folds=3).splits(np.arange(9) + 1):
    ...     print(split.tested, split.train.tolist(), split.test.tolist())
    (0,) [4, 5, 6, 7, 8] [0, 1, 2]
    (1,) [0, 1, 7, 8] [3, 4, 5]
    (2,) [0, 1, 2, 3, 4] [6, 7, 8]
    """

    is_retrospective: ClassVar[bool] = True

    folds: int = 5
    embargo_bars: int = 0
    embargo_before_bars: int = 0
    first_bar: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, was {self.folds}")
        check_margins(self.embargo_bars, self.embargo_before_bars, self.first_bar)

    @property
    def paths(self) -> int:
        """How many scores each bar gets."""
        return 1

    def splits(self, known_at: IntArray) -> Iterator[CrossSplit]:
        """Give the fits in order of the fold they score; ``known_at`` is that of the label's column."""
        for number, (start, stop) in enumerate(fold_spans(len(known_at), self.folds, self.first_bar)):
            rows = purged_rows(
                known_at,
                [(start, stop)],
                embargo_bars=self.embargo_bars,
                embargo_before_bars=self.embargo_before_bars,
            )
            yield CrossSplit(number, (number,), ((start, stop),), rows[rows >= self.first_bar])

    def path_ids(self) -> IntTable:
        """Tell for every fit and every fold it scores to which path the scores belong: all to path 0."""
        return np.zeros((self.folds, 1), dtype=np.int64)


def check_margins(embargo_bars: int, embargo_before_bars: int, first_bar: int) -> None:
    """Refuse negative numbers of bars."""
    for name, value in (
        ("embargo_bars", embargo_bars),
        ("embargo_before_bars", embargo_before_bars),
        ("first_bar", first_bar),
    ):
        if value < 0:
            raise ValueError(f"{name} must be at least 0, was {value}")
