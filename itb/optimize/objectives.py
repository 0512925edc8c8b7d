"""What a search can strive for: figures of a performance, each with a direction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from itb.ledger.equity import drawdown
from itb.ledger.metrics import day_figures
from itb.market.bars import FloatArray
from itb.optimize import sharpe_statistics
from itb.optimize.performance import Performance
from itb.optimize.sharpe_statistics import Moments

Direction = Literal["maximize", "minimize"]

YEAR = 365.0
_NAN = float("nan")


@dataclass(frozen=True)
class Windows:
    """Cuts of the days of a search into rolling windows, as even as can be.

    >>> Windows(10, 3).bounds
    ((0, 3), (3, 7), (7, 10))
    """

    days: int
    count: int

    def __post_init__(self) -> None:
        if not 2 <= self.count <= self.days:
            raise ValueError(f"windows must be at least 2 and at most the {self.days} days traded, was {self.count}")

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """First day and the day after the last of each window."""
        edges = [round(i * self.days / self.count) for i in range(self.count + 1)]
        return tuple(itertools.pairwise(edges))


@dataclass(frozen=True)
class Objective:
    """A figure with a direction, of the days as a whole or of all windows; ``said`` is what a person reads."""

    name: str
    said: str
    whole: Callable[[Performance], float] | None = None
    over_windows: Callable[[Sequence[Performance]], float] | None = None
    direction: Direction = "maximize"

    @property
    def sign(self) -> float:
        """1 where more is better, -1 where less is."""
        return 1.0 if self.direction == "maximize" else -1.0

    def value(self, performance: Performance, windows: Sequence[tuple[int, int]]) -> float:
        """Give the figure over windows that follow each other; NaN where it is not defined."""
        if self.whole is not None:
            return self.whole(performance.between(windows[0][0], windows[-1][1]))
        assert self.over_windows is not None
        return self.over_windows([performance.between(first, last) for first, last in windows])


def total_return(performance: Performance) -> float:
    """Give the compounded return, a fraction."""
    return float(np.prod(1.0 + performance.daily)) - 1.0


def annual_return(performance: Performance) -> float:
    """Give the compounded return a year, a fraction; NaN without a day."""
    days = len(performance.daily)
    growth = 1.0 + total_return(performance)
    return growth ** (YEAR / days) - 1.0 if days and growth > 0 else _NAN


def sharpe(performance: Performance) -> float:
    """Give the mean over the deviation of daily returns (n - 1), times sqrt(365); NaN for a flat line."""
    return day_figures(performance.daily)["sharpe"] if len(performance.daily) else _NAN


def sortino(performance: Performance) -> float:
    """Give the mean over the root of the mean squared loss of daily returns, times sqrt(365)."""
    return day_figures(performance.daily)["sortino"] if len(performance.daily) else _NAN


def max_drawdown(performance: Performance) -> float:
    """Give the deepest fall of daily equity from an earlier peak, a positive fraction."""
    return float(-_underwater(performance).min(initial=0.0))


def calmar(performance: Performance) -> float:
    """Give annual return over maximum drawdown; NaN without a drawdown."""
    fall = max_drawdown(performance)
    return annual_return(performance) / fall if fall > 0 else _NAN


def ulcer(performance: Performance) -> float:
    """Give the root of the mean squared drawdown (Martin, 1987), a fraction: lower is better; NaN for a flat line."""
    under = _underwater(performance)
    return math.sqrt(float(np.mean(under**2))) if performance.daily.any() else _NAN


def lowest_drawdown(performance: Performance) -> float:
    """Give the maximum drawdown to strive for; NaN for a flat line, which has none because it never traded."""
    return max_drawdown(performance) if performance.daily.any() else _NAN


def profit_factor(performance: Performance) -> float:
    """Give what winning trades earned over what losing trades lost; NaN without a losing trade."""
    won = float(performance.trade_return[performance.trade_return > 0].sum())
    lost = -float(performance.trade_return[performance.trade_return < 0].sum())
    return won / lost if lost > 0 else _NAN


def expectancy(performance: Performance) -> float:
    """Give the mean profit of a trade as a share of the starting cash; NaN without trades."""
    return float(performance.trade_return.mean()) if len(performance.trade_return) else _NAN


def sqn(performance: Performance) -> float:
    """Give the system quality number: sqrt(trades) x mean / deviation of trade profits (Tharp); NaN below 2 trades."""
    trades = performance.trade_return
    return _mean_over(trades, _deviation(trades)) * math.sqrt(len(trades))


def probabilistic_sharpe(performance: Performance) -> float:
    """Give the probability that the true Sharpe ratio is above 0 (Bailey, Lopez de Prado, 2012); raw kurtosis."""
    days = performance.daily
    if len(days) < 3 or not days.std() > 0:
        return _NAN
    return sharpe_statistics.probabilistic_sharpe(Moments.of(days))


def worst_window(parts: Sequence[Performance]) -> float:
    """Give the lowest total return of all windows."""
    return min(total_return(part) for part in parts)


def steady_window(parts: Sequence[Performance]) -> float:
    """Give the median total return of the windows less half their spread between quartiles."""
    returns = np.array([total_return(part) for part in parts])
    low, middle, high = np.percentile(returns, [25, 50, 75])
    return float(middle - (high - low) / 2)


def edge_at_twice_the_cost(performance: Performance) -> float:
    """Give the Sharpe ratio with every cost paid twice: an edge that dies of costs shows here."""
    return sharpe(performance.at_twice_the_cost)


def _objectives() -> dict[str, Objective]:
    listed = [
        Objective("sharpe", "Sharpe ratio of daily returns", sharpe),
        Objective("sortino", "Sortino ratio of daily returns", sortino),
        Objective("calmar", "annual return over maximum drawdown", calmar),
        Objective("total_return", "total return", total_return),
        Objective("annual_return", "annual return", annual_return),
        Objective("profit_factor", "profit factor of closed trades", profit_factor),
        Objective("expectancy", "mean profit of a trade", expectancy),
        Objective("sqn", "system quality number", sqn),
        Objective("ulcer", "ulcer index", ulcer, direction="minimize"),
        Objective("max_drawdown", "maximum drawdown", lowest_drawdown, direction="minimize"),
        Objective("probabilistic_sharpe", "probability that the true Sharpe is above 0", probabilistic_sharpe),
        Objective("worst_window", "total return of the worst window", over_windows=worst_window),
        Objective("steady_window", "median window's return less half the quartile spread", over_windows=steady_window),
        Objective("edge_at_twice_the_cost", "Sharpe ratio at twice the cost", edge_at_twice_the_cost),
    ]
    return {objective.name: objective for objective in listed}


OBJECTIVES: dict[str, Objective] = _objectives()


@dataclass(frozen=True)
class Constraints:
    """What a trial must keep to be chosen: 0 and 1 switch the limits off.

    Parameters
    ----------
    min_trades
        Fewest closed trades in every window.
    max_drawdown
        Deepest fall of daily equity, a fraction.
    """

    min_trades: int = 0
    max_drawdown: float = 1.0

    def __post_init__(self) -> None:
        if self.min_trades < 0:
            raise ValueError(f"min_trades must be 0 or more, was {self.min_trades}")
        if not 0 < self.max_drawdown <= 1:
            raise ValueError(f"max_drawdown must be a fraction above 0 and at most 1, was {self.max_drawdown}")

    def excess(self, performance: Performance, windows: Sequence[tuple[int, int]]) -> dict[str, float]:
        """Say by how much each limit in force is broken; 0 or less keeps it."""
        found = {}
        if self.min_trades:
            days = performance.exit_day
            fewest = min(int(np.count_nonzero((days >= first) & (days < last))) for first, last in windows)
            found["min_trades"] = float(self.min_trades - fewest)
        if self.max_drawdown < 1:
            span = performance.between(windows[0][0], windows[-1][1])
            found["max_drawdown"] = max_drawdown(span) - self.max_drawdown
        return found

    def kept(self, performance: Performance, windows: Sequence[tuple[int, int]]) -> bool:
        """Whether every limit is kept."""
        return all(excess <= 0 for excess in self.excess(performance, windows).values())


def _deviation(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else _NAN


def _mean_over(values: FloatArray, spread: float) -> float:
    return float(values.mean()) / spread if spread > 0 else _NAN


def _underwater(performance: Performance) -> FloatArray:
    return drawdown(np.asarray(np.cumprod(1.0 + performance.daily)), 1.0)
