"""The space of a search: which settings may vary, between which values, and under which condition."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

Value = float | int | str | bool
Values = Mapping[str, Value]
Side = Literal["model", "trade"]

GRID_POINTS = 5


@dataclass(frozen=True)
class Condition:
    """A dimension exists only where another one has one of these values."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class FloatRange:
    """Numbers from ``low`` to ``high``, both included; on a ``step`` from ``low``, or evenly in the logarithm.

    >>> FloatRange("strategy.stop_loss", 0.01, 0.05, step=0.01).at(0.5)
    0.03
    """

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False
    points: int = GRID_POINTS
    when: Condition | None = None

    def __post_init__(self) -> None:
        _check_range(self)

    @property
    def distribution(self) -> FloatDistribution:
        """What Optuna calls it."""
        from optuna.distributions import FloatDistribution

        top = self.high if self.step is None else float(Decimal(str(self.low)) + self._steps * Decimal(str(self.step)))
        return FloatDistribution(self.low, top, log=self.log, step=self.step)

    def at(self, share: float) -> float:
        """Give the value at a share in [0, 1] of the way."""
        if self.step is not None:
            return self._stepped(_place(share, self._steps + 1))
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
            return min(max(value, self.low), self.high)
        return min(self.low + share * (self.high - self.low), self.high)

    def share(self, value: Value) -> float:
        """Give how far along the way a value lies, in [0, 1]."""
        return _share(self, float(value))

    def grid(self) -> tuple[float, ...]:
        """Give the values of a grid: every step, else ``points`` values."""
        if self.step is not None:
            return tuple(self._stepped(i) for i in range(self._steps + 1))
        return tuple(dict.fromkeys(self.at(i / (self.points - 1)) for i in range(self.points)))

    @property
    def _steps(self) -> int:
        assert self.step is not None
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) // Decimal(str(self.step)))

    def _stepped(self, place: int) -> float:
        assert self.step is not None
        return float(Decimal(str(self.low)) + place * Decimal(str(self.step)))  # as Optuna counts


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from ``low`` to ``high``, both included; every ``step``-th, or evenly in the logarithm.

    >>> IntRange("model.num_leaves", 4, 64, log=True).grid()
    (4, 8, 16, 32, 64)
    """

    name: str
    low: int
    high: int
    step: int = 1
    log: bool = False
    points: int = GRID_POINTS
    when: Condition | None = None

    def __post_init__(self) -> None:
        _check_range(self)

    @property
    def distribution(self) -> IntDistribution:
        """What Optuna calls it."""
        from optuna.distributions import IntDistribution

        top = self.high if self.log else self.low + (self.high - self.low) // self.step * self.step
        return IntDistribution(self.low, top, log=self.log, step=self.step)

    def at(self, share: float) -> int:
        """Give the value at a share in [0, 1] of the way."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(low + share * (high - low))), self.low), self.high)
        return self.low + self.step * _place(share, (self.high - self.low) // self.step + 1)

    def share(self, value: Value) -> float:
        """Give how far along the way a value lies, in [0, 1]."""
        return _share(self, float(value))

    def grid(self) -> tuple[int, ...]:
        """Give the values of a grid: all where there are at most ``points``, else ``points`` of them."""
        count = (self.high - self.low) // self.step + 1
        if count <= self.points:
            return tuple(self.low + i * self.step for i in range(count))
        shares = [i / (self.points - 1) for i in range(self.points)]
        if self.log:
            ratio = self.high / self.low
            return tuple(dict.fromkeys(round(self.low * ratio**share) for share in shares))
        return tuple(dict.fromkeys(self.low + self.step * round(share * (count - 1)) for share in shares))


@dataclass(frozen=True)
class Choice:
    """One of several values without an order.

    >>> Choice("label.kind", ("future_return", "topbot2")).at(0.9)
    'topbot2'
    """

    name: str
    choices: tuple[Value, ...]
    when: Condition | None = None

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError(f"{self.name}: choices must hold at least one value, was empty")
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"{self.name}: choices must differ, were {list(self.choices)}")

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna calls it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)

    def at(self, share: float) -> Value:
        """Give the value at a share in [0, 1] of the way."""
        return self.choices[_place(share, len(self.choices))]

    def share(self, value: Value) -> float:
        """Give how far along the list a value stands, in [0, 1]."""
        return self.choices.index(value) / max(1, len(self.choices) - 1)

    def grid(self) -> tuple[Value, ...]:
        """Give every choice."""
        return self.choices


Dimension = FloatRange | IntRange | Choice


