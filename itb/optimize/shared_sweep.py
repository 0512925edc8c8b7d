"""The sweep on a shared account: settings of the threshold strategy over several symbols, evaluated together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.run import Backtest, TradedMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.ledger.breakeven import slippage_paid
from itb.ledger.difference import first_difference
from itb.ledger.metrics import compute, units
from itb.ledger.trades import round_trips
from itb.market.raster import Clock, Raster
from itb.optimize.screened import Refusal, Source
from itb.optimize.shared_money import settle_shared
from itb.optimize.sweep import Sweep, unsupported
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import MLThreshold

if TYPE_CHECKING:
    from itb.backtest.result import SharedResult
    from itb.ledger.metrics import Metrics
    from itb.market.bars import FloatArray
    from itb.market.fills import Fill
    from itb.optimize.money import TradeBooks
    from itb.strategies.ml_threshold import ThresholdSettings

TOLERANCE = 1e-9  # relative


@dataclass(frozen=True, eq=False)
class SharedSweepResult:
    """One evaluated trial: fills of each symbol, equity at every step, and the figures that were asked for."""

    fills: Mapping[str, tuple[Fill, ...]]
    equity: FloatArray
    metrics: Mapping[str, float]
    source: Source
    refused: Refusal | None = None


@dataclass(frozen=True, eq=False)
class SharedSweep:
    """Evaluate :class:`itb.strategies.ml_threshold.ThresholdSettings` on symbols that trade one account.

    Fills, equity and figures are those of :meth:`itb.backtest.run.Backtest.run_shared`: vectorbt finds each symbol's
    trades, which take their money from one account in the order in which the broker books them; what cannot be exact is
    left to backtrader, and ``refused`` says why. ``causes`` counts the refusals so far.

    Parameters
    ----------
    sweeps
        One for each symbol, in the order in which they are served; their cash and protections are not looked at.
    cash
        Quote at the start.
    allocation
        How the account is shared.

    >>> import dataclasses
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.strategies.ml_threshold import ThresholdSettings
    >>> bars = sinus(bars=200)
    >>> other = dataclasses.replace(bars, symbol="ETH/USDT")
    >>> sweeps = [Sweep(bars, np.sin(np.arange(200) / 9)), Sweep(other, np.cos(np.arange(200) / 7))]
    >>> shared = SharedSweep(tuple(sweeps))
    >>> result = shared.run(ThresholdSettings(buy_threshold=0.8, sell_threshold=-0.8), ("trades",))
    >>> result.source, result.metrics["trades"]
    ('vectorbt', 8.0)
    """

    sweeps: tuple[Sweep, ...]
    cash: float = 10_000.0
    allocation: Allocation = field(default_factory=Allocation)
    causes: Counter[str] = field(default_factory=Counter, init=False)

    @cached_property
    def raster(self) -> Raster:
        """The steps of all symbols."""
        return Raster.of([sweep.bars.open_time for sweep in self.sweeps])

    @property
    def start(self) -> int:
        """First step whose decisions count."""
        return min(int(steps[sweep.start]) for sweep, steps in zip(self.sweeps, self.raster.steps, strict=True))

    def run(self, settings: ThresholdSettings, metrics: Sequence[str] = ("sharpe",)) -> SharedSweepResult:
        """Evaluate one trial and give the asked figures of :class:`itb.ledger.metrics.Metrics` by name.

        Raises ``ValueError`` for an unknown figure and for thresholds that a score can never cross.
        """
        unknown = [name for name in metrics if name not in units()]
        if unknown:
            raise ValueError(f"metrics has no {unknown[0]!r}; there are {', '.join(units())}")
        for sweep in self.sweeps:
            settings.check_range(*sweep.score_range)
        books = self._books(settings)
        if not isinstance(books, Refusal):
            return self._result(books, metrics)
        self.causes[books.cause] += 1
        return self.confirm(settings, metrics, books)

    def _books(self, settings: ThresholdSettings) -> tuple[TradeBooks, ...] | Refusal:
        found = []
        for sweep, steps in zip(self.sweeps, self.raster.steps, strict=True):
            refused = unsupported(settings, sweep.venue, sweep.protections)
            if refused is None and steps[-1] < len(self.raster) - 1:
                refused = _pending_at_end(sweep, settings)
            trips = sweep.trips(settings) if refused is None else refused
            if isinstance(trips, Refusal):
                return Refusal(trips.cause, f"{sweep.bars.symbol}: {trips.text}")
            found.append((sweep.bars, sweep.venue, trips))
        count = len(found)
        shares = self.allocation.share(count), self.allocation.slots(count)
        return settle_shared(found, self.raster, settings.sizer, *shares, self.cash)

    def _result(self, books: Sequence[TradeBooks], metrics: Sequence[str]) -> SharedSweepResult:
        equity, held = np.full(len(self.raster), self.cash), np.zeros(len(self.raster))
        for one, sweep, rows in zip(books, self.sweeps, self.raster.rows, strict=True):
            known = rows >= 0
            equity[known] += one.equity(rows[known]) - self.cash
            held[known] += np.abs(one.position(rows[known])) > sweep.venue.dust
        fills = {sweep.bars.symbol: one.fills for one, sweep in zip(books, self.sweeps, strict=True)}
        found: dict[str, float] = {}
        if metrics:
            trades = [
                trade
                for sweep in self.sweeps
                for trade in round_trips(fills[sweep.bars.symbol], sweep.bars, dust=sweep.venue.dust)
            ]
            figures = compute(
                Clock(self.sweeps[0].bars.timeframe, self.raster.times), equity, held,
                sorted((fill for own in fills.values() for fill in own), key=lambda fill: fill.open_time),
                sorted(trades, key=lambda trade: (trade.is_open, trade.exit_time)),
                start_cash=self.cash, start_bar=self.start, slippage=sum(float(one.slippage.sum()) for one in books),
            )  # fmt: skip
            found = _named(figures, metrics)
        return SharedSweepResult(fills, equity, found, "vectorbt")

    def confirm(
        self, settings: ThresholdSettings, metrics: Sequence[str] = (), refused: Refusal | None = None
    ) -> SharedSweepResult:
        """Evaluate one trial in backtrader."""
        result = self.backtest(settings)
        found: dict[str, float] = {}
        if metrics:
            figures = compute(
                result.clock, result.equity, result.held.astype(np.float64), result.fills, result.trades,
                start_cash=self.cash, start_bar=result.start,
                slippage=slippage_paid(result.fills, result.market_prices),
            )  # fmt: skip
            found = _named(figures, metrics)
        fills = {symbol: part.fills for symbol, part in result.parts.items()}
        return SharedSweepResult(fills, result.equity, found, "backtrader", refused)

    def backtest(self, settings: ThresholdSettings) -> SharedResult:
        """Run one trial in backtrader."""
        column = settings.score or "score"
        markets = [
            TradedMarket(
                sweep.bars,
                {column: ArrayScores(column, sweep.bars.open_time, sweep.score, *sweep.score_range)},
                sweep.venue,
            )
            for sweep in self.sweeps
        ]
        plain = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in vars(settings).items()
        }
        more = {"protections": self.sweeps[0].protections, "allocation": self.allocation}
        test = Backtest(MLThreshold, {**plain, **more}, self.cash, Venue(self.sweeps[0].venue.costs))
        return test.run_shared(markets, int(self.raster.times[self.start]))


def confirm_shared(sweep: SharedSweep, settings: ThresholdSettings) -> tuple[SharedSweepResult, SharedSweepResult, str]:
    """Run a trial by the sweep and in backtrader; give both, and the first difference (to 1e-9), empty for none."""
    swept = sweep.run(settings, ())
    if swept.source == "backtrader":
        return swept, swept, ""
    confirmed = sweep.confirm(settings)
    names = ("the sweep", "backtrader")
    for symbol, fills in swept.fills.items():
        apart = first_difference(fills, confirmed.fills[symbol], names=names, tolerance=TOLERANCE)
        if apart is not None:
            return swept, confirmed, f"{symbol}: {apart}"
    wrong = np.flatnonzero(np.abs(swept.equity - confirmed.equity) > TOLERANCE * np.abs(confirmed.equity))
    if len(wrong):
        step = int(wrong[0])
        told = f"{swept.equity[step]!r} in {names[0]}, {confirmed.equity[step]!r} in {names[1]}"
        return swept, confirmed, f"fills are the same, but equity at step {step} is {told}"
    return swept, confirmed, ""


def _pending_at_end(sweep: Sweep, settings: ThresholdSettings) -> Refusal | None:
    """Refuse a symbol that ends before the others with a signal at its last bar: its order waits for ever."""
    last = float(sweep.score[-1])
    if settings.rule.is_bullish(last) or settings.rule.is_bearish(last):
        return Refusal("ends early", "its bars end before those of the others, with a signal at the last one")
    return None


def _named(figures: Metrics, names: Sequence[str]) -> dict[str, float]:
    return {name: float(getattr(figures, name)) for name in names}
