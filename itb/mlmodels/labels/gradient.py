"""How steep the price is around a bar, or after it (gradient targets of FollowUpward)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.indicators.rolling import rolling_slope
from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.trade_classes import BUY, HOLD, SELL, View, check_view, classes_of, seen_as, view_suffix

if TYPE_CHECKING:
    from itb.market.bars import Bars


@dataclass(frozen=True)
class Gradient:
    """0 hold, 1 buy, 2 sell: whether a line through ``window`` pivots rises more than ``gain`` or less than ``loss``.

    The line is fitted by least squares; its slope per bar, as a fraction of this bar's pivot, is compared with ``gain``
    and ``loss`` divided by ``window``. A pivot is (open + high + low + close) / 4. FollowUpward's targets on 1m bars
    are ``window`` 15 and 30 with ``gain`` 0.005, 60 with 0.01, 120 and 240 with 0.02, all with ``loss`` 0.

    Parameters
    ----------
    window
        Number of bars the line goes through.
    gain, loss
        Rise over the whole window above which to buy and below which to sell: fractions, ``loss`` at most ``gain``.
    placement
        ``"balanced"``: the line ends ``window // 2`` bars after this one, so half of it is past. ``"forward"``: it
        begins with the next bar.
    view
        ``"classes"`` gives all three; ``"buy"`` and ``"sell"`` give 1 for that class and 0 for the others.

    >>> from itb.datafeeds.waves import sinus
    >>> Gradient(window=60, gain=0.01)(sinus(bars=720)).values[[45, 90, 270, 360, 719]].tolist()
    [1.0, 2.0, 0.0, 1.0, nan]
    >>> Gradient().name, Gradient(60, 0.01, placement="forward").name
    ('gradient_15_5up0low', 'gradient_60_10up0low_forward')
    """

    window: int = 15
    gain: float = 0.005
    loss: float = 0.0
    placement: Literal["balanced", "forward"] = "balanced"
    view: View = "classes"
    alias: str = ""

    def __post_init__(self) -> None:
        if self.window < 2:
            raise ValueError(f"window must be at least 2 bars, was {self.window}")
        if not -1 < self.gain < 1:
            raise ValueError(f"gain must be a fraction (0.01 = 1 %), was {self.gain}")
        if not -1 < self.loss <= self.gain:
            raise ValueError(f"loss must be a fraction not above gain = {self.gain:g}, was {self.loss}")
        if self.placement not in {"balanced", "forward"}:
            raise ValueError(f'placement must be "balanced" or "forward", was {self.placement!r}')
        check_view(self.view)
        check_alias(self.alias)

    @property
    def name(self) -> str:
        placed = "" if self.placement == "balanced" else "_forward"
        moves = f"{1000 * self.gain:g}up{1000 * self.loss:g}low"
        return self.alias or f"gradient_{self.window}_{moves}{placed}{view_suffix(self.view)}"

    @property
    def horizon(self) -> int:
        return self.window if self.placement == "forward" else self.window // 2

    @property
    def is_binary(self) -> bool:
        return self.view != "classes"

    @property
    def classes(self) -> tuple[float, ...]:
        """The values there are."""
        return classes_of(self.view)

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        pivot = (bars.open + bars.high + bars.low + bars.close) / 4
        steep = np.full(len(bars), np.nan)
        ahead = self.horizon
        steep[: max(0, len(bars) - ahead)] = rolling_slope(pivot, self.window)[ahead:]
        steep /= pivot
        classes = np.where(steep > self.gain / self.window, BUY, np.where(steep < self.loss / self.window, SELL, HOLD))
        classes[np.isnan(steep)] = np.nan
        return LabelColumn.after(seen_as(classes, self.view), ahead)
