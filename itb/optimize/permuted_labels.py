"""Labels at other rows than their own: what a model learns that has nothing to learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.market.timeframe import DAY_MS
from itb.mlmodels.labels.column import NEVER, LabelColumn, typical_reach
from itb.optimize.null_baselines import permuted_blocks

if TYPE_CHECKING:
    from itb.mlmodels.table import TrainingTable

_FEWEST_BLOCKS = 4  # of a stretch, if there are so many


@dataclass(frozen=True)
class PermutedLabels:
    """Puts the labels of a training table into another order, everything else being left as it is.

    They move in blocks of twice the bars within which most labels are known, a day at least, so that neighbours stay
    as alike as they are; and within stretches of ``stretch`` rows, so that quiet and busy times keep their labels'
    mean. ``seed`` says which order: a table gets the same one each time.
    """

    stretch: int
    seed: int

    def __call__(self, table: TrainingTable) -> TrainingTable:
        """Give the table with other labels; raise ``ValueError`` for too few rows to permute."""
        block = max(2 * typical_reach(table.label.known_at), DAY_MS // table.timeframe.ms, 1)
        rng = np.random.default_rng(self.seed)
        return replace(table, label=permuted_label(table.label, block=block, stretch=self.stretch, rng=rng))


def permuted_label(label: LabelColumn, *, block: int, stretch: int, rng: np.random.Generator) -> LabelColumn:
    """Give every row that has a label the label of another row, never its own.

    Rows with a label are cut into stretches of ``stretch`` rows or a little more (four blocks at least), these into
    blocks of ``block`` rows, and the blocks of a stretch are put into a random order in which none stays in its place.
    A permuted label counts as known when both its own row's and its source's would be: so a walk-forward, a calibrator
    or a stack that purges by ``known_at`` learns from nothing that was not known, here as ever. Raises ``ValueError``
    for fewer rows with a label than two blocks.

    >>> label = LabelColumn.after(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0]), horizon=1)
    >>> moved = permuted_label(label, block=2, stretch=6, rng=np.random.default_rng(1))
    >>> moved.values.tolist(), moved.known_at.tolist()
    ([5.0, 1.0, 2.0, 3.0, 4.0, nan], [5, 2, 3, 4, 5, -1])
    """
    rows = np.flatnonzero(label.known_at != NEVER)
    if len(rows) < 2 * block:
        raise ValueError(f"{len(rows)} labels are too few to permute in blocks of {block} rows")
    values, known_at = label.values.copy(), label.known_at.copy()
    stretches = max(1, len(rows) // max(stretch, _FEWEST_BLOCKS * block))
    for places in np.array_split(rows, stretches):
        source = places[_moved(len(places), block, rng)]
        values[places] = label.values[source]
        known_at[places] = np.maximum(label.known_at[places], label.known_at[source])
    return LabelColumn(values, known_at)


def _moved(count: int, block: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Draw an order of blocks until none stays in its place, which takes three draws or so."""
    while True:
        order = permuted_blocks(count, block, rng)
        if (order != np.arange(count)).all():
            return order
