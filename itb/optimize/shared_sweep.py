"""The sweep on a shared account: settings of the threshold strategy over several symbols, evaluated together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest, TradedMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.ledger.breakeven import slippage_paid
from itb.ledger.difference import first_difference
from itb.ledger.metrics import compute, units
from itb.ledger.trades import round_trips
from itb.market.raster import Clock, Raster
from itb.optimize.fallback import BacktestBooks
from itb.optimize.parity import NAMES, TOLERANCE, Confirmation
from itb.optimize.screened import Books, Refusal, Source
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


@dataclass(frozen=True, eq=False)
class SharedSweepResult:
    """One evaluated trial: what each symbol did, equity at every step, and the figures that were asked for.

    ``books`` are in the order of the sweeps; each is of an account that holds nothing else.
    """

    books: Mapping[str, Books]
    equity: FloatArray
    metrics: Mapping[str, float]
    source: Source
    refused: Refusal | None = None

    @property
    def fills(self) -> Mapping[str, tuple[Fill, ...]]:
        """All fills of each symbol, in order."""
        return {symbol: books.fills for symbol, books in self.books.items()}


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

    def __post_init__(self) -> None:
        symbols = [sweep.bars.symbol for sweep in self.sweeps]
        if not symbols or len(set(symbols)) < len(symbols):
            raise ValueError(f"sweeps must be of at least one symbol, each there once; were {symbols}")

    @cached_property
    def clock(self) -> Clock:
        """Times of the steps."""
        return Clock(self.sweeps[0].bars.timeframe, self.raster.times)

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
        by_symbol = {sweep.bars.symbol: one for one, sweep in zip(books, self.sweeps, strict=True)}
        found: dict[str, float] = {}
        if metrics:
            fills = {symbol: one.fills for symbol, one in by_symbol.items()}
            trades = [
                trade
                for sweep in self.sweeps
                for trade in round_trips(fills[sweep.bars.symbol], sweep.bars, dust=sweep.venue.dust)
            ]
            figures = compute(
                self.clock, equity, held,
                sorted((fill for own in fills.values() for fill in own), key=lambda fill: fill.open_time),
                sorted(trades, key=lambda trade: (trade.is_open, trade.exit_time)),
                start_cash=self.cash, start_bar=self.start, slippage=sum(float(one.slippage.sum()) for one in books),
            )  # fmt: skip
            found = _named(figures, metrics)
        return SharedSweepResult(by_symbol, equity, found, "vectorbt")

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
        books = {symbol: BacktestBooks(part) for symbol, part in result.parts.items()}
        return SharedSweepResult(books, result.equity, found, "backtrader", refused)

    def backtest(self, settings: ThresholdSettings) -> SharedResult:
        """Run one trial in backtrader."""
        plain = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in vars(settings).items()
        }
        ranges = [sweep.score_range for sweep in self.sweeps]
        column = settings.score or "score"
        return self.run_strategy(MLThreshold, plain, column, [sweep.score for sweep in self.sweeps], ranges)

    def run_strategy(
        self,
        strategy: type[Any],
        settings: Mapping[str, Any],
        column: str,
        scores: Sequence[FloatArray],
        ranges: Sequence[tuple[float, float]],
        start_ms: int | None = None,
    ) -> SharedResult:
        """Run a strategy on the symbols in backtrader, each with a score column of its own values and range."""
        markets = [
            TradedMarket(
                sweep.bars, {column: ArrayScores(column, sweep.bars.open_time, values, low, high)}, sweep.venue
            )
            for sweep, values, (low, high) in zip(self.sweeps, scores, ranges, strict=True)
        ]
        more = {"protections": self.sweeps[0].protections, "allocation": self.allocation}
        test = Backtest(strategy, {**settings, **more}, self.cash, Venue(self.sweeps[0].venue.costs))
        return test.run_shared(markets, int(self.raster.times[self.start]) if start_ms is None else start_ms)

    def until(self, stop_ms: int) -> SharedSweep:
        """Give the same account over the bars that open before ``stop_ms``: symbols that begin later are left out."""
        stops = [int(np.searchsorted(sweep.bars.open_time, stop_ms)) for sweep in self.sweeps]
        kept = [
            replace(sweep, bars=sweep.bars.slice(None, stop), score=sweep.score[:stop])
            for sweep, stop in zip(self.sweeps, stops, strict=True)
            if sweep.start < stop
        ]
        return replace(self, sweeps=tuple(kept), allocation=self.allocation.among(len(self.sweeps)))


def confirm_shared(sweep: SharedSweep, settings: ThresholdSettings) -> Confirmation:
    """Run a trial by the sweep and in backtrader and compare fills and equity; a difference's bar is the step."""
    swept = sweep.run(settings, ())
    if swept.source == "backtrader":
        return Confirmation(swept, swept)
    confirmed = sweep.confirm(settings)
    for symbol, fills in swept.fills.items():
        apart = first_difference(fills, confirmed.fills[symbol], names=NAMES, tolerance=TOLERANCE)
        if apart is not None:
            return Confirmation(swept, confirmed, f"{symbol}: {apart}", apart.bar)
    wrong = np.flatnonzero(np.abs(swept.equity - confirmed.equity) > TOLERANCE * np.abs(confirmed.equity))
    if len(wrong):
        step = int(wrong[0])
        told = f"{swept.equity[step]!r} in {NAMES[0]}, {confirmed.equity[step]!r} in {NAMES[1]}"
        return Confirmation(swept, confirmed, f"fills are the same, but equity at step {step} is {told}", step)
    return Confirmation(swept, confirmed)


def _pending_at_end(sweep: Sweep, settings: ThresholdSettings) -> Refusal | None:
    """Refuse a symbol that ends before the others with a signal at its last bar: its order waits for ever."""
    last = float(sweep.score[-1])
    if settings.rule.is_bullish(last) or settings.rule.is_bearish(last):
        return Refusal("ends early", "its bars end before those of the others, with a signal at the last one")
    return None


def _named(figures: Metrics, names: Sequence[str]) -> dict[str, float]:
    return {name: float(getattr(figures, name)) for name in names}
