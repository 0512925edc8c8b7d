"""Tops from which the price falls far on both sides, found in one pass, and when each bar's part in them was settled.

intelligent-trading-bot finds them in a list of intervals, starting with the whole series: the first highest price of
an interval is a top if a price to its left and one to its right lie strictly below its level; what lies beyond those
two prices is searched in the same way. So a price is a top exactly if it is the first highest between the nearest
prices below its level on either side, both of which exist, and one pass from left to right finds the same tops:

- *falling*: the lowest price since the last top was settled is kept. The first price whose level lies above it becomes
  a candidate.
- *rising*: a higher price takes the candidate's place; a price below the candidate's level settles it.

That pass also tells which bars can still become part of a top, whatever comes. They are

- while falling, the bars after which no price fell far enough: a later top needs a low before the bar that is below
  the top's level, and no price from the bar to the top below its tolerance;
- while rising, the bars within the candidate's tolerance, and those after the last price below it (a new and higher
  candidate may still take them in).

All other bars are settled.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray

_CLOSE_CALL = 1e-9  # of the price: a bar that rounding alone would settle stays open


def tops(prices: FloatArray, level: float, tolerance: float) -> tuple[FloatArray, IntArray]:
    """Give 1 for the bars inside the tolerance of a top, 0 for the others, and the bar at whose close that was settled.

    ``level`` and ``tolerance`` are fractions of the top's price. A settling bar equal to ``len(prices)`` means: not
    settled yet. For bottoms, give the prices with a minus.

    >>> values, settled = tops(np.array([10.0, 40, 30, 70, 90, 50, 60, 30, 9]), level=0.5, tolerance=0.1)
    >>> values.tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    >>> settled.tolist()
    [1, 3, 3, 4, 7, 6, 7, 8, 9]
    """
    search = _Search(prices, level, tolerance)
    for now in range(len(prices)):
        search.step(now)
    rows = np.arange(len(prices), dtype=np.int64)
    return search.values, np.maximum(search.settled, rows + 1)


class _Search:
    def __init__(self, prices: FloatArray, level: float, tolerance: float) -> None:
        self.prices: list[float] = prices.tolist()
        self.level, self.tolerance = level, tolerance
        self.values = np.zeros(len(prices))
        self.settled = np.full(len(prices), len(prices), dtype=np.int64)
        self.open_from = 0  # the bars from here to now can still become part of a top
        self.inside = (0, 0)  # so can these, once a price below the candidate's tolerance separated them
        self.top = -1  # the candidate; -1 while falling
        self.top_level = self.top_tolerance = 0.0
        self.lowest = np.inf
        self.hopeless: list[float] = [0.0] * len(prices)  # a bar is settled once a price is at or below this
        self.lows: deque[int] = deque()  # open bars whose price is below that of every later one

    def step(self, now: int) -> None:
        """Take in one more price."""
        price = self.prices[now]
        while self.lows and self.prices[self.lows[-1]] >= price:
            self.lows.pop()
        self.lows.append(now)
        if self.top < 0:
            self._fall(now, price)
        elif price > self.prices[self.top]:
            self._rise(now, price)
        elif price < self.top_level:
            self._turn(now, price)
        elif price < self.top_tolerance:
            if self.inside[0] == self.inside[1]:
                self.inside, self.open_from = (self.open_from, now), now
            self._settle(now + 1, now)

    def _fall(self, now: int, price: float) -> None:
        if self.lowest < price - self.level * abs(price):
            self._rise(now, price)
            return
        self.hopeless[now] = self._bound(self.lowest)
        self.lowest = min(self.lowest, price)
        first = self.open_from
        while first <= now and self.hopeless[first] >= price:
            first += 1
        self._settle(first, now)

    def _bound(self, lowest: float) -> float:
        """Give the price p below which no top t can follow: t's tolerance at p puts t's level at ``lowest``."""
        sign = 1 if lowest > 0 else -1
        bound = lowest * (1 - sign * self.tolerance) / (1 - sign * self.level)
        return bound - _CLOSE_CALL * abs(bound) if np.isfinite(bound) else bound

    def _rise(self, now: int, price: float) -> None:
        start, stop = self.inside
        self.settled[start:stop] = now
        self.inside = (now, now)
        self.top, self.top_level = now, price - self.level * abs(price)
        self.top_tolerance = price - self.tolerance * abs(price)
        first = self.open_from
        while self.prices[self.lows[0]] < self.top_tolerance:
            first = self.lows.popleft() + 1
        self._settle(max(first, self.open_from), now)

    def _turn(self, now: int, price: float) -> None:
        start, stop = self.inside if self.inside[0] < self.inside[1] else (self.open_from, now)
        self.values[start:stop] = 1.0
        self.settled[start:stop] = now
        self._settle(now + 1, now)
        self.inside, self.top, self.lowest = (now, now), -1, price

    def _settle(self, stop: int, now: int) -> None:
        if stop > self.open_from:
            self.settled[self.open_from : stop] = now
            self.open_from = stop
            while self.lows and self.lows[0] < stop:
                self.lows.popleft()
