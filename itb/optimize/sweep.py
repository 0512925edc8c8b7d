"""The sweep: many settings of the threshold strategy over one market and one score, each as cheap as its crossings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from itb.engine.venue import Venue
from itb.ledger.metrics import units
from itb.optimize.crossings import Crossings
from itb.optimize.fallback import BacktestBooks, backtest, backtest_figures
from itb.optimize.figures import Figures
from itb.optimize.money import TradeBooks, settle
from itb.optimize.reach import Reach
from itb.optimize.screened import DayEnds, Refusal, SweepResult
from itb.optimize.trips import Trips, no_trips, protected, unprotected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.backtest.result import BacktestResult
    from itb.market.bars import Bars, FloatArray
    from itb.strategies.ml_threshold import ThresholdSettings
    from itb.strategies.protections import EntryProtection

_FIGURES = units()


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
    protections
        What holds entries back; with any, backtrader evaluates.

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
    protections: tuple[EntryProtection, ...] = ()
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
        unknown = [name for name in metrics if name not in _FIGURES]
        if unknown:
            raise ValueError(f"metrics has no {unknown[0]!r}; there are {', '.join(_FIGURES)}")
        settings.check_range(*self.score_range)
        refused = unsupported(settings, self.venue, self.protections)
        if refused is None:
            trips = self.trips(settings)
            books = trips if isinstance(trips, Refusal) else self._settle(trips, settings)
            if not isinstance(books, Refusal):
                figures = Figures(books, self._day_ends, self.start, self.venue.dust).of(metrics)
                return SweepResult(
                    self.bars, self.start, self.cash, books, self._day_ends, figures, "vectorbt", None,
                    books.trips.ambiguous,
                )  # fmt: skip
            refused = books
        self.causes[refused.cause] += 1
        return self.confirm(settings, metrics, refused)

    def trips(self, settings: ThresholdSettings) -> Trips | Refusal:
        """Find the trades of a setting, whatever their quantities."""
        first = self.start
        if settings.sizing == "volatility_target":  # nothing is entered while the volatility is not known
            first = max(first, settings.volatility_window)
        if first >= len(self.bars) - 1:
            return no_trips()
        if settings.stop_loss or settings.take_profit:
            return protected(self.bars, first, self._crossings, settings, self.venue, self._reach)
        return unprotected(self.bars, first, self._crossings, settings, self.venue)

    def _settle(self, trips: Trips, settings: ThresholdSettings) -> TradeBooks | Refusal:
        return settle(self.bars, trips, settings.sizer, self.venue, self.cash)

    @cached_property
    def _day_ends(self) -> DayEnds:
        return DayEnds.of(self.bars, self.start)

    @cached_property
    def _crossings(self) -> Crossings:
        return Crossings(np.asarray(self.score, dtype=np.float64)[:-1])  # what the last bar says fills nowhere

    @cached_property
    def _reach(self) -> Reach:
        return Reach.of(self.bars)

    def confirm(
        self, settings: ThresholdSettings, metrics: Sequence[str] = (), refused: Refusal | None = None
    ) -> SweepResult:
        """Evaluate one trial in backtrader."""
        result = self.backtest(settings)
        figures = backtest_figures(result, metrics) if metrics else {}
        books = BacktestBooks(result)
        return SweepResult(
            self.bars, self.start, self.cash, books, self._day_ends, figures, "backtrader", refused,
            len(result.ambiguous),
        )  # fmt: skip

    def backtest(self, settings: ThresholdSettings) -> BacktestResult:
        """Run one trial in backtrader."""
        return backtest(
            settings, self.bars, self.score,
            start=self.start, venue=self.venue, cash=self.cash, score_range=self.score_range,
            protections=self.protections,
        )  # fmt: skip


def unsupported(settings: ThresholdSettings, venue: Venue, protections: Sequence[EntryProtection]) -> Refusal | None:
    """Say what of the settings, the venue or the protections vectorbt cannot do exactly, whatever the bars are."""
    protects = bool(settings.stop_loss or settings.take_profit)
    causes = {
        "limit entry": (settings.entry == "limit", "whether an order that rests fills depends on the bars after it"),
        "trailing stop": (settings.trailing_stop > 0, "vectorbt trails inside the bar, itb at its close"),
        "time exit": (settings.max_bars > 0, "vectorbt has no exit after a number of bars"),
        "protections": (bool(protections), "they look at trades as they ended, which vectorbt does not know yet"),
        "cool-down": (settings.cooldown_bars > 0, "vectorbt has no pause after an exit"),
        "protection_from": (
            protects and settings.protection_from != "fill",
            'protection_from = "next_bar" is backtrader\'s own way',
        ),
        "impact": (venue.costs.impact_bps > 0, "slippage depends on the quantity, which vectorbt does not know yet"),
        "fee currency": (venue.costs.fee_currency == "base", "fees taken in coins leave dust in the position"),
        "funding": (bool(venue.funding), "funding is paid on quantities that vectorbt does not know yet"),
        "fill price": (protects and venue.buy_price is not None, "protection starts at a price that is not the open"),
    }
    return next((Refusal(cause, text) for cause, (applies, text) in causes.items() if applies), None)
