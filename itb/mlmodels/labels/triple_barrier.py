"""Which barrier the price meets first: above, below, or the end of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import LabelColumn, check_alias
from itb.mlmodels.labels.crossing import first_crossing
from itb.mlmodels.labels.events import is_event
from itb.mlmodels.labels.volatility import check_volatility_window, usual_move

if TYPE_CHECKING:
    from itb.market.bars import Bars, FloatArray, IntArray

_CLASSES = (-1.0, 0.0, 1.0)


@dataclass(frozen=True)
class TripleBarrier:
    """1 if the price gets beyond the upper barrier first, -1 if beyond the lower one, 0 if neither in ``horizon`` bars.

    Lopez de Prado, *Advances in Financial Machine Learning*, ch. 3. A row counts as known ``horizon`` bars later, not
    when a barrier is met: else the newest rows of a training window would hold the quick moves only.

    Parameters
    ----------
    horizon
        How many later bars there are to meet a barrier.
    up, down
        Distances of the barriers from the close, both positive: fractions, or with ``volatility_window`` multiples of
        the standard deviation of the close over ``horizon`` bars.
    volatility_window
        Over how many past returns of one bar the standard deviation is taken (times the root of ``horizon``); rows
        before that many, and rows where the close has not moved, are NaN. 0: the distances are fractions.
    touch
        What has to get beyond a barrier: the ``"close"``, or the bar's ``"high_low"``.
    ties
        What a bar counts as whose high and low lie beyond both barriers: ``"up"``, ``"down"`` or ``"unknown"`` (NaN).
    timeout
        What a row counts as that meets no barrier: ``"zero"``, or the ``"sign"`` of its return.
    view
        ``"classes"`` gives -1, 0 and 1; ``"up"`` and ``"down"`` give 1 for that side and 0 for all else.
    cusum
        Label only the bars at which the log returns since the last such bar have added up to this much (a symmetric
        CUSUM filter); the others are NaN. 0: label every bar.

    >>> from itb.market.bars import Bars
    >>> close = [100, 101, 102.5, 101, 98.9, 97, 97.5, 99, 101.2, 103.5]
    >>> times = np.arange(10) * 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", times, open=close, high=close, low=close, close=close, volume=close)
    >>> label = TripleBarrier(horizon=4, up=0.02, down=0.02)
    >>> label(bars).values.tolist()
    [1.0, -1.0, -1.0, -1.0, 1.0, 1.0, nan, nan, nan, nan]
    >>> label.name, TripleBarrier(24, up=1.0, down=0.5, volatility_window=168, view="up").name
    ('barrier_4_20up20down', 'barrier_24_1up0.5down_sigma_up')
    """

    horizon: int
    up: float
    down: float
    volatility_window: int = 0
    touch: Literal["close", "high_low"] = "close"
    ties: Literal["up", "down", "unknown"] = "down"
    timeout: Literal["zero", "sign"] = "zero"
    view: Literal["classes", "up", "down"] = "classes"
    cusum: float = 0.0
    alias: str = ""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 bar, was {self.horizon}")
        check_volatility_window(self.volatility_window, least=0)
        check_distance("up", self.up, is_scaled=bool(self.volatility_window))
        check_distance("down", self.down, is_scaled=bool(self.volatility_window))
        if not 0 <= self.cusum < 1:
            raise ValueError(f"cusum must be a log return from 0 to 1 (0.02 = about 2 %), was {self.cusum}")
        for key, known in _CHOICES.items():
            if getattr(self, key) not in known:
                raise ValueError(f"{key} must be one of {', '.join(known)}, was {getattr(self, key)!r}")
        check_alias(self.alias)

    @property
    def name(self) -> str:
        if self.alias:
            return self.alias
        if self.volatility_window:
            distances = f"{self.up:g}up{self.down:g}down_sigma"
        else:
            distances = f"{1000 * self.up:g}up{1000 * self.down:g}down"
        return f"barrier_{self.horizon}_{distances}{'' if self.view == 'classes' else f'_{self.view}'}"

    @property
    def is_binary(self) -> bool:
        return self.view != "classes"

    @property
    def classes(self) -> tuple[float, ...]:
        """The values there are."""
        return _CLASSES if self.view == "classes" else (0.0, 1.0)

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        sides = self.sides(bars)
        if self.view != "classes":
            looked_for = 1.0 if self.view == "up" else -1.0
            sides = np.where(np.isnan(sides), np.nan, sides == looked_for)
        return LabelColumn.after(sides, self.horizon)

    def sides(self, bars: Bars) -> FloatArray:
        """Give 1, -1 or 0 for every bar from the bars that are there: the last rows may yet meet another barrier."""
        above, below = self._steps(bars)
        sides = np.where(above < below, 1.0, np.where(below < above, -1.0, 0.0))
        sides[(above == below) & (above < self.horizon)] = {"up": 1.0, "down": -1.0, "unknown": np.nan}[self.ties]
        if self.timeout == "sign":
            rows = np.flatnonzero((np.minimum(above, below) == self.horizon)[: -self.horizon])
            sides[rows] = np.sign(bars.close[rows + self.horizon] - bars.close[rows])
        if self.volatility_window:
            sides[np.isnan(usual_move(bars.close, self.volatility_window, self.horizon))] = np.nan
        if self.cusum:
            sides[~is_event(bars.close, self.cusum)] = np.nan
        return sides

    def met_at(self, bars: Bars) -> IntArray:
        """Give the bar that decides each row: where it meets its first barrier, else the one ``horizon`` bars later.

        For weights by overlap. It may lie after the last bar.
        """
        above, below = self._steps(bars)
        rows = np.arange(len(bars), dtype=np.int64)
        met: IntArray = rows + np.minimum(np.minimum(above, below) + 1, self.horizon)
        return met

    def _steps(self, bars: Bars) -> tuple[IntArray, IntArray]:
        unit: float | FloatArray = 1.0
        if self.volatility_window:
            unit = usual_move(bars.close, self.volatility_window, self.horizon)
        high, low = (bars.close, bars.close) if self.touch == "close" else (bars.high, bars.low)
        above = first_crossing(high, bars.close * (1 + self.up * unit), self.horizon, "above")
        return above, first_crossing(low, bars.close * (1 - self.down * unit), self.horizon, "below")


_CHOICES = {
    "touch": ("close", "high_low"),
    "ties": ("up", "down", "unknown"),
    "timeout": ("zero", "sign"),
    "view": ("classes", "up", "down"),
}


def check_distance(name: str, distance: float, *, is_scaled: bool) -> None:
    """Refuse a barrier that is not off the close."""
    if is_scaled and not distance > 0:
        raise ValueError(f"{name} must be a positive number of standard deviations, was {distance}")
    if not is_scaled and not 0 < distance < 1:
        raise ValueError(f"{name} must be a positive fraction below 1 (0.01 = 1 %), was {distance}")
