"""Fractional differencing: prices made stationary while they keep most of their memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.series import series, series_warmup
from itb.market.bars import Bars, FloatArray

_LONGEST = 20_000


def fractional_weights(order: float, *, threshold: float = 0.0, longest: int = _LONGEST) -> FloatArray:
    """Give the weights of the present value, the one before it, and so on, up to the last not below ``threshold``.

    ``w_0 = 1`` and ``w_k = -w_(k-1) (order - k + 1) / k`` (Lopez de Prado, *Advances in Financial Machine Learning*,
    ch. 5.4).

    >>> fractional_weights(0.4, longest=6).round(6).tolist()
    [1.0, -0.4, -0.12, -0.064, -0.0416, -0.029952]
    """
    k = np.arange(1, longest, dtype=np.float64)
    weights = np.cumprod(np.concatenate([[1.0], -(order - k + 1) / k])) + 0.0
    small = np.flatnonzero(np.abs(weights) < threshold)
    return weights[: small[0]] if len(small) else weights


@dataclass(frozen=True)
class FractionalDifference(ColumnFamily):
    """Series differenced a fractional number of times, over a window of fixed width.

    Each value is a weighted sum of the last values (see :func:`fractional_weights`); 0 would keep the series and 1 give
    its change. The window ends before the first weight smaller than ``threshold``, or has ``window`` bars if that is
    given. ``log`` differences the logarithm of the series, which must then be above 0. Columns are named
    ``[log_]<input>_fracdiff_<order>``. NaN in the first rows and where the window holds a NaN.

    >>> family = FractionalDifference((0.4,))
    >>> family.names, family.warmup
    (('log_close_fracdiff_0.4',), 281)
    """

    orders: tuple[float, ...]
    inputs: tuple[str, ...] = ("close",)
    threshold: float = 1e-4
    window: int = 0
    log: bool = True

    def __post_init__(self) -> None:
        require("orders", self.orders)
        require("inputs", self.inputs)
        if not all(0 < order <= 2 for order in self.orders):
            raise ValueError(f"orders must lie above 0 and up to 2, was {', '.join(map(str, self.orders))}")
        if not 1e-6 <= self.threshold < 1:
            raise ValueError(f"threshold must be at least 1e-6 and below 1, was {self.threshold}")
        if not (self.window == 0 or 2 <= self.window <= _LONGEST):
            raise ValueError(f"window must be 2 to {_LONGEST} bars, or 0 to follow threshold, was {self.window}")

    def _weights(self, order: float) -> FloatArray:
        if self.window:
            return fractional_weights(order, longest=self.window)
        return fractional_weights(order, threshold=self.threshold)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        prefix = "log_" if self.log else ""
        return tuple(f"{prefix}{name}_fracdiff_{order:g}" for name in self.inputs for order in self.orders)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        longest = max(len(self._weights(order)) for order in self.orders)
        return longest - 1 + max(map(series_warmup, self.inputs))

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for name in self.inputs:
            values = series(bars, name)
            if self.log:
                values = np.log(values, out=np.full(len(values), np.nan), where=values > 0)
            for order in self.orders:
                weights = self._weights(order)
                column = np.full(len(values), np.nan)
                if len(values) >= len(weights):
                    column[len(weights) - 1 :] = np.convolve(values, weights, "valid")
                yield column
