"""Confirmation: the sweep's trial once more in backtrader, fill by fill and bar by bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.ledger.difference import Difference, first_difference
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.optimize.screened import SweepResult
    from itb.optimize.shared_sweep import SharedSweepResult
    from itb.optimize.sweep import Sweep
    from itb.strategies.ml_threshold import ThresholdSettings

TOLERANCE = 1e-9  # relative
NAMES = ("the sweep", "backtrader")
_CAUSES = {
    "missing": "one of them takes a signal, a stop or a target there that the other does not",
    "price": "a fill price, slippage or protective level is reckoned differently",
    "qty": "the equity before it, the sizing or the rounding to the step differs",
    "fee": "the fee of such an order differs",
    "reason": "a signal and a protective level are taken in another order",
}


@dataclass(frozen=True, eq=False)
class Confirmation:
    """One trial evaluated twice, and the first thing in which the two differ with its cause; empty text for none.

    ``screened`` is the sweep's result, ``confirmed`` backtrader's; ``bar`` is that of the first difference, -1 for
    none (a step, on a shared account). Where the sweep left the trial to backtrader there is nothing to compare, and
    they agree.
    """

    screened: SweepResult | SharedSweepResult
    confirmed: SweepResult | SharedSweepResult
    difference: str = ""
    bar: int = -1

    @property
    def is_compared(self) -> bool:
        """Whether there are two results: one of the sweep, one of backtrader."""
        return self.screened.source == "vectorbt"

    @property
    def agrees(self) -> bool:
        """Whether fills and equity are the same to 1e-9."""
        return not self.difference


def confirm(sweep: Sweep, settings: ThresholdSettings, swept: SweepResult | None = None) -> Confirmation:
    """Run a trial in backtrader and compare fills and equity with those of the sweep (``swept``, or a new one).

    >>> import numpy as np
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.optimize.sweep import Sweep
    >>> from itb.strategies.ml_threshold import ThresholdSettings
    >>> sweep = Sweep(sinus(bars=200), score=np.sin(np.arange(200) / 9))
    >>> confirm(sweep, ThresholdSettings(stop_loss=0.01)).agrees
    True
    """
    swept = sweep.run(settings, ()) if swept is None else swept
    confirmed = sweep.confirm(settings) if swept.source == "vectorbt" else swept
    found = first_difference(swept.fills, confirmed.fills, names=NAMES, tolerance=TOLERANCE)
    if found is not None:
        return Confirmation(swept, confirmed, f"{found} (cause: {_cause(found)})", found.bar)
    ours, theirs = swept.equity, confirmed.equity
    apart = np.flatnonzero(np.abs(ours - theirs) > TOLERANCE * np.abs(theirs))
    if len(apart):
        bar = int(apart[0])
        where = f"bar {bar} ({utc(sweep.bars.open_time[bar])})"
        text = (
            f"fills are the same, but equity at {where} is {ours[bar]!r} in {NAMES[0]}, {theirs[bar]!r} in {NAMES[1]}"
        )
        return Confirmation(swept, confirmed, f"{text} (cause: cash or positions are carried differently)", bar)
    return Confirmation(swept, confirmed)


def _cause(found: Difference) -> str:
    return _CAUSES.get(found.what, _CAUSES["fee"] if found.what.startswith("fee") else "the records differ")
