"""Every combination of a rule's parameters, each judged by the deals that it makes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from itb.indicators.signals.signal import Columns, Signal
from itb.indicators.signals.signal_set import SignalSet
from itb.indicators.signals.threshold_rule import ThresholdSignal, ThresholdSignal2
from itb.ledger.alternating import Deals, Direction, Performance, alternate, performance
from itb.ledger.legacy_metric import legacy_performance
from itb.market.bars import FloatArray
from itb.market.costs import Costs

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Trial:
    """One combination: its parameters, its deals, what they earned, and what the original would have printed."""

    parameters: tuple[tuple[str, float], ...]
    deals: Deals
    performance: Performance
    legacy: Performance


@dataclass(frozen=True)
class SignalGrid:
    """All combinations of parameters of the last signal, a threshold rule (intelligent-trading-bot's ``simulate``).

    ``grid`` lists values by parameter name, in fixed order. ``buy_sell_equal`` sets each sell threshold to the
    negative of its buy threshold. ``direction`` says which side's percent ranks the trials (a month's or the whole: all
    have the same months); ties keep the order of the grid. ``topn_to_store`` best trials are kept.

    Thresholds chosen so are chosen with the prices they are judged on: what they will earn is for later bars to say.

    >>> from itb.indicators.signals import ThresholdSignal
    >>> signals = SignalSet((ThresholdSignal("score", ("buy", "sell"), 0.0, 0.0),))
    >>> grid = SignalGrid(signals, (("buy_signal_threshold", (0.1, 0.5)),), buy_sell_equal=True)
    >>> [combination["sell_signal_threshold"] for combination in grid.combinations()]
    [-0.1, -0.5]
    """

    signals: SignalSet
    grid: tuple[tuple[str, tuple[float, ...]], ...]
    direction: Direction = "long"
    buy_sell_equal: bool = False
    topn_to_store: int = 10

    def __post_init__(self) -> None:
        rule = self.signals.signals[-1] if self.signals.signals else None
        parameters = _thresholds(rule)
        if not parameters:
            raise ValueError("the last signal must be a threshold rule: its flags are what is simulated")
        for name, values in self.grid:
            if name not in parameters:
                raise ValueError(f"grid: the rule has no parameter {name!r}; there are {', '.join(parameters)}")
            if not values or any(math.isnan(value) for value in values):
                raise ValueError(f"grid: {name} must list one number or more, was {values}")
            if self.buy_sell_equal and name.startswith("sell_"):
                raise ValueError(f"grid: {name} is the negative of its buy threshold with buy_sell_equal: leave it out")
        if not self.grid or len(dict(self.grid)) < len(self.grid):
            raise ValueError(f"grid must name one parameter or more, each once, was {[name for name, _ in self.grid]}")
        if self.direction not in get_args(Direction):
            raise ValueError(f'direction must be "long", "short" or "both", was {self.direction!r}')
        if self.topn_to_store < 1:
            raise ValueError(f"topn_to_store must be at least 1, was {self.topn_to_store}")

    def __len__(self) -> int:
        return math.prod(len(values) for _, values in self.grid)

    def combinations(self) -> list[dict[str, float]]:
        """Give the parameters of every trial, the last one varying fastest."""
        names = [name for name, _ in self.grid]
        made = [dict(zip(names, values, strict=True)) for values in itertools.product(*(v for _, v in self.grid))]
        return [self._with_equals(combination) for combination in made] if self.buy_sell_equal else made

    def run(
        self,
        columns: Columns,
        prices: FloatArray,
        *,
        costs: Costs,
        months: float,
        progress: Progress | None = None,
    ) -> list[Trial]:
        """Try every combination on scores and the prices at which their flags fill; give the best, best first."""
        rule: Any = self.signals.signals[-1]
        before = SignalSet(self.signals.signals[:-1])
        known: dict[str, Any] = {**columns, **before(columns)}
        combinations, trials = self.combinations(), []
        for number, combination in enumerate(combinations, 1):
            trials.append(self._try(replace(rule, **combination), combination, known, prices, costs, months))
            if progress is not None:
                progress(number, len(combinations), "simulate")
        ranked = sorted(trials, key=lambda trial: -trial.performance.of(self.direction).profit_percent)
        return ranked[: self.topn_to_store]

    def _try(
        self,
        rule: Signal,
        combination: dict[str, float],
        known: Columns,
        prices: FloatArray,
        costs: Costs,
        months: float,
    ) -> Trial:
        flags: Any = SignalSet((rule,))(known)
        buys, sells = (flags[name] for name in rule.outputs)
        deals = alternate(buys, sells, prices)
        return Trial(
            tuple(combination.items()), deals, performance(deals, costs, months), legacy_performance(deals, months)
        )

    def _with_equals(self, combination: dict[str, float]) -> dict[str, float]:
        negatives = {name.replace("buy_", "sell_", 1): -value for name, value in combination.items()}
        return combination | negatives


def _thresholds(rule: Signal | None) -> list[str]:
    if not isinstance(rule, ThresholdSignal | ThresholdSignal2):
        return []
    return [field.name for field in fields(rule) if "_signal_threshold" in field.name]
