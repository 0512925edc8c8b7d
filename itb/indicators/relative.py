"""Price levels made stationary: the value against the price of its own bar."""

from __future__ import annotations

import numpy as np

from itb.market.bars import Bars, FloatArray

_PRICES = ("open", "high", "low", "close")  # above 0, as Bars checked


def relative_name(name: str, kind: str, to: str) -> str:
    """Name a column that may have been made relative: pure numbers keep their name.

    >>> relative_name("close_SMA_20", "level", "close"), relative_name("close_RSI_14", "pure", "close")
    ('close_SMA_20_rel_close', 'close_RSI_14')
    """
    return f"{name}_rel_{to}" if to and kind != "pure" else name


def relative_to(values: FloatArray, kind: str, bars: Bars, to: str) -> FloatArray:
    """Divide values by the column ``to`` of their bar, NaN where that is 0.

    A ``level`` becomes ``value / to - 1``, a ``distance`` ``value / to``, a ``square`` ``value / to^2``; ``pure``
    numbers, and everything if ``to`` is empty, stay as they are.
    """
    if not to or kind == "pure":
        return values
    column = bars[to]
    divisor = column * column if kind == "square" else column
    if to not in _PRICES and (column == 0).any():
        divisor = np.where(divisor == 0, np.nan, divisor)
    share: FloatArray = values / divisor
    return share - 1 if kind == "level" else share
