"""Hold, buy or sell: the classes of FollowUpward's labels, and the ways to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.labels.column import Label, LabelColumn

if TYPE_CHECKING:
    from itb.market.bars import Bars

HOLD, BUY, SELL = 0.0, 1.0, 2.0
CLASSES = (HOLD, BUY, SELL)

View = Literal["classes", "buy", "sell"]


def check_view(view: str) -> None:
    """Refuse a way to look at classes that there is not."""
    if view not in get_args(View):
        raise ValueError(f'view must be "classes", "buy" or "sell", was {view!r}')


def seen_as(classes: FloatArray, view: View) -> FloatArray:
    """Give the classes themselves, or 1 where they are the one that is looked for and 0 elsewhere.

    >>> seen_as(np.array([HOLD, BUY, SELL]), "sell").tolist()
    [0.0, 0.0, 1.0]
    """
    if view == "classes":
        return classes
    return np.where(np.isnan(classes), np.nan, classes == {"buy": BUY, "sell": SELL}[view])


def classes_of(view: View) -> tuple[float, ...]:
    """Give the values that a view has."""
    return CLASSES if view == "classes" else (0.0, 1.0)


def has_trade_classes(label: object) -> bool:
    """Whether a label's values are hold, buy and sell (its ``classes`` say so)."""
    return tuple(getattr(label, "classes", ())) == CLASSES


def signed(classes: FloatArray) -> FloatArray:
    """Give 1 for buy, -1 for sell, 0 for hold: what the difference of the chances to buy and to sell foretells.

    >>> signed(np.array([HOLD, BUY, SELL, np.nan])).tolist()
    [0.0, 1.0, -1.0, nan]
    """
    return np.where(classes == SELL, -1.0, classes)


def learned_column(label: Label, bars: Bars) -> LabelColumn:
    """Compute a label as models learn it: signed, where it is hold, buy or sell."""
    column = label(bars)
    return LabelColumn(signed(column.values), column.known_at) if has_trade_classes(label) else column


def class_places(values: FloatArray) -> IntArray:
    """Give the place of each signed value among hold, buy and sell.

    >>> class_places(np.array([0.0, 1.0, -1.0])).tolist()
    [0, 1, 2]
    """
    return np.where(values < 0, int(SELL), values).astype(np.int64)


def view_suffix(view: View) -> str:
    """Give what a view adds to a label's name."""
    return "" if view == "classes" else f"_{view}"
