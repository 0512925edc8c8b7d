"""Named series: the columns of bars, and the plain quantities that features are computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from itb.errors import BarsError
from itb.market.bars import OHLCV, Bars, FloatArray


@dataclass(frozen=True)
class Series:
    """A quantity of each bar, computed from it and at most ``warmup`` earlier bars; ``needs`` names extra columns."""

    compute: Callable[[Bars], FloatArray]
    warmup: int = 0
    needs: tuple[str, ...] = ()


def _since_previous(values: FloatArray, previous: FloatArray) -> FloatArray:
    change = np.full(len(values), np.nan)
    change[1:] = np.log(values[1:] / previous[:-1])
    return change


def _share(part: FloatArray, whole: FloatArray, otherwise: float) -> FloatArray:
    share: FloatArray = np.divide(part, whole, out=np.full(len(part), otherwise), where=whole > 0)
    return share


def _return(bars: Bars) -> FloatArray:
    change = np.full(len(bars), np.nan)
    change[1:] = bars.close[1:] / bars.close[:-1] - 1
    return change


SERIES: dict[str, Series] = {
    "return": Series(_return, warmup=1),
    "log_return": Series(lambda bars: _since_previous(bars.close, bars.close), warmup=1),
    "gap": Series(lambda bars: _since_previous(bars.open, bars.close), warmup=1),
    "body": Series(lambda bars: np.log(bars.close / bars.open)),
    "range": Series(lambda bars: np.log(bars.high / bars.low)),
    "upper_shadow": Series(lambda bars: np.log(bars.high / np.maximum(bars.open, bars.close))),
    "lower_shadow": Series(lambda bars: np.log(np.minimum(bars.open, bars.close) / bars.low)),
    "close_location": Series(lambda bars: _share(bars.close - bars.low, bars.high - bars.low, 0.5)),
    "typical_price": Series(lambda bars: (bars.high + bars.low + bars.close) / 3),
    "notional": Series(lambda bars: bars.volume * (bars.high + bars.low + bars.close) / 3),
    "taker_share": Series(lambda bars: _share(bars["taker_buy_base"], bars.volume, 0.5), needs=("taker_buy_base",)),
    "trade_size": Series(lambda bars: _share(bars.volume, bars["trades"], 0.0), needs=("trades",)),
}
"""Derived series by name: log ratios (``log_return`` and ``gap`` to the previous close, ``body`` of close to open,
``range`` of high to low, shadows beyond the body), ``close_location`` in [0, 1] (0.5 in a bar without range),
``notional`` in quote, ``taker_share`` of the volume (0.5 in a bar without volume), ``trade_size`` in base (0 without
trades). Only ``return``, ``log_return`` and ``gap`` look back, by one bar."""


def series_warmup(name: str) -> int:
    """Give how many earlier bars a series needs: 0 for a column of bars."""
    return SERIES[name].warmup if name in SERIES else 0


def series(bars: Bars, name: str) -> FloatArray:
    """Give a column of the bars, or a derived series, by name; a column of that name comes first.

    >>> from itb.datafeeds.waves import triangle
    >>> series(triangle(bars=2), "return").round(6).tolist()
    [nan, 0.000222]
    """
    if name in bars.columns:
        return bars.columns[name]
    if name not in SERIES:
        raise BarsError(
            f"{bars.label}: no column or series {name!r}; the columns are {', '.join(bars.columns)}, "
            f"the series are {', '.join(SERIES)}"
        )
    return SERIES[name].compute(bars)


def complete_series(bars: Bars, name: str) -> FloatArray:
    """Give a series for a recursive function, refusing one with a NaN beyond its first bars.

    A recursion that meets a NaN once is NaN for ever, while a live run that starts after it is not.
    """
    values = series(bars, name)
    if name not in OHLCV:
        empty = np.isnan(values[series_warmup(name) :])
        if empty.any():
            row = int(empty.argmax()) + series_warmup(name)
            raise BarsError(
                f"{bars.label}: {name!r} is NaN in row {row}, and a TA-Lib function would stay NaN from there on; "
                'fill the column before computing features, or use the family "stats", which recovers'
            )
    return values
