"""What every pair of a buy and a sell threshold would have earned, all of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from itb.ledger.alternating import alternate
from itb.mlmodels.thresholds.class_rule import Marks, Probabilities
from itb.mlmodels.thresholds.policy import Numbers

Gain = Literal["paid", "original", "entry_price"]


@dataclass(frozen=True, eq=False)
class TradeMatrix:
    """Sums of relative gains and numbers of trades, per buy threshold (down) and sell threshold (across).

    Matrices of several coins add up.
    """

    buy_thresholds: tuple[float, ...]
    sell_thresholds: tuple[float, ...]
    gains: Numbers
    trades: npt.NDArray[np.int64]

    def __add__(self, other: TradeMatrix) -> TradeMatrix:
        mine, theirs = ((one.buy_thresholds, one.sell_thresholds) for one in (self, other))
        if mine != theirs:
            raise ValueError(f"only matrices of the same thresholds add up, these have {mine} and {theirs}")
        return TradeMatrix(*mine, self.gains + other.gains, self.trades + other.trades)

    @property
    def best(self) -> tuple[float, float]:
        """The (buy, sell) thresholds that gained most; of equals the first."""
        row, column = divmod(int(self.gains.argmax()), len(self.sell_thresholds))
        return self.buy_thresholds[row], self.sell_thresholds[column]

    @property
    def best_gain(self) -> float:
        """What the best thresholds gained: the figure for early stopping on the trading result."""
        return float(self.gains.max())

    def at(self, buy: float, sell: float) -> tuple[float, int]:
        """Give the gain and the number of trades of one pair, such as the best one of an earlier block."""
        if buy not in self.buy_thresholds or sell not in self.sell_thresholds:
            raise ValueError(f"no cell ({buy}, {sell}): there are {self.buy_thresholds} x {self.sell_thresholds}")
        cell = self.buy_thresholds.index(buy), self.sell_thresholds.index(sell)
        return float(self.gains[cell]), int(self.trades[cell])


@dataclass(frozen=True)
class Assessment:
    """How trades are counted: bought at the close of a row flagged to buy, sold at that of the next flagged to sell.

    ``fee`` is of one side, a fraction. A position that stands at the end is sold at the last close, unless it was
    bought there: then it never was. The gain of a trade is (sale - fee) - (purchase + fee), divided as ``gain`` says:
    ``"paid"`` by the purchase with its fee; ``"original"`` is what FollowUpward computed, divided by the price and then
    *multiplied* by 1 + fee; ``"entry_price"`` divides by the price alone, as its later version does.
    """

    fee: float = 0.001
    gain: Gain = "paid"

    def __post_init__(self) -> None:
        if not 0 <= self.fee < 1:
            raise ValueError(f"fee must be a fraction of at least 0 and below 1, was {self.fee}")
        if self.gain not in get_args(Gain):
            raise ValueError(f'gain must be "paid", "original" or "entry_price", was {self.gain!r}')

    def count(self, buys: Marks, sells: Marks, close: Numbers) -> tuple[float, int]:
        """Give the sum of relative gains and the number of trades."""
        deals = alternate(buys, sells, close)
        bought, sold = deals.buy_prices, deals.sell_prices
        if deals.is_holding:
            if deals.buy_rows[-1] == len(close) - 1:
                bought = bought[:-1]
            else:
                sold = np.append(sold, close[-1])
        gains = (sold * (1 - self.fee) - bought * (1 + self.fee)) / bought
        factor = {"paid": 1 / (1 + self.fee), "original": 1 + self.fee, "entry_price": 1.0}[self.gain]
        return float((gains * factor).sum()), len(gains)

    def matrix(
        self,
        thresholds: tuple[Sequence[float], Sequence[float]],
        flags: tuple[list[Marks], list[Marks]],
        close: Numbers,
    ) -> TradeMatrix:
        """Count the trades of every pair of flags to buy and flags to sell."""
        cells = [[self.count(buys, sells, close) for sells in flags[1]] for buys in flags[0]]
        gains = np.array([[gain for gain, _ in row] for row in cells])
        trades = np.array([[number for _, number in row] for row in cells], dtype=np.int64)
        return TradeMatrix(tuple(thresholds[0]), tuple(thresholds[1]), gains, trades)


@dataclass(frozen=True)
class ClassMatrix:
    """Trade matrix of a model of three classes (FollowUpward's ``PerfMatrix``).

    A row is flagged by its most probable class if that has at least the threshold's probability (with ``is_strict``:
    more than it).

    >>> sure = np.array([0.0, 0.0, 0.0])
    >>> given = Probabilities(sure, np.array([0.8, 0.0, 0.0]), np.array([0.0, 0.0, 0.5]))
    >>> matrix = ClassMatrix(assessment=Assessment(fee=0.0))(given, np.array([100.0, 105.0, 110.0]))
    >>> matrix.gains.shape, matrix.at(0.7, 0.5)[1], round(matrix.best_gain, 9)
    ((7, 7), 1, 0.1)
    """

    thresholds: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assessment: Assessment = Assessment()
    is_strict: bool = False

    def __post_init__(self) -> None:
        _check("thresholds", self.thresholds)

    def __call__(self, probabilities: Probabilities, close: Numbers) -> TradeMatrix:
        """Count the trades of every cell on closes known in full."""
        lines = [float(np.nextafter(line, np.inf)) if self.is_strict else line for line in self.thresholds]
        pairs = [probabilities.flags(line, line) for line in lines]
        flags = [buys for buys, _ in pairs], [sells for _, sells in pairs]
        return self.assessment.matrix((self.thresholds, self.thresholds), flags, close)


@dataclass(frozen=True)
class ReturnMatrix:
    """Trade matrix of a model of returns: flagged to buy at or above one threshold, to sell at or below another."""

    buy_thresholds: tuple[float, ...] = (0.002, 0.005, 0.01, 0.015)
    sell_thresholds: tuple[float, ...] = (-0.001, -0.005, -0.01)
    assessment: Assessment = Assessment()

    def __post_init__(self) -> None:
        _check("buy_thresholds", self.buy_thresholds)
        _check("sell_thresholds", self.sell_thresholds)

    def __call__(self, scores: Numbers, close: Numbers) -> TradeMatrix:
        """Count the trades of every cell on closes known in full."""
        flags = [scores >= buy for buy in self.buy_thresholds], [scores <= sell for sell in self.sell_thresholds]
        return self.assessment.matrix((self.buy_thresholds, self.sell_thresholds), flags, close)


def _check(field: str, thresholds: tuple[float, ...]) -> None:
    if not thresholds or not all(map(np.isfinite, thresholds)) or len(set(thresholds)) < len(thresholds):
        raise ValueError(f"{field} must be one number or more, each once, were {thresholds}")
