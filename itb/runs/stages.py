"""What happens to scores between training and the strategy, in order: one line a stage.

A stage is two functions. ``columns(config, ranges)`` says beforehand which score columns there will be and in which
range, so that a strategy's column and thresholds are checked before anything is trained; ``run(workspace, scored)``
does the work, by :meth:`itb.runs.scored.ScoredMarket.with_scores`. Both give back what they got where the config does
not ask for the stage. To add one, write both functions in a file of this room and put a line into ``STAGES``, in the
order: abstain (nobody shall learn from scores given in the dark), calibration, conformal, stack, thresholds, signals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.runs.decide import flag, stack, stack_ranges, thresholds_ranges
from itb.runs.refine import abstain, abstain_ranges, calibrate, calibration_ranges, conformal_ranges, surround
from itb.runs.signals import add_signals, signal_ranges

if TYPE_CHECKING:
    from itb.config import Config
    from itb.runs.scored import ScoredMarket, ScoreRanges
    from itb.runs.workspace import Workspace


@dataclass(frozen=True)
class Stage:
    """One step from scores to scores."""

    name: str
    columns: Callable[[Config, ScoreRanges], ScoreRanges]
    run: Callable[[Workspace, ScoredMarket], ScoredMarket]


STAGES: tuple[Stage, ...] = (
    Stage("abstain", abstain_ranges, abstain),
    Stage("calibration", calibration_ranges, calibrate),
    Stage("conformal", conformal_ranges, surround),
    Stage("stack", stack_ranges, stack),
    Stage("thresholds", thresholds_ranges, flag),
    Stage("signals", signal_ranges, add_signals),
)
