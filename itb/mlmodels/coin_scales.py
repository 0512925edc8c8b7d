"""Scaling of a pool coin by coin: each coin's rows by the numbers of its own training rows, kept beside the model."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.mlmodels.scaling import Scaling, scale_numbers, scaler

if TYPE_CHECKING:
    from itb.market.bars import BoolArray, IntArray
    from itb.mlmodels.algorithm import FloatMatrix

LEAST_ROWS = 30
"""Of a coin, to scale it by: with fewer it is neither learned from nor scored."""

_Numbers = npt.NDArray[np.float64]


def enough_rows(places: IntArray, coins: int) -> BoolArray:
    """Mark the rows of coins that have ``LEAST_ROWS`` or more of them; ``places`` says whose each row is."""
    return np.asarray(np.bincount(places, minlength=coins)[places] >= LEAST_ROWS)


@dataclass(frozen=True, eq=False)
class CoinScales:
    """What is taken away from each feature and what it is then divided by: one row a coin, in the order of ``coins``.

    A coin without training rows has NaN, and so have its scaled features: no score is given in the dark.

    >>> rows = np.array([[0], [10], [2], [30]] * 20, dtype=np.float32)
    >>> scales = CoinScales.fit(rows, np.array([0, 1, 0, 1] * 20), ("BTC/USDT", "ETH/USDT", "SOL/USDT"), "standard")
    >>> scales.of_coin(rows[:2], "BTC/USDT").ravel().tolist(), scales.of_coin(rows[:2], "ETH/USDT").ravel().tolist()
    ([-1.0, 9.0], [-2.0, -1.0])
    >>> scales.of_coin(rows[:1], "SOL/USDT").tolist()
    [[nan]]
    """

    coins: tuple[str, ...]
    centre: _Numbers
    size: _Numbers

    @classmethod
    def fit(cls, features: FloatMatrix, places: IntArray, coins: tuple[str, ...], scaling: Scaling) -> CoinScales:
        """Learn from complete rows; ``places`` says whose each row is."""
        shape = (len(coins), features.shape[1])
        centre, size = np.full(shape, np.nan), np.full(shape, np.nan)
        for place in np.unique(places):
            fitted = scaler(scaling)
            if fitted is not None:
                fitted.fit(features[places == place].astype(np.float64))
            centre[place], size[place] = scale_numbers(fitted, features.shape[1])
        return cls(coins, centre, size)

    def rows(self, features: FloatMatrix, places: IntArray) -> FloatMatrix:
        """Scale rows of several coins; ``places`` says whose each row is. A row scales the same alone."""
        found = np.empty(features.shape, dtype=np.float32)
        for place in np.unique(places):
            own = places == place
            found[own] = self._scaled(features[own], place)
        return found

    def of_coin(self, features: FloatMatrix, coin: str) -> FloatMatrix:
        """Scale rows of one coin; raise :class:`itb.errors.ModelError` for one that the model does not know."""
        check_coin(self.coins, coin)
        return self._scaled(features, self.coins.index(coin))

    def _scaled(self, features: FloatMatrix, place: int) -> FloatMatrix:
        return np.asarray((features - self.centre[place]) / self.size[place], dtype=np.float32)

    def to_bytes(self) -> bytes:
        """Give the content of the file, npz; :meth:`load` reads every number back bit for bit."""
        target = io.BytesIO()
        np.savez(target, centre=self.centre, size=self.size)
        return target.getvalue()

    @classmethod
    def load(cls, content: bytes, coins: tuple[str, ...], width: int) -> CoinScales:
        """Read the numbers of ``coins`` and ``width`` features back; nothing is unpickled.

        Raises :class:`itb.errors.ModelError` for anything else.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as kept:
                centre, size = (np.asarray(kept[name], dtype=np.float64) for name in ("centre", "size"))
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise ModelError(f"not the scales of coins ({error}). Train again.") from None
        if not centre.shape == size.shape == (len(coins), width):
            raise ModelError(
                f"scales of shape {centre.shape} and {size.shape}, expected {(len(coins), width)}. Train again."
            )
        return cls(coins, centre, size)


def check_coin(coins: tuple[str, ...], coin: str) -> None:
    """Refuse a coin that is none of those a model scales, with :class:`itb.errors.ModelError`."""
    if coin not in coins:
        raise ModelError(
            f"{coin or 'an unnamed coin'}: the model scales features coin by coin and has learned from "
            f"{', '.join(coins)} only; name it in data.symbols and train again"
        )
