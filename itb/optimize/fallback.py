"""The second evaluator: a trial that vectorbt cannot do exactly, on backtrader's fast path."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.run import Backtest
from itb.indicators.score import ArrayScores
from itb.ledger.breakeven import slippage_paid
from itb.ledger.metrics import compute
from itb.optimize.screened import ClosedTrades
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.backtest.result import BacktestResult
    from itb.engine.cerebro import Stepping
    from itb.engine.venue import Venue
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.fills import Fill
    from itb.strategies.protections import EntryProtection


@dataclass(frozen=True, eq=False)
class BacktestBooks:
    """The account of a finished backtest."""

    result: BacktestResult

    @property
    def bar(self) -> IntArray:
        """Bar of each fill."""
        return np.array([fill.bar for fill in self.fills], dtype=np.int64)

    @property
    def fee(self) -> FloatArray:
        """Fee or funding paid with each fill (quote)."""
        return np.array([fill.fee_quote for fill in self.fills], dtype=np.float64)

    @property
    def slippage(self) -> FloatArray:
        """What each fill lost to the market's price (quote)."""
        lost = [fill.qty * (fill.price - market) for fill, market in zip(self.fills, self._markets, strict=True)]
        return np.array(lost, dtype=np.float64)

    @property
    def _markets(self) -> list[float]:
        return self.result.market_prices.tolist()

    @cached_property
    def closed(self) -> ClosedTrades:
        """Trades that ended."""
        trades = [trade for trade in self.result.trades if not trade.is_open]
        return ClosedTrades(
            np.array([trade.entry_bar for trade in trades], dtype=np.int64),
            np.array([trade.exit_bar for trade in trades], dtype=np.int64),
            np.array([trade.pnl for trade in trades], dtype=np.float64),
            np.array([trade.qty * trade.entry_price for trade in trades], dtype=np.float64),
        )

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
    protections: Sequence[EntryProtection] = (),
) -> BacktestResult:
    """Run :class:`itb.strategies.ml_threshold.MLThreshold` in backtrader on one score column."""
    column = settings.score or "score"
    source = ArrayScores(column, bars.open_time, score, *score_range)
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in asdict(settings).items()}
    test = Backtest(MLThreshold, {**plain, "protections": tuple(protections)}, cash, venue, stepping)
    return test.run(bars, {column: source}, int(bars.open_time[start]))


def backtest_figures(result: BacktestResult, names: Sequence[str]) -> dict[str, float]:
    """Compute the asked figures of a backtest with the ledger's own function."""
    found = compute(
        result.bars, result.equity, result.position, result.fills, result.trades,
        start_cash=result.starting_cash, start_bar=result.start, dust=result.dust,
        slippage=slippage_paid(result.fills, result.market_prices),
    )  # fmt: skip
    return {name: float(getattr(found, name)) for name in names}
