"""Flags to buy and to sell, by thresholds on one score or on two."""

from __future__ import annotations

import math
from dataclasses import dataclass

from itb.indicators.signals.rule import ThresholdRule
from itb.indicators.signals.signal import Columns, Flags, Range, Ranges, check_names

_FLAGS = ((0.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class ThresholdSignal:
    """Buy at or above one threshold, sell at or below another (intelligent-trading-bot's ``threshold_rule``).

    ``names`` are the columns of flags made, (buy, sell). A NaN score gives neither. Where ``sell_signal_threshold`` is
    the higher of the two, scores between them give both.

    >>> import numpy as np
    >>> rule = ThresholdSignal("score", ("buy", "sell"), buy_signal_threshold=0.3, sell_signal_threshold=-0.3)
    >>> flags = rule({"score": np.array([0.3, 0.0, -0.5])})
    >>> flags["buy"].tolist(), flags["sell"].tolist()
    ([True, False, False], [False, False, True])
    """

    columns: str
    names: tuple[str, ...]
    buy_signal_threshold: float
    sell_signal_threshold: float

    def __post_init__(self) -> None:
        check_names("columns", (self.columns,), 1)
        check_names("names", self.names, 2)
        _check_thresholds(self, "buy_signal_threshold", "sell_signal_threshold")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The column that it reads."""
        return (self.columns,)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns that it makes: buy, sell."""
        return self.names

    @property
    def warmup(self) -> int:
        """No earlier row decides a flag."""
        return 0

    def __call__(self, columns: Columns) -> dict[str, Flags]:
        """Compute the flags."""
        rule, score = ThresholdRule(self.buy_signal_threshold, self.sell_signal_threshold), columns[self.columns]
        buy, sell = self.names
        return {buy: rule.is_bullish(score), sell: rule.is_bearish(score)}

    def ranges(self, _known: Ranges) -> tuple[Range, ...]:
        """Say that flags are 0 or 1."""
        return _FLAGS


@dataclass(frozen=True)
class ThresholdSignal2:
    """Buy where two scores reach their thresholds, sell where both fall to theirs (``threshold_rule2``).

    ``columns`` are the two scores; ``..._2`` is the second one's threshold. Where one score is NaN, neither.

    >>> import numpy as np
    >>> rule = ThresholdSignal2(("fast", "slow"), ("buy", "sell"), 0.3, -0.3, 0.1, -0.1)
    >>> flags = rule({"fast": np.array([0.3, 0.4, -0.5]), "slow": np.array([0.1, 0.0, -0.1])})
    >>> flags["buy"].tolist(), flags["sell"].tolist()
    ([True, False, False], [False, False, True])
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    buy_signal_threshold: float
    sell_signal_threshold: float
    buy_signal_threshold_2: float
    sell_signal_threshold_2: float

    def __post_init__(self) -> None:
        check_names("columns", self.columns, 2)
        check_names("names", self.names, 2)
        _check_thresholds(self, "buy_signal_threshold", "sell_signal_threshold")
        _check_thresholds(self, "buy_signal_threshold_2", "sell_signal_threshold_2")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that it reads."""
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns that it makes: buy, sell."""
        return self.names

    @property
    def warmup(self) -> int:
        """No earlier row decides a flag."""
        return 0

    def __call__(self, columns: Columns) -> dict[str, Flags]:
        """Compute the flags."""
        first, second = (columns[name] for name in self.columns)
        one = ThresholdRule(self.buy_signal_threshold, self.sell_signal_threshold)
        other = ThresholdRule(self.buy_signal_threshold_2, self.sell_signal_threshold_2)
        buy, sell = self.names
        return {
            buy: one.is_bullish(first) & other.is_bullish(second),
            sell: one.is_bearish(first) & other.is_bearish(second),
        }

    def ranges(self, _known: Ranges) -> tuple[Range, ...]:
        """Say that flags are 0 or 1."""
        return _FLAGS


def _check_thresholds(rule: object, *fields: str) -> None:
    for field in fields:
        if math.isnan(getattr(rule, field)):
            raise ValueError(f"{field} must be a number, was nan")
