"""Where the price turns (label ``topbot2`` of intelligent-trading-bot)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.mlmodels.labels.column import NEVER, LabelColumn, check_alias
from itb.mlmodels.labels.turning import tops

if TYPE_CHECKING:
    from itb.market.bars import Bars

Turn = Literal["top", "bot"]


@dataclass(frozen=True)
class TopBot2:
    """1 on bars near a top (or bottom) of the price, from which it moves by ``level`` on both sides; else 0.

    A hindsight label: how much later a bar's value is settled, the bars themselves decide, and some are never settled.
    A bar counts as known once no later price can change its value; until then it is NaN. Values are those of
    intelligent-trading-bot, except that there an unsettled bar is false.

    Parameters
    ----------
    function
        ``"top"`` or ``"bot"`` (bottom).
    level
        How far the price must move away before and after the turn: a fraction of the turn's price, always positive.
    tolerance
        How near to the turn's price a bar must be, without any bar in between that is not: a fraction of ``level``.
    column
        The price that is looked at.

    >>> from itb.market.bars import Bars
    >>> close = [100.0, 101.0, 106.0, 105.8, 104.0, 101.0, 99.0, 99.5]
    >>> times = np.arange(8) * 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", times, open=close, high=close, low=close, close=close, volume=close)
    >>> label = TopBot2("top", level=0.04, tolerance=0.1)
    >>> label.name, label(bars).values.tolist(), label(bars).known_at.tolist()
    ('top_4pct_0.1', [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, nan], [1, 2, 5, 5, 5, 6, 7, -1])
    """

    function: Turn
    level: float
    tolerance: float
    column: str = "close"
    alias: str = ""

    def __post_init__(self) -> None:
        _check_turn(self.function, self.level)
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"tolerance must be a fraction of level from 0 to 1, was {self.tolerance}")
        check_alias(self.alias)

    @property
    def name(self) -> str:
        return self.alias or f"{self.function}_{100 * self.level:g}pct_{self.tolerance:g}"

    @property
    def horizon(self) -> int:
        """At least so many later bars decide a value: how many there are differs from bar to bar."""
        return 1

    @property
    def is_binary(self) -> bool:
        return True

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        return near_turns(bars, self.column, self.function, self.level, self.level * self.tolerance)


@dataclass(frozen=True)
class TopBot:
    """1 on bars near a top (or bottom), as ``topbot2`` has it, but ``tolerance`` is a fraction of the turn's price.

    Parameters
    ----------
    function
        ``"top"`` or ``"bot"`` (bottom).
    level
        How far the price must move away before and after the turn: a fraction of the turn's price, always positive.
    tolerance
        How near to the turn's price a bar must be, without any bar in between that is not: a fraction of that price,
        not above ``level``.
    column
        The price that is looked at.

    >>> TopBot("bot", level=0.05, tolerance=0.0025).name
    'bot5_025'
    >>> TopBot("top", level=0.02, tolerance=0.01).name
    'top2_1'
    """

    function: Turn
    level: float
    tolerance: float
    column: str = "close"
    alias: str = ""

    def __post_init__(self) -> None:
        _check_turn(self.function, self.level)
        if not 0 <= self.tolerance <= self.level:
            raise ValueError(
                f"tolerance must be a fraction of the price from 0 to level = {self.level:g}, was {self.tolerance}"
            )
        check_alias(self.alias)

    @property
    def name(self) -> str:
        percent = f"{100 * self.tolerance:g}".replace(".", "")
        return self.alias or f"{self.function}{100 * self.level:g}_{percent}"

    @property
    def horizon(self) -> int:
        """At least so many later bars decide a value: how many there are differs from bar to bar."""
        return 1

    @property
    def is_binary(self) -> bool:
        return True

    def __call__(self, bars: Bars) -> LabelColumn:
        """Compute the label of every bar."""
        return near_turns(bars, self.column, self.function, self.level, self.tolerance)


def near_turns(bars: Bars, column: str, function: Turn, level: float, tolerance: float) -> LabelColumn:
    """Mark the bars near turns; ``level`` and ``tolerance`` are fractions of the turn's price."""
    prices = bars[column] if function == "top" else -bars[column]
    values, settled = tops(prices, level, tolerance)
    is_open = settled >= len(bars)
    return LabelColumn(np.where(is_open, np.nan, values), np.where(is_open, NEVER, settled))


def _check_turn(function: str, level: float) -> None:
    if function not in {"top", "bot"}:
        raise ValueError(f'function must be "top" or "bot", was {function!r}')
    if not 0 < level < 1:
        raise ValueError(
            f'level must be a fraction above 0 and below 1, was {level}; function = "bot" turns it downward by itself'
        )
