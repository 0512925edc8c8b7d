"""Fit and score a network over the splits of a cross-validation, or of a file: all coins at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.mlmodels.deep.once import fit_on, known_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.mlmodels.crossfit import CrossValidation
    from itb.mlmodels.deep.panel import Panel
    from itb.mlmodels.deep.walk import PanelWalk
    from itb.mlmodels.split_file import SetsSplit


@dataclass(frozen=True, eq=False)
class PanelCross:
    """Scores of every path (paths x times x coins; NaN where no model spoke) on the raster of ``panel``.

    ``is_retrospective``: models had learned from bars after those that they scored.
    """

    panel: Panel
    scores: npt.NDArray[np.float64]
    is_retrospective: bool
    notes: tuple[str, ...] = ()


def cross_panel(
    walk: PanelWalk, cut: CrossValidation, progress: Callable[[int, int, str], None] | None = None
) -> PanelCross:
    """Fit every split of ``cut``, counted in times of the raster, and put its scores together to paths.

    A label counts as known when that of the last coin is. A split with too few rows leaves NaN and a note. Raises
    :class:`ModelError` when no split could be fitted.
    """
    panel, path_ids = walk.panel, cut.path_ids()
    scores: npt.NDArray[np.float64] = np.full((cut.paths, *panel.there.shape), np.nan)
    notes, fitted = list[str](), 0
    for split in cut.splits(known_rows(walk)):
        if progress is not None:
            progress(split.number, len(path_ids), f"{walk.column}: fold {'+'.join(map(str, split.tested))}")
        try:
            model = fit_on(walk, split.train, split.spans)
        except ModelError as error:
            notes.append(f"fit {split.number}: {error}: not fitted")
            continue
        for (start, stop), path in zip(split.spans, path_ids[split.number], strict=True):
            scores[path, start:stop] = model.scores(panel, range(start, stop))
        fitted += 1
    if not fitted:
        raise ModelError(f"no split could be fitted ({notes[0]}): load more bars, or use fewer folds")
    return PanelCross(panel, scores, is_retrospective=True, notes=tuple(notes))


def split_panel(walk: PanelWalk, split: SetsSplit, embargo_bars: int = 0) -> PanelCross:
    """Learn from the training ranges of a split file, purged, and score its test ranges.

    Raises :class:`ModelError` when there is nothing to learn from or to score.
    """
    panel, known_at = walk.panel, known_rows(walk)
    spans = [part.span(panel.open_time) for part in split.of("test")]
    spans = [(start, stop) for start, stop in spans if start < stop]
    if not spans:
        raise ModelError("no bar lies in a range of type test; compare their times with the data's")
    rows = split.rows(panel.open_time, known_at, "training", embargo_bars)
    try:
        model = fit_on(walk, rows, spans)
    except ModelError as error:
        raise ModelError(f"{walk.label}: the training ranges hold too little: {error}") from None
    scores = np.full((1, *panel.there.shape), np.nan)
    for start, stop in spans:
        scores[0, start:stop] = model.scores(panel, range(start, stop))
    is_late = int(known_at[rows].max()) + embargo_bars >= min(start for start, _ in spans)
    return PanelCross(panel, scores, is_retrospective=is_late)
