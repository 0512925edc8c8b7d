"""The sweep: many settings of the threshold strategy over one market and one score, each as cheap as its crossings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itb.engine.venue import Venue
from itb.ledger.metrics import units
from itb.optimize.fallback import BacktestBooks, backtest, backtest_figures
from itb.optimize.screened import Refusal, SweepResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.market.bars import Bars, FloatArray
    from itb.strategies.ml_threshold import ThresholdSettings


@dataclass(frozen=True, eq=False)
class Sweep:
    """Evaluate :class:`itb.strategies.ml_threshold.ThresholdSettings` on one market, one score, one venue.

    Fills, equity and figures are those of :class:`itb.backtest.run.Backtest` on the same input, whoever computes them:
    vectorbt wherever it can be exact, else backtrader; :attr:`SweepResult.refused` says why. ``causes`` counts the
    refusals so far. Picklable: each worker process can have its own.

    Parameters
    ----------
    bars
        The market.
    score
        One value for each bar, NaN where no model speaks; all of it out of sample.
    start
        First bar whose decisions count.
    venue
        Costs, filters and the order of events.
    cash
        Quote at the start.
    score_range
        What the score declares as its range: thresholds outside are refused.

    >>> import numpy as np
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.strategies.ml_threshold import ThresholdSettings
    >>> bars = sinus(bars=200)
    >>> sweep = Sweep(bars, score=np.sin(np.arange(200) / 9))
    >>> result = sweep.run(ThresholdSettings(buy_threshold=0.8, sell_threshold=-0.8), metrics=("sharpe", "trades"))
    >>> len(result.fills), result.metrics["trades"]
    (7, 3.0)
    """

    bars: Bars
    score: FloatArray
    start: int = 0
    venue: Venue = field(default_factory=Venue)
    cash: float = 10_000.0
    score_range: tuple[float, float] = (-math.inf, math.inf)
    causes: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        if len(self.score) != len(self.bars):
            raise ValueError(f"score must have a value for each of {len(self.bars)} bars, had {len(self.score)}")
        if not 0 <= self.start < len(self.bars):
            raise ValueError(f"start must be one of {len(self.bars)} bars, was {self.start}")

    def run(self, settings: ThresholdSettings, metrics: Sequence[str] = ("sharpe",)) -> SweepResult:
        """Evaluate one trial and give the asked figures of :class:`itb.ledger.metrics.Metrics` by name.

        Raises ``ValueError`` for an unknown figure and for thresholds that the score can never cross.
        """
        unknown = [name for name in metrics if name not in units()]
        if unknown:
            raise ValueError(f"metrics has no {unknown[0]!r}; there are {', '.join(units())}")
        settings.check_range(*self.score_range)
        return self.confirm(settings, metrics, Refusal("not built", "everything goes to backtrader"))

    def confirm(
        self, settings: ThresholdSettings, metrics: Sequence[str] = (), refused: Refusal | None = None
    ) -> SweepResult:
        """Evaluate one trial in backtrader."""
        result = backtest(
            settings, self.bars, self.score,
            start=self.start, venue=self.venue, cash=self.cash, score_range=self.score_range,
        )  # fmt: skip
        figures = backtest_figures(result, metrics) if metrics else {}
        books = BacktestBooks(result)
        return SweepResult(
            self.bars, self.start, self.cash, books, figures, "backtrader", refused, len(result.ambiguous)
        )
