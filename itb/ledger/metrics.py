"""Figures of a run, computed once from fills, trades and closes; every formula is stated beside its figure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from itb.ledger.equity import daily, drawdown
from itb.market.timeframe import DAY_MS, YEAR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.ledger.trades import Trade
    from itb.market.bars import BoolArray, FloatArray, IntArray
    from itb.market.fills import Fill
    from itb.market.timeframe import Timeframe

Unit = Literal["fraction", "ratio", "quote", "days", "count", "bars"]

_NAN = float("nan")


def _figure(unit: Unit, formula: str) -> float:
    value: float = field(default=_NAN, metadata={"unit": unit, "formula": formula})
    return value


def _count(unit: Unit, formula: str) -> int:
    value: int = field(default=0, metadata={"unit": unit, "formula": formula})
    return value


@dataclass(frozen=True)
class Metrics:
    """Performance of an equity curve and its trades; :func:`formulas` states every formula, :func:`units` the units.

    NaN means that a figure does not exist, and is never replaced by 0: no closed trade, no losing trade, no variation,
    less than a day, an account that reached 0, a year's growth beyond all bounds. Counts and sums of money are 0 where
    nothing happened; ``slippage`` is NaN where it is not known. Costs (``fees``, ``slippage``, ``funding``) are above
    0 when paid; drawdowns are fractions of the peak, above 0. Figures of trades leave out a trade still open, which
    ``open_trades`` counts. The risk-free rate is 0.
    """

    total_return: float = _figure("fraction", "final equity / starting cash - 1")
    annual_return: float = _figure("fraction", "(final equity / starting cash) ** (365 / duration in days) - 1")
    volatility: float = _figure("fraction", "standard deviation (n - 1) of daily UTC returns * sqrt(365)")
    sharpe: float = _figure("ratio", "mean / standard deviation (n - 1) of daily UTC returns * sqrt(365)")
    sortino: float = _figure("ratio", "mean of daily UTC returns r / sqrt(mean(min(r, 0) ** 2)) * sqrt(365)")
    calmar: float = _figure("ratio", "annual return / maximum drawdown")
    max_drawdown: float = _figure("fraction", "largest 1 - equity / highest equity so far, over bar closes")
    max_drawdown_days: float = _figure("days", "from the peak before the maximum drawdown to its recovery or the end")
    longest_drawdown_days: float = _figure("days", "longest time from a peak to its recovery or the end")
    ulcer_index: float = _figure("fraction", "sqrt(mean(drawdown ** 2)) over bar closes")
    bar_volatility: float = _figure("fraction", "standard deviation (n - 1) of bar returns * sqrt(bars in 365 days)")
    bar_sharpe: float = _figure("ratio", "mean / standard deviation (n - 1) of bar returns * sqrt(bars in 365 days)")
    exposure: float = _figure("fraction", "bars that close with a position / all bars")
    turnover: float = _figure("ratio", "notional of all fills / mean equity, per 365 days")
    fees: float = _figure("quote", "sum of fees, each worth what it was in quote when paid")
    slippage: float = _figure("quote", "sum of qty * (fill price - price before slippage)")
    funding: float = _figure("quote", "sum of funding paid less received")
    final_equity: float = _figure("quote", "cash + position * last close, less fees paid in a third currency")
    duration_days: float = _figure("days", "first open to last close")
    bars: int = _count("bars", "bars from the first decision to the end, those without a position included")
    fills: int = _count("count", "fills, funding not counted")
    trades: int = _count("count", "closed round trips, from flat (or a reversal) to flat")
    open_trades: int = _count("count", "trades still open at the end: part of the equity, in no figure of trades")
    win_rate: float = _figure("fraction", "closed trades that gained after costs / closed trades")
    profit_factor: float = _figure("ratio", "sum of gains / sum of losses of closed trades, after costs")
    expectancy: float = _figure("quote", "mean gain of a closed trade after costs")
    expectancy_ratio: float = _figure("ratio", "expectancy / size of the average loss")
    average_trade: float = _figure("fraction", "mean over closed trades of gain after costs / entry notional")
    average_win: float = _figure("quote", "mean gain of closed trades that gained")
    average_loss: float = _figure("quote", "mean of closed trades that lost (below 0)")
    best_trade: float = _figure("fraction", "largest gain after costs / entry notional")
    worst_trade: float = _figure("fraction", "smallest gain after costs / entry notional")
    average_bars_held: float = _figure("bars", "mean of exit bar - entry bar")
    longest_losing_streak: int = _count("count", "most closed trades in a row, by exit, that lost")
    sqn: float = _figure("ratio", "sqrt(closed trades) * mean gain / standard deviation (n - 1) of gains")

    def to_dict(self) -> dict[str, float | int | None]:
        """Give all figures by name, ``None`` where there is none (JSON has no NaN).

        >>> Metrics().to_dict()["sharpe"], Metrics().to_dict()["trades"]
        (None, 0)
        """
        values = {name: getattr(self, name) for name in formulas()}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


def formulas() -> dict[str, str]:
    """Give the formula of every figure, in the order of :class:`Metrics`.

    >>> formulas()["calmar"]
    'annual return / maximum drawdown'
    """
    return {figure.name: figure.metadata["formula"] for figure in fields(Metrics)}


def units() -> dict[str, Unit]:
    """Give the unit of every figure: ``fraction`` (0.01 is 1 %), ``ratio``, ``quote``, ``days``, ``bars``, ``count``.

    >>> units()["max_drawdown"]
    'fraction'
    """
    return {figure.name: figure.metadata["unit"] for figure in fields(Metrics)}


class Timed(Protocol):
    """What figures ask of bars: their times alone, so that an account of several symbols can answer too."""

    @property
    def timeframe(self) -> Timeframe: ...
    @property
    def open_time(self) -> IntArray: ...
    @property
    def close_time(self) -> IntArray: ...
    def __len__(self) -> int: ...
    def slice(self, start: int | None, stop: int | None) -> Timed:
        """Give a part of them by position."""


def compute(
    bars: Timed,
    equity: FloatArray,
    position: FloatArray,
    fills: Sequence[Fill],
    trades: Sequence[Trade],
    *,
    start_cash: float,
    start_bar: int = 0,
    dust: float = 0.0,
    slippage: float = _NAN,
) -> Metrics:
    """Compute every figure in one pass over the bars from ``start_bar``, the first whose decision counts.

    ``equity`` (quote) and ``position`` (base units) hold one value for each of ``bars``, at its close; ``trades`` come
    from :func:`itb.ledger.trades.round_trips`. A position of at most ``dust`` is no exposure. ``slippage`` is the sum
    paid in quote, where the price before slippage is known (:func:`itb.ledger.breakeven.gross_prices`).

    >>> from itb.market.bars import Bars
    >>> days = [0, 86_400_000, 172_800_000]
    >>> prices = {name: [100.0, 101.0, 99.0] for name in ("open", "high", "low", "close")}
    >>> bars = Bars.of("BTC/USDT", "1d", days, **prices, volume=[1, 1, 1])
    >>> result = compute(bars, bars.close * 10, np.full(3, 10.0), [], [], start_cash=1_000.0)
    >>> round(result.total_return, 4), round(result.max_drawdown, 4), result.exposure, result.win_rate
    (-0.01, 0.0198, 1.0, nan)
    """
    window = bars.slice(start_bar, None)
    if not len(window) or not len(equity) == len(position) == len(bars):
        raise ValueError(
            f"expected equity and position for {len(bars)} bars and a start before the last, "
            f"were {len(equity)}, {len(position)} and start_bar {start_bar}"
        )
    curve, held = equity[start_bar:], position[start_bar:]
    begins, close_time = int(window.open_time[0]), window.close_time
    duration = int(close_time[-1]) - begins
    traded = [fill for fill in fills if fill.reason != "funding"]
    notional = math.fsum(abs(fill.qty) * fill.price for fill in traded)
    closed = [trade for trade in trades if not trade.is_open]
    figures = _returns(close_time, curve, start_cash, duration, window.timeframe.bars_per_year)
    figures |= drawdown_figures(close_time, curve, start_cash, begins)
    figures |= trade_figures(
        np.array([trade.pnl for trade in closed]),
        np.array([trade.return_ for trade in closed]),
        np.array([trade.bars_held for trade in closed]),
    )
    return Metrics(
        **figures,
        calmar=_ratio(figures["annual_return"], figures["max_drawdown"]),
        exposure=int(np.count_nonzero(np.abs(held) > dust)) / len(held),
        turnover=_ratio(notional, float(curve.mean())) * YEAR_MS / duration,
        fees=math.fsum(fill.fee_quote for fill in traded),
        slippage=slippage,
        funding=math.fsum(fill.fee_quote for fill in fills if fill.reason == "funding"),
        final_equity=float(curve[-1]),
        duration_days=duration / DAY_MS,
        bars=len(window),
        fills=len(traded),
        trades=len(closed),
        open_trades=len(trades) - len(closed),
        longest_losing_streak=longest_run(np.array([trade.pnl for trade in closed]) < 0),
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else _NAN


def _returns(
    close_time: IntArray, equity: FloatArray, start_cash: float, duration: int, bars_per_year: float
) -> dict[str, float]:
    growth = float(equity[-1]) / start_cash
    known = {"total_return": growth - 1.0, "annual_return": _NAN}
    if float(equity.min()) <= 0:
        return known
    known["annual_return"] = annual_return(growth, duration)
    known |= bar_figures(equity, start_cash, bars_per_year)
    return known | day_figures(daily(close_time, equity, start_cash).returns)


def bar_figures(equity: FloatArray, start_cash: float, bars_per_year: float) -> dict[str, float]:
    """Compute ``bar_volatility`` and ``bar_sharpe`` from equity at each bar's close, all of it above 0.

    >>> round(bar_figures(np.array([101.0, 99.99]), 100.0, 1.0)["bar_volatility"], 9)
    0.014142136
    """
    returns = np.divide(equity, np.concatenate(([start_cash], equity[:-1]))) - 1.0
    volatility, sharpe = _spread(returns, bars_per_year)
    return {"bar_volatility": volatility, "bar_sharpe": sharpe}


def day_figures(returns: FloatArray) -> dict[str, float]:
    """Compute the figures of daily returns alone: ``volatility``, ``sharpe`` and ``sortino``.

    >>> day_figures(np.array([0.01, -0.01]))["sharpe"]
    0.0
    """
    volatility, sharpe = _spread(returns, 365.0)
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    sortino = _ratio(float(returns.mean()), downside) * math.sqrt(365.0)
    return {"volatility": volatility, "sharpe": sharpe, "sortino": sortino}


def annual_return(growth: float, duration: int) -> float:
    """Give the yearly return of ``growth`` (final / starting equity) in ``duration`` milliseconds; NaN below a day.

    >>> round(annual_return(1.1, 365 * 86_400_000), 12)
    0.1
    """
    if duration < DAY_MS:
        return _NAN
    exponent = math.log(growth) * YEAR_MS / duration
    return math.expm1(exponent) if exponent < 700 else _NAN


def _spread(returns: FloatArray, per_year: float) -> tuple[float, float]:
    if len(returns) < 2:
        return _NAN, _NAN
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    varies = deviation > 1e-9 * abs(mean)  # a constant return leaves only rounding
    return deviation * math.sqrt(per_year), mean / deviation * math.sqrt(per_year) if varies else _NAN


def drawdown_figures(close_time: IntArray, equity: FloatArray, start_cash: float, begins: int) -> dict[str, float]:
    """Compute depth and length of drawdowns from equity at each ``close_time``; the run ``begins`` at a first open."""
    below = drawdown(equity, start_cash)
    trough = int(below.argmin())
    depth = -float(below[trough])
    figures = {
        "max_drawdown": depth,
        "ulcer_index": math.sqrt(float(np.dot(below, below)) / len(below)),
        "max_drawdown_days": 0.0,
        "longest_drawdown_days": 0.0,
    }
    if depth == 0:
        return figures
    # At the peak: the start, every bar at its highest so far, and the end, where an unrecovered drawdown is cut off.
    peaks = np.flatnonzero(below == 0)
    peak_times = np.concatenate(([begins], close_time[peaks], [close_time[-1]]))
    bars_between = np.diff(peaks, prepend=-1, append=len(below))
    stretches = np.where(bars_between > 1, np.diff(peak_times), 0)
    deepest = int(np.searchsorted(peaks, trough))
    figures["max_drawdown_days"] = float(stretches[deepest]) / DAY_MS
    figures["longest_drawdown_days"] = float(stretches.max()) / DAY_MS
    return figures


def trade_figures(pnl: FloatArray, returns: FloatArray, bars_held: FloatArray | IntArray) -> dict[str, float]:
    """Compute the figures of closed trades, in the order of their exits: gains (quote), returns and lengths (bars).

    >>> trade_figures(np.array([3.0, -1.0]), np.array([0.03, -0.01]), np.array([2.0, 4.0]))["profit_factor"]
    3.0
    """
    if not len(pnl):
        return {}
    count = len(pnl)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    expectancy = float(pnl.mean())
    deviation = float(pnl.std(ddof=1)) if count > 1 else 0.0
    return {
        "win_rate": len(wins) / count,
        "profit_factor": _ratio(float(wins.sum()), -float(losses.sum())),
        "expectancy": expectancy,
        "expectancy_ratio": _ratio(expectancy, -float(losses.mean())) if len(losses) else _NAN,
        "average_trade": float(returns.mean()),
        "average_win": float(wins.mean()) if len(wins) else _NAN,
        "average_loss": float(losses.mean()) if len(losses) else _NAN,
        "best_trade": float(returns.max()),
        "worst_trade": float(returns.min()),
        "average_bars_held": float(np.mean(bars_held)),
        "sqn": _ratio(math.sqrt(count) * expectancy, deviation),
    }


def longest_run(flags: BoolArray) -> int:
    """Count the most flags in a row.

    >>> longest_run(np.array([True, False, True, True]))
    2
    """
    clear = np.flatnonzero(~flags)
    return int(np.diff(clear, prepend=-1, append=len(flags)).max()) - 1


def freqtrade_ratios(pnl: FloatArray, start_cash: float, days: int) -> tuple[float, float]:
    """Give Sharpe and Sortino as freqtrade prints them, to compare with its reports and with nothing else.

    Both are ``sum(r) / days / deviation * sqrt(365)`` of ``r = pnl / start_cash``, one value a closed trade; Sharpe
    divides by the standard deviation (n) of all trades, Sortino by that of the losing ones. NaN where that is 0.

    >>> [round(ratio, 6) for ratio in freqtrade_ratios(np.array([50.0, -20, 30, -10, 40]), 1_000.0, days=30)]
    [2.057486, 11.462984]
    """
    returns = pnl / start_cash
    a_day = float(returns.sum()) / days * math.sqrt(365.0)
    sharpe, sortino = (
        a_day / float(part.std()) if len(part) and part.std() > 0 else _NAN for part in (returns, returns[returns < 0])
    )
    return sharpe, sortino
