"""Every combination of a rule's parameters, each judged by the deals that it makes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from itb.indicators.signals.class_rule import ClassRule
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
    """All combinations of parameters of signals that end in a threshold rule (intelligent-trading-bot's ``simulate``).

    ``grid`` lists values by parameter, in fixed order: a plain name is a threshold of that rule, ``"score.window"`` the
    parameter ``window`` of the signal that makes the column ``score``. ``buy_sell_equal`` sets each sell threshold to
    the negative of its buy threshold. ``direction`` says which side's percent ranks the trials (a month's or the whole:
    all have the same months); ties keep the order of the grid. ``topn_to_store`` best trials are kept.

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
            raise ValueError("the last signal must be a rule of thresholds or classes: its flags are what is simulated")
        for name, values in self.grid:
            step, parameter = self._place(name, parameters)
            if not values or any(math.isnan(value) for value in values):
                raise ValueError(f"grid: {name} must list one number or more, was {values}")
            for value in values:
                try:
                    replace(self._steps[step], **{parameter: value})
                except ValueError as error:
                    raise ValueError(f"grid: {name}: {error}") from None
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

    def with_parameters(self, combination: Mapping[str, float]) -> SignalSet:
        """Give the signals with other parameters."""
        steps = list(self._steps)
        for name, value in combination.items():
            step, parameter = self._place(name)
            steps[step] = replace(steps[step], **{parameter: value})
        return SignalSet(tuple(steps))

    @property
    def _steps(self) -> tuple[Any, ...]:
        return self.signals.signals

    def _place(self, name: str, thresholds: Sequence[str] | None = None) -> tuple[int, str]:
        """Find the signal and the field that a parameter's name means."""
        column, dot, parameter = name.rpartition(".")
        if not dot:
            if thresholds is not None and name not in thresholds:
                raise ValueError(f"grid: the rule has no parameter {name!r}; there are {', '.join(thresholds)}")
            return len(self._steps) - 1, name
        makers = [number for number, step in enumerate(self._steps) if column in step.outputs]
        if not makers:
            raise ValueError(f"grid: {name}: no signal makes {column!r}; they make {', '.join(self.signals.names)}")
        known = _numbers(self._steps[makers[0]])
        if parameter not in known:
            told = f"there are {', '.join(known)}" if known else "it has none"
            raise ValueError(f"grid: {name}: the signal has no number {parameter!r}; {told}")
        return makers[0], parameter

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
        trials: list[Trial] = []
        for trial in self.trials(self.combinations(), columns, prices, costs=costs, months=months):
            trials.append(trial)
            if progress is not None:
                progress(len(trials), len(self), "simulate")
        ranked = sorted(trials, key=lambda trial: -trial.performance.of(self.direction).profit_percent)
        return ranked[: self.topn_to_store]

    def trials(
        self,
        combinations: Sequence[Mapping[str, float]],
        columns: Columns,
        prices: FloatArray,
        *,
        costs: Costs,
        months: float,
    ) -> Iterator[Trial]:
        """Try some combinations, one after the other."""
        before = ""
        known: dict[str, Any] = {}
        for combination in combinations:
            *early, rule = self.with_parameters(combination).signals
            if repr(early) != before or not known:  # not ==: a window of 5 rows equals a span of 5.0
                before, known = repr(early), {**columns, **SignalSet(tuple(early))(columns)}
            yield self._try(rule, combination, known, prices, costs, months)

    def _try(
        self,
        rule: Signal,
        combination: Mapping[str, float],
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
        mirrored = {name: value for name, value in combination.items() if name.startswith("buy_")}
        negatives = {name.replace("buy_", "sell_", 1): -value for name, value in mirrored.items()}
        return combination | negatives


def _thresholds(rule: Signal | None) -> list[str]:
    if not isinstance(rule, ThresholdSignal | ThresholdSignal2 | ClassRule):
        return []
    return [field.name for field in fields(rule) if "_signal_threshold" in field.name]


def _numbers(step: Signal) -> list[str]:
    """Parameters of a signal that a grid can vary: all but names and choices."""
    made: Any = step
    return [field.name for field in fields(made) if field.name not in ("columns", "names", "combine")]
