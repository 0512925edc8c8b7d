"""What each refit was taught: how many labels, how they were balanced, how much of their own story each told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.labels.dropped import Dropped
from itb.mlmodels.uniqueness import average_uniqueness, label_spans

if TYPE_CHECKING:
    from itb.market.bars import IntArray
    from itb.mlmodels.labels.column import LabelColumn
    from itb.mlmodels.splits import Block

NAN = float("nan")


@dataclass(frozen=True)
class FoldLesson:
    """One refit's labels.

    ``learned`` rows with mean label ``learned_mean`` (of flags: the share of ones), then ``scored`` rows whose label
    was known in the end, with mean ``scored_mean``. ``uniqueness`` is the mean share of its bars that a learned label
    has to itself, so ``learned x uniqueness`` is about the number of separate stories. ``dropped`` is the share of the
    window's rows that were not known at the fit.
    """

    learned: int
    learned_mean: float
    scored: int
    scored_mean: float
    uniqueness: float
    dropped: float


def fold_lesson(label: LabelColumn, block: Block, learned: IntArray) -> FoldLesson:
    """Look at one refit, which learned from some rows of a whole history's label."""
    came = label.values[block.test_start : block.test_stop]
    came = came[np.isfinite(came)]
    dropped = Dropped.of(label, block.train_start, block.fit_bar + 1, block.known_until)
    return FoldLesson(
        learned=len(learned),
        learned_mean=float(label.values[learned].mean()) if len(learned) else NAN,
        scored=len(came),
        scored_mean=float(came.mean()) if len(came) else NAN,
        uniqueness=float(average_uniqueness(*label_spans(learned, label.known_at)).mean()) if len(learned) else NAN,
        dropped=dropped.share,
    )
