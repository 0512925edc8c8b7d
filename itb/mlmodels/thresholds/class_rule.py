"""From the probabilities of hold, buy and sell to one class, and from a class to flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from itb.indicators.signals.class_rule import most_probable
from itb.mlmodels.labels.trade_classes import BUY, CLASSES, HOLD, SELL
from itb.mlmodels.thresholds.policy import Numbers

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Probabilities:
    """What a model of three classes gives per row: the probabilities to hold, to buy and to sell."""

    hold: Numbers
    buy: Numbers
    sell: Numbers

    def __post_init__(self) -> None:
        if not self.hold.shape == self.buy.shape == self.sell.shape:
            shapes = f"{self.hold.shape}, {self.buy.shape} and {self.sell.shape}"
            raise ValueError(f"probabilities must be as long as each other, were {shapes}")

    def __len__(self) -> int:
        return len(self.hold)

    @property
    def classes(self) -> Numbers:
        """The most probable class: of equals sell before buy before hold; hold where a probability is NaN.

        >>> Probabilities(np.array([0.2, 0.4]), np.array([0.4, 0.4]), np.array([0.4, 0.2])).classes.tolist()
        [2.0, 1.0]
        """
        buys, sells = most_probable(self.hold, self.buy, self.sell)
        return np.where(sells, SELL, np.where(buys, BUY, HOLD))

    def flags(self, buy_threshold: float, sell_threshold: float) -> tuple[Marks, Marks]:
        """Flag rows to buy and rows to sell: their class says so with at least that probability."""
        classes = self.classes
        return (classes == BUY) & (self.buy >= buy_threshold), (classes == SELL) & (self.sell >= sell_threshold)


def confusion(targets: Numbers, classes: Numbers) -> npt.NDArray[np.int64]:
    """Count rows by target (down) and class given (across), in the order hold, buy, sell; NaN targets are left out.

    >>> confusion(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    """
    return np.array([[np.sum((targets == true) & (classes == given)) for given in CLASSES] for true in CLASSES])
