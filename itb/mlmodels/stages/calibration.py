"""Calibration of a score column: each block by a calibrator that was fitted, and kept, when its model was."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

from itb.mlmodels.calibrated import BlockCalibration, apply_forward, fit_forward
from itb.mlmodels.calibrators import CALIBRATORS
from itb.mlmodels.stages.kept import FittedPart, StageKind, keep_parts

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.stages.column import ScoreColumn
    from itb.mlmodels.timeline import ModelTimeline

Method = Literal["platt", "isotonic", "beta"]
NAME = "calibration"


@dataclass(frozen=True)
class Calibration:
    """Turn probabilities into ones that come true as often as they say.

    ``method`` is a name of :data:`itb.mlmodels.calibrators.CALIBRATORS`. A block's calibrator learns from all
    out-of-sample scores of earlier blocks whose labels were known when the block's model was fitted; scores stay NaN
    until there are ``min_rows`` of these.
    """

    method: Method = "platt"
    min_rows: int = 500

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f'method must be "platt", "isotonic" or "beta", was {self.method!r}')
        if self.min_rows < 2:
            raise ValueError(f"min_rows must be at least 2, was {self.min_rows}")

    def fits(self, column: ScoreColumn) -> tuple[BlockCalibration, ...]:
        """Fit the calibrator of every block."""
        if not column.is_probability:
            raise ValueError(f"{column.name} estimates a number; only probabilities can be calibrated")
        found = fit_forward(
            column.scores,
            column.label,
            column.blocks,
            CALIBRATORS[self.method](),
            min_rows=self.min_rows,
            embargo_bars=column.embargo_bars,
        )
        return tuple(found)

    def __call__(self, column: ScoreColumn) -> ScoreColumn:
        """Give the calibrated column."""
        return column.with_scores(apply_forward(column.scores, self.fits(column)), 0.0, 1.0)

    def keep(self, column: ScoreColumn, folder: Path) -> tuple[ScoreColumn, ModelTimeline]:
        """Calibrate, and write every calibrator into ``folder``."""
        fits = self.fits(column)
        kind = StageKind(NAME, self.method, asdict(self))
        timeline = keep_parts(kind, column, map(_part, fits), folder)
        return column.with_scores(apply_forward(column.scores, fits), 0.0, 1.0), timeline


def _part(fit: BlockCalibration) -> FittedPart:
    return FittedPart(
        fit_bar=fit.block.fit_bar,
        speaks_from=fit.block.test_start,
        last_row=int(fit.rows[-1]) if len(fit.rows) else fit.block.fit_bar,
        rows=len(fit.rows),
        content=b"" if fit.fitted is None else fit.fitted.to_bytes(),
        reason=fit.reason,
    )
