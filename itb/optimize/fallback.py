"""The second evaluator: a trial that vectorbt cannot do exactly, on backtrader's fast path."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from itb.backtest.run import Backtest
from itb.indicators.score import ArrayScores
from itb.ledger.metrics import compute
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.backtest.result import BacktestResult
    from itb.engine.cerebro import Stepping
    from itb.engine.venue import Venue
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.fills import Fill


@dataclass(frozen=True, eq=False)
class BacktestBooks:
    """The account of a finished backtest."""

    result: BacktestResult

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Everything that moved money, in order."""
        return self.result.fills

    def equity(self, bars: IntArray) -> FloatArray:
        """Equity (quote) at the close of the given bars."""
        return self.result.equity[bars]

    def position(self, bars: IntArray) -> FloatArray:
        """Position (signed, base units) at the close of the given bars."""
        return self.result.position[bars]


def backtest(
    settings: ThresholdSettings,
    bars: Bars,
    score: FloatArray,
    *,
    start: int,
    venue: Venue,
    cash: float,
    score_range: tuple[float, float] = (-math.inf, math.inf),
    stepping: Stepping = "auto",
) -> BacktestResult:
    """Run :class:`itb.strategies.ml_threshold.MLThreshold` in backtrader on one score column."""
    column = settings.score or "score"
    source = ArrayScores(column, bars.open_time, score, *score_range)
    test = Backtest(MLThreshold, asdict(settings), cash, venue, stepping)
    return test.run(bars, {column: source}, int(bars.open_time[start]))


def backtest_figures(result: BacktestResult, names: Sequence[str]) -> dict[str, float]:
    """Compute the asked figures of a backtest with the ledger's own function."""
    found = compute(
        result.bars, result.equity, result.position, result.fills, result.trades,
        start_cash=result.starting_cash, start_bar=result.start, dust=result.dust,
    )  # fmt: skip
    return {name: float(getattr(found, name)) for name in names}
