"""Other coins as features: what they did, how this one did against them, and how closely it follows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.rolling import Moments
from itb.indicators.rolling_lags import lagged
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class Cross(ColumnFamily):
    """The market against other coins, whose closes stand in the columns ``<coin>_close`` of the bars.

    ``functions``, each over every window of ``w`` bars, named ``<coin>_<function>_<w>``:

    - ``return``: the coin's change over w bars, as a fraction;
    - ``strength``: this market's growth over w bars divided by the coin's, less 1 (above 0: this one did better);
    - ``beta``: by how much this market moves when the coin moves by 1: the slope of this one's log returns on the
      coin's, over the last w returns;
    - ``correlation``: of the same returns, in [-1, 1].

    NaN in the first rows, where a close that is needed is not known (of ``return`` and ``strength`` these are the ends
    of the window, of the others all of it), and where a coin, or for the correlation this market, did not move.

    Parameters
    ----------
    coins
        The other coins: names of sources, or what their columns begin with.
    windows
        Lengths in bars; every function is computed over each of them.
    functions
        Any of `return`, `strength`, `beta`, `correlation`.

    >>> Cross(("eth",), windows=(24, 168), functions=("return", "beta")).names
    ('eth_return_24', 'eth_return_168', 'eth_beta_24', 'eth_beta_168')
    """

    coins: tuple[str, ...]
    windows: tuple[int, ...]
    functions: tuple[str, ...] = ("return", "strength", "beta", "correlation")

    def __post_init__(self) -> None:
        for name in ("coins", "windows", "functions"):
            require(name, getattr(self, name))
        for function in self.functions:
            if function not in _FUNCTIONS:
                raise ValueError(f"functions: no function {function!r}; there are {', '.join(_FUNCTIONS)}")
            least = _SMALLEST.get(function, 1)
            if min(self.windows) < least:
                raise ValueError(f"windows of {function} must be at least {least} bars, was {min(self.windows)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(
            f"{coin}_{function}_{window}"
            for coin in self.coins
            for function in self.functions
            for window in self.windows
        )

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(self.windows)

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for coin in self.coins:
            other = bars[f"{coin}_close"]
            for function in self.functions:
                yield from (_FUNCTIONS[function](bars.close, other, window) for window in self.windows)


def rolling_covariance(one: FloatArray, other: FloatArray, window: int) -> FloatArray:
    """Give the sum of products of the distances from the mean, over each window.

    Taken from the squares of sum and difference, so that it needs no other loop than :class:`Moments`.

    >>> rolling_covariance(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0]), 2).tolist()
    [nan, 1.0, 4.0]
    """
    apart: FloatArray = (_squares(one + other, window) - _squares(one - other, window)) / 4
    return apart


def _squares(values: FloatArray, window: int) -> FloatArray:
    return Moments.of(values, window, 2).central[0]


def _growth(values: FloatArray, window: int) -> FloatArray:
    return values / lagged(values, window)


def _log_returns(close: FloatArray) -> FloatArray:
    change: FloatArray = np.log(close / lagged(close, 1))
    return change


def _return(_close: FloatArray, other: FloatArray, window: int) -> FloatArray:
    return _growth(other, window) - 1


def _strength(close: FloatArray, other: FloatArray, window: int) -> FloatArray:
    return _growth(close, window) / _growth(other, window) - 1


def _beta(close: FloatArray, other: FloatArray, window: int) -> FloatArray:
    ours, theirs = _log_returns(close), _log_returns(other)
    return _share(rolling_covariance(ours, theirs, window), _squares(theirs, window))


def _correlation(close: FloatArray, other: FloatArray, window: int) -> FloatArray:
    ours, theirs = _log_returns(close), _log_returns(other)
    sizes = np.sqrt(_squares(ours, window)) * np.sqrt(_squares(theirs, window))
    return np.clip(_share(rolling_covariance(ours, theirs, window), sizes), -1.0, 1.0)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    share: FloatArray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole != 0)
    return share


_FUNCTIONS: dict[str, Callable[[FloatArray, FloatArray, int], FloatArray]] = {
    "return": _return,
    "strength": _strength,
    "beta": _beta,
    "correlation": _correlation,
}
_SMALLEST = {"beta": 2, "correlation": 2}
