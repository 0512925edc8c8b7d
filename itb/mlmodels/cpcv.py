"""Combinatorial purged cross-validation: many histories of scores out of one history of bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np

from itb.market.bars import IntArray
from itb.mlmodels.kfold import CrossSplit, IntTable, check_margins, fold_spans, purged_rows


@dataclass(frozen=True)
class CombinatorialPurged:
    """Score every choice of ``test_folds`` out of ``folds`` parts by a model of the others.

    Each part is scored ``paths`` times, so that as many complete score histories can be put together (Lopez de Prado,
    *Advances in Financial Machine Learning*, chapter 12). Purge and embargo are those of
    :func:`itb.mlmodels.kfold.purged_rows`. Its models have seen the future of what they score.

    >>> cut = CombinatorialPurged(folds=6, test_folds=2)
    >>> cut.fits, cut.paths
    (15, 5)
    >>> CombinatorialPurged(folds=3).path_ids().tolist()
    [[0, 0], [1, 0], [1, 1]]
    """

    is_retrospective: ClassVar[bool] = True

    folds: int = 6
    test_folds: int = 2
    embargo_bars: int = 0
    embargo_before_bars: int = 0
    first_bar: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, was {self.folds}")
        if not 1 <= self.test_folds < self.folds:
            raise ValueError(
                f"test_folds must be from 1 to {self.folds - 1}, so that a fold is left to learn from, "
                f"was {self.test_folds}"
            )
        check_margins(self.embargo_bars, self.embargo_before_bars, self.first_bar)

    @property
    def fits(self) -> int:
        """How many models are fitted."""
        return comb(self.folds, self.test_folds)

    @property
    def paths(self) -> int:
        """How many complete score histories there are: ``test_folds / folds * fits``."""
        return comb(self.folds - 1, self.test_folds - 1)

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """Which folds each fit scores."""
        return tuple(combinations(range(self.folds), self.test_folds))

    def splits(self, known_at: IntArray) -> Iterator[CrossSplit]:
        """Give the fits in lexical order of the folds they score; ``known_at`` is that of the label's column."""
        spans = fold_spans(len(known_at), self.folds, self.first_bar)
        for number, tested in enumerate(self.choices):
            chosen = tuple(spans[fold] for fold in tested)
            rows = purged_rows(
                known_at,
                chosen,
                embargo_bars=self.embargo_bars,
                embargo_before_bars=self.embargo_before_bars,
            )
            yield CrossSplit(number, tested, chosen, rows[rows >= self.first_bar])

    def path_ids(self) -> IntTable:
        """Tell for every fit and every fold it scores to which path the scores belong.

        The n-th fit that scores a fold gives that fold's part of path n.
        """
        ids: IntTable = np.zeros((self.fits, self.test_folds), dtype=np.int64)
        seen = [0] * self.folds
        for number, tested in enumerate(self.choices):
            for place, fold in enumerate(tested):
                ids[number, place] = seen[fold]
                seen[fold] += 1
        return ids
