"""How far a price usually moves: the yardstick of labels that measure moves in standard deviations."""

from __future__ import annotations

import numpy as np

from itb.indicators.rolling import Moments
from itb.market.bars import FloatArray


def usual_move(close: FloatArray, window: int, horizon: int) -> FloatArray:
    """Give the standard deviation of the close over ``horizon`` bars, as a fraction, judged by the bars so far.

    That of the last ``window`` log returns of one bar, times the root of ``horizon``. NaN in the first ``window`` rows,
    and where the close has not moved.

    >>> usual_move(np.array([100.0, 101.0, 100.0, 101.0]), window=2, horizon=4).round(4).tolist()
    [nan, nan, 0.0281, 0.0281]
    """
    move = np.full(len(close), np.nan)
    if len(close) > window:
        move[1:] = Moments.of(np.diff(np.log(close)), window, 2).std * np.sqrt(horizon)
    move[move == 0] = np.nan
    return move


def check_volatility_window(window: int, *, least: int) -> None:
    """Refuse a window too short for a standard deviation."""
    if window < least or window == 1:
        raise ValueError(f"volatility_window must be at least 2 bars{' or 0' if not least else ''}, was {window}")
