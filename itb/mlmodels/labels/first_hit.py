"""Which of two moves comes first (target ``T10up5low30min`` of FollowUpward)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.crossing import first_crossing
from itb.mlmodels.labels.trade_classes import BUY, HOLD, SELL, View, check_view, classes_of, seen_as, view_suffix

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.market.bars import Bars, BoolArray, FloatArray


@dataclass(frozen=True)
class FirstHit:
    """0 hold, 1 buy, 2 sell: where the close, counted from the bar before, first moves by ``up`` or by ``low``.

    With b the close of the bar before, the first of the ``window - 1`` closes from this bar on decides whose move
    (close - b) / close is above ``up`` or below ``-low`` (the move is a fraction of the later close). Above: buy, if
    this bar's close is above b. Below: sell, if it is below b. All else is hold. So a dip smaller than ``low`` does not
    end a rise, and a turn is told only when this bar already moves that way.

    Defaults and numbers are those of FollowUpward; there the last bars are decided by the few closes that are left and
    the first bar is hold, here those bars are NaN, since nobody knows.

    Parameters
    ----------
    up, low
        The moves up and down that decide: fractions, both positive.
    window
        Length of the look ahead in bars, counted from the bar before.
    view
        ``"classes"`` gives all three; ``"buy"`` and ``"sell"`` give 1 for that class and 0 for the others.

    >>> from itb.market.bars import Bars
    >>> close = [100.0, 101.0, 102.0, 101.9, 101.0, 100.9]
    >>> times = np.arange(6) * 60_000
    >>> bars = Bars.of("BTC/USDT", "1m", times, open=close, high=close, low=close, close=close, volume=close)
    >>> FirstHit(window=4)(bars).values.tolist()
    [nan, 1.0, 0.0, 2.0, nan, nan]
    >>> FirstHit().name, FirstHit(view="buy").name, FirstHit().horizon
    ('first_hit_10up5low30', 'first_hit_10up5low30_buy', 28)
    """

    up: float = 0.01
    low: float = 0.005
    window: int = 30
    view: View = "classes"
    alias: str = ""

    def __post_init__(self) -> None:
        check_moves(self.up, self.low)
        if self.window < 3:
            raise ValueError(
                f"window must be at least 3 bars (the one before, this one, a later one), was {self.window}"
            )
        check_view(self.view)
        check_alias(self.alias)

    @property
    def name(self) -> str:
        return self.alias or f"first_hit_{moves(self.up, self.low)}{self.window}{view_suffix(self.view)}"

    @property
    def horizon(self) -> int:
        return self.window - 2

    @property
    def is_binary(self) -> bool:
        return self.view != "classes"

    @property
    def classes(self) -> tuple[float, ...]:
        """The values there are."""
        return classes_of(self.view)

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        values = seen_as(first_hits(bars.close, self.up, self.low, self.window), self.view)
        values[:1] = np.nan
        return LabelColumn.after(values, self.horizon)


def first_hits(close: FloatArray, up: float, low: float, window: int) -> FloatArray:
    """Give the class of every close, decided by the closes that are there; the first is hold."""

    def moved_up(then: FloatArray) -> BoolArray:
        return (then - close) / then > up

    def moved_down(then: FloatArray) -> BoolArray:
        return (then - close) / then < -low

    rises = first_crossing(close, _last_without(moved_up, close / (1 - up), np.inf), window - 1, "above")
    falls = first_crossing(close, _last_without(moved_down, close / (1 + low), -np.inf), window - 1, "below")
    now = np.diff(close)
    classes = np.full(len(close), HOLD)
    classes[1:][(rises < falls)[:-1] & (now > 0)] = BUY
    classes[1:][(falls < rises)[:-1] & (now < 0)] = SELL
    return classes


def check_moves(up: float, low: float) -> None:
    """Refuse moves that are no fractions."""
    for name, value in (("up", up), ("low", low)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be a positive fraction below 1 (0.01 = 1 %), was {value}")


def moves(up: float, low: float) -> str:
    """Write two moves in thousandths, as FollowUpward's names have them.

    >>> moves(0.01, 0.005)
    '10up5low'
    """
    return f"{1000 * up:g}up{1000 * low:g}low"


def _last_without(moved: Callable[[FloatArray], BoolArray], near: FloatArray, towards: float) -> FloatArray:
    """Give the price farthest in one direction that has not moved yet, a rounding error or two from ``near``.

    So a price on the edge counts as the formula counts it, whichever way its rounding goes.
    """
    level = near
    for _ in range(4):
        level = np.where(moved(level), np.nextafter(level, -towards), level)
    for _ in range(4):
        farther = np.nextafter(level, towards)
        level = np.where(moved(farther), level, farther)
    return level
