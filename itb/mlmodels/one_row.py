"""One row at a time through LightGBM's C interface: no arrays are made, no settings are parsed."""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.market.bars import FloatArray
from itb.mlmodels.algorithm import FloatMatrix

if TYPE_CHECKING:
    import lightgbm

_FLOAT32, _NORMAL = 0, 0  # C_API_DTYPE_FLOAT32, C_API_PREDICT_NORMAL


class OneRow:
    """Scores single rows of a booster, bit for bit like ``Booster.predict``.

    Input and output lie in buffers that are used again, therefore each thread needs an object of its own. The booster
    must live as long.
    """

    def __init__(self, booster: lightgbm.Booster, library: Any, width: int, outputs: int) -> None:
        self._row = np.zeros(width, dtype=np.float32)
        self._scores = np.zeros(outputs)
        self._booster = booster
        fast, self._count = ctypes.c_void_p(), ctypes.c_int64()
        done = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(_NORMAL),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(_FLOAT32),
            ctypes.c_int32(width),
            b"num_threads=1",
            ctypes.byref(fast),
        )
        if done != 0:
            raise OSError("LightGBM gives no access to single rows")
        weakref.finalize(self, library.LGBM_FastConfigFree, fast)
        self._call = library.LGBM_BoosterPredictForMatSingleRowFast
        self._arguments = (
            fast,
            ctypes.c_void_p(self._row.ctypes.data),
            ctypes.byref(self._count),
            ctypes.c_void_p(self._scores.ctypes.data),
        )

    def __call__(self, row: FloatArray | FloatMatrix) -> FloatArray:
        """Score one complete row; the result is overwritten by the next call."""
        self._row[:] = row
        if self._call(*self._arguments) != 0:
            raise OSError("LightGBM could not score the row")
        return self._scores


def one_row(booster: lightgbm.Booster) -> OneRow | None:
    """Give the fast way to single rows, ``None`` where this LightGBM has none."""
    from lightgbm import basic

    library = getattr(basic, "_LIB", None)
    if library is None or not hasattr(library, "LGBM_BoosterPredictForMatSingleRowFastInit"):
        return None
    try:
        return OneRow(booster, library, booster.num_feature(), booster.num_model_per_iteration())
    except (AttributeError, OSError):
        return None
