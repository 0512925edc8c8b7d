"""What one refit learns from: rows of a panel evenly apart, and the newest of them held back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from itb.market.bars import FloatArray
from itb.mlmodels.deep.panel import Panel, Targets

Table = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PanelLesson:
    """Rows to learn from and rows held back, each with labels (rows x coins, NaN where they must not be known).

    What is learned knows nothing of the rows held back: their labels were known before the first of those. Bars of the
    spans ``hidden`` shape no scale: they are to be scored.
    """

    panel: Panel
    rows: range
    labels: Table
    tail: range
    tail_labels: Table
    hidden: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, panel: Panel, targets: Targets, rows: range, until: int, tail_fraction: float) -> PanelLesson:
        """Cut ``rows`` whose labels were known at the close of row ``until``."""
        known = targets.known(0, until)[rows.start : rows.stop : rows.step]
        told = np.flatnonzero(~np.isnan(known).all(axis=1))
        last = int(told[-1]) + 1 if len(told) else 0
        rows, known = rows[:last], known[:last]
        start = len(rows) - round(len(rows) * tail_fraction)
        tail = rows[start:]
        before = targets.known(0, tail[0] - 1)[rows.start : rows.stop : rows.step] if len(tail) else known
        learned = np.flatnonzero(~np.isnan(before).all(axis=1))
        stop = int(learned[-1]) + 1 if len(learned) else 0
        return cls(panel, rows[:stop], before[:stop], tail, known[start:])

    @property
    def cells(self) -> int:
        """How many labels there are to learn from."""
        return int(np.isfinite(self.labels).sum())

    def input_scale(self, steps: int) -> tuple[FloatArray, FloatArray]:
        """Give mean and standard deviation of each channel over the bars of the rows to learn from, and no other."""
        part = slice(self.rows[0] - steps + 1, self.rows[-1] + 1)
        shown = np.ones(part.stop, dtype=np.bool_)
        for start, stop in self.hidden:
            shown[start:stop] = False
        shown = shown[part]
        centre, scale = np.zeros(len(self.panel.channels)), np.ones(len(self.panel.channels))
        for place, channel in enumerate(self.panel.cells):
            values = channel[part].astype(np.float64)
            values = values[np.isfinite(values) & shown]
            if len(values):
                centre[place] = values.mean()
                scale[place] = values.std() or 1.0
        return centre, scale

    def label_scale(self) -> tuple[FloatArray, FloatArray]:
        """Give standard deviation and mean of each coin's labels; a deviation of NaN where nothing can be learned."""
        unit, level = np.full(self.labels.shape[1], np.nan), np.zeros(self.labels.shape[1])
        for coin, labels in enumerate(self.labels.T):
            known = labels[np.isfinite(labels)]
            if len(known) > 1 and known.std() > 0:
                unit[coin], level[coin] = known.std(), known.mean()
        return unit, level

    def batches(self, batch_rows: int, draw: np.random.Generator) -> Iterator[slice]:
        """Cut the rows into batches in a drawn order, each of rows evenly apart over the whole of them.

        The windows of such a batch are a view of the panel. Each epoch draws anew where the first one begins, so that
        rows meet others.

        >>> [list(range(7)[part]) for part in even_batches(7, 3, np.random.default_rng(0))]
        [[1, 3, 5], [2, 4, 6]]
        """
        return even_batches(len(self.rows), batch_rows, draw)


def even_batches(rows: int, batch_rows: int, draw: np.random.Generator) -> Iterator[slice]:
    """Cut ``rows`` places into batches of about ``batch_rows``."""
    apart = max(1, rows // batch_rows)
    begin = int(draw.integers(apart))
    for place in draw.permutation(apart):
        yield slice(begin + int(place), rows, apart)