@dataclass(frozen=True)
class Space:
    """What a search may vary: the ``model`` side costs a training, the ``trade`` side only an evaluation of its scores.

    Names are keys of the config, such as ``model.learning_rate``. A condition names a dimension that comes earlier;
    those of the model side come before all of the trade side. Raises ``ValueError`` for anything that cannot be.

    >>> space = Space(trade=(FloatRange("strategy.buy_threshold", 0.5, 0.7), Choice("strategy.allow_short", (True,))))
    >>> space.names, sum(1 for _ in space.grid("trade", {}))
    (('strategy.buy_threshold', 'strategy.allow_short'), 5)
    """

    model: tuple[Dimension, ...] = ()
    trade: tuple[Dimension, ...] = ()

    def __post_init__(self) -> None:
        if not self.model and not self.trade:
            raise ValueError("expected at least one setting that varies, found none")
        seen: dict[str, Dimension] = {}
        for dimension in self.dimensions:
            if dimension.name in seen:
                raise ValueError(f"{dimension.name}: expected once, is there twice")
            _check_condition(dimension, seen)
            seen[dimension.name] = dimension

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """All dimensions, the model side first."""
        return (*self.model, *self.trade)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dimension.name for dimension in self.dimensions)

    def side(self, side: Side) -> tuple[Dimension, ...]:
        """Give the dimensions of one side."""
        return self.model if side == "model" else self.trade

    def fill(self, side: Side, shares: np.ndarray[Any, Any], given: Values) -> dict[str, Value]:
        """Read a point of the unit cube (one share for each dimension of the side) as values, conditions applied."""
        values: dict[str, Value] = {}
        for dimension, share in zip(self.side(side), shares, strict=True):
            if is_active(dimension, {**given, **values}):
                values[dimension.name] = dimension.at(float(share))
        return values

    def grid(self, side: Side, given: Values) -> Iterator[dict[str, Value]]:
        """Walk every combination of grid values of one side, last dimension fastest; conditions leave some out once."""
        seen: set[tuple[tuple[str, Value], ...]] = set()
        for values in itertools.product(*(dimension.grid() for dimension in self.side(side))):
            point: dict[str, Value] = {}
            for dimension, value in zip(self.side(side), values, strict=True):
                if is_active(dimension, {**given, **point}):
                    point[dimension.name] = value
            key = tuple(point.items())
            if key not in seen:
                seen.add(key)
                yield point

    def standing(self, dimension: Dimension, value: Value) -> dict[str, Value]:
        """Give a point where a dimension has a value: what it waits for, and what then comes with it."""
        given: dict[str, Value] = {dimension.name: value}
        condition, others = dimension.when, {other.name: other for other in self.dimensions}
        while condition is not None:
            given[condition.name] = condition.values[0]
            condition = others[condition.name].when
        for other in self.dimensions:
            if other.when is not None and other.name not in given and is_active(other, given):
                given[other.name] = other.at(0.0)
        return given

    def shares(self, values: Values) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Give a point as shares in [0, 1], one for each dimension; NaN for one that does not exist there."""
        return np.array(
            [d.share(values[d.name]) if d.name in values else np.nan for d in self.dimensions], dtype=np.float64
        )

    def plain(self) -> list[dict[str, Any]]:
        """Give the space as JSON knows it, for storage and comparison."""
        return [
            {"side": side, "kind": type(dimension).__name__, **json.loads(json.dumps(asdict(dimension)))}
            for side in ("model", "trade")
            for dimension in self.side("model" if side == "model" else "trade")
        ]

    @property
    def fingerprint(self) -> str:
        """sha256 of the space."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()


def is_active(dimension: Dimension, given: Values) -> bool:
    """Whether a dimension exists where others have these values.

    >>> is_active(Choice("b", (1, 2), when=Condition("a", (True,))), {"a": False})
    False
    """
    condition = dimension.when
    return condition is None or (condition.name in given and given[condition.name] in condition.values)


def _check_range(given: FloatRange | IntRange) -> None:
    name = given.name
    if not (math.isfinite(given.low) and math.isfinite(given.high) and given.low <= given.high):
        raise ValueError(f"{name}: low must not be above high, were {given.low} and {given.high}")
    if given.step is not None and not given.step > 0:
        raise ValueError(f"{name}: step must be above 0, was {given.step}")
    if given.log and given.low <= 0:
        raise ValueError(f"{name}: low must be above 0 for a logarithmic range, was {given.low}")
    if given.log and given.step not in (None, 1):
        raise ValueError(f"{name}: a logarithmic range takes no step, was {given.step}; leave one of them out")
    if given.points < 2:
        raise ValueError(f"{name}: points must be at least 2, was {given.points}")


def _check_condition(dimension: Dimension, seen: Mapping[str, Dimension]) -> None:
    condition = dimension.when
    if condition is None:
        return
    if condition.name not in seen:
        raise ValueError(f"{dimension.name}: when names {condition.name!r}, which must be a dimension before it")
    parent = seen[condition.name]
    if isinstance(parent, Choice):
        strange = [value for value in condition.values if value not in parent.choices]
        if strange:
            raise ValueError(
                f"{dimension.name}: when waits for {condition.name} = {strange[0]!r}, which is none of its choices "
                f"{list(parent.choices)}"
            )


def _place(share: float, count: int) -> int:
    return min(int(share * count), count - 1)


def _share(given: FloatRange | IntRange, value: float) -> float:
    if given.high == given.low:
        return 0.5
    if given.log:
        return (math.log(value) - math.log(given.low)) / (math.log(given.high) - math.log(given.low))
    return (value - given.low) / (given.high - given.low)
