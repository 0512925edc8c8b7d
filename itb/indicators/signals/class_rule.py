"""Flags to buy and to sell from the chances of three classes."""

from __future__ import annotations

from dataclasses import dataclass

from itb.indicators.signals.signal import Columns, Flags, Range, Ranges, check_names
from itb.market.bars import FloatArray


def most_probable(hold: FloatArray, buy: FloatArray, sell: FloatArray) -> tuple[Flags, Flags]:
    """Say where buy and where sell is the most probable class: of equals sell before buy before hold; NaN is neither.

    >>> import numpy as np
    >>> hold, buy, sell = np.array([0.2, 0.4, 0.5]), np.array([0.4, 0.4, 0.2]), np.array([0.4, 0.2, 0.3])
    >>> [flags.tolist() for flags in most_probable(hold, buy, sell)]
    [[False, True, False], [True, False, False]]
    """
    return (buy > sell) & (buy >= hold), (sell >= buy) & (sell >= hold)


@dataclass(frozen=True)
class ClassRule:
    """Buy where buy is the most probable class with at least a threshold's chance, sell likewise (FollowUpward's rule).

    ``columns`` are the chances to hold, to buy and to sell, ``names`` the columns of flags made, (buy, sell). Of equal
    chances sell comes before buy before hold; with thresholds of 0 the class alone decides. Where a chance is NaN,
    neither. A grid over both thresholds is FollowUpward's threshold matrix.

    >>> import numpy as np
    >>> rule = ClassRule(("up_hold", "up_buy", "up_sell"), ("buy", "sell"), buy_signal_threshold=0.6)
    >>> told = {"up_hold": np.array([0.3, 0.1]), "up_buy": np.array([0.5, 0.7]), "up_sell": np.array([0.2, 0.2])}
    >>> rule(told)["buy"].tolist()
    [False, True]
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    buy_signal_threshold: float = 0.0
    sell_signal_threshold: float = 0.0

    def __post_init__(self) -> None:
        check_names("columns", self.columns, 3)
        check_names("names", self.names, 2)
        for name in ("buy_signal_threshold", "sell_signal_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability from 0 to 1, was {getattr(self, name)}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that it reads: the chances to hold, to buy, to sell."""
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
        hold, buy, sell = (columns[name] for name in self.columns)
        buys, sells = most_probable(hold, buy, sell)
        named_buy, named_sell = self.names
        return {
            named_buy: buys & (buy >= self.buy_signal_threshold),
            named_sell: sells & (sell >= self.sell_signal_threshold),
        }

    def ranges(self, _known: Ranges) -> tuple[Range, ...]:
        """Say that flags are 0 or 1."""
        return (0.0, 1.0), (0.0, 1.0)
