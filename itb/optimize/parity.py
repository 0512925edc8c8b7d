"""Confirmation: the same settings in the sweep and in backtrader, and the first bar where they part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.ledger.difference import first_difference
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.optimize.screened import SweepResult
    from itb.optimize.sweep import Sweep
    from itb.strategies.ml_threshold import ThresholdSettings

TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Confirmation:
    """One trial evaluated twice. ``difference`` names the first bar where the two part; empty where they agree.

    ``screened`` is the sweep's result, ``confirmed`` backtrader's. Where the sweep left the trial to backtrader there
    is nothing to compare, and they agree.
    """

    screened: SweepResult
    confirmed: SweepResult
    difference: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every fill and the equity at every bar are the same."""
        return not self.difference


def confirm(sweep: Sweep, settings: ThresholdSettings) -> Confirmation:
    """Run settings through the sweep and through backtrader; fills and equity must agree to 1e-9 relative."""
    screened, confirmed = sweep.run(settings, metrics=()), sweep.confirm(settings)
    if screened.source == "backtrader":
        return Confirmation(screened, confirmed)
    parted = first_difference(screened.fills, confirmed.fills, names=("the sweep", "backtrader"), tolerance=TOLERANCE)
    if parted is not None:
        return Confirmation(screened, confirmed, str(parted))
    far = ~np.isclose(screened.equity, confirmed.equity, rtol=TOLERANCE, atol=0)
    if far.any():
        bar = int(far.argmax())
        values = f"{screened.equity[bar]!r} in the sweep, {confirmed.equity[bar]!r} in backtrader"
        when = utc(sweep.bars.open_time[bar])
        return Confirmation(screened, confirmed, f"bar {bar} ({when}): equity is {values}, with equal fills")
    return Confirmation(screened, confirmed)
