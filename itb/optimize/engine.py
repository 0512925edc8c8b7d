"""The one door to vectorbt: its compiled simulator, fed with rows that carry a whole order of events.

`import vectorbt` costs ten seconds of CPU, its compiled half next to nothing. That half is no public interface, so its
version is pinned and a test holds it against ``vectorbt.Portfolio.from_signals``. It asks ``vectorbt.portfolio.enums``
for the types of its records at every call, and that alone would load the rest: so it is shown a stand-in that has the
two types and nothing else, for the time of the call, unless vectorbt is there already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import BoolArray, FloatArray, IntArray

_WHOLE = """
    id group col idx req_size_type req_direction res_side res_status res_status_info order_id side
"""
_ORDER = "id col idx size price fees side"
_LOG = """
    id group col idx cash position debt free_cash val_price value req_size req_price req_size_type req_direction
    req_fees req_fixed_fees req_slippage req_min_size req_max_size req_size_granularity req_reject_prob req_lock_cash
    req_allow_partial req_raise_reject req_log new_cash new_position new_debt new_free_cash new_val_price new_value
    res_size res_price res_fees res_side res_status res_status_info order_id
"""


def record_type(names: str) -> np.dtype[np.void]:
    """Build the type of vectorbt's records of orders or logs from the names of their fields."""
    whole = _WHOLE.split()
    flags = ("req_lock_cash", "req_allow_partial", "req_raise_reject", "req_log")
    kinds = {name: np.int64 if name in whole else np.bool_ if name in flags else np.float64 for name in names.split()}
    return np.dtype(list(kinds.items()), align=True)


def _cell(value: Any) -> np.ndarray[tuple[int, int], np.dtype[Any]]:
    return np.array([[value]])


_NO, _YES = np.zeros((1, 1), dtype=np.bool_), np.ones((1, 1), dtype=np.bool_)
_ZERO, _ONE, _INFINITE, _NAN = (_cell(value) for value in (0.0, 1.0, np.inf, np.nan))
# Members of vectorbt.portfolio.enums.
_AMOUNT, _DISABLED, _IGNORE, _REVERSE, _LONG = (_cell(value) for value in (0, 0, 0, 3, 0))
_AT_VALUATION, _AT_STOP, _CLOSE, _OVERRIDE = (_cell(value) for value in (0, 0, 0, 1))
ORDER_TYPE, LOG_TYPE = record_type(_ORDER), record_type(_LOG)
_PLENTY = 1e18  # quote: with one unit a trade, money decides nothing


@dataclass(frozen=True, eq=False)
class Rows:
    """What vectorbt is shown, in order; ``None`` for the levels where nothing protects.

    A *signal row* (``open`` NaN) is the open of a bar alone: there only signals fill, at ``price`` and slipped. A
    *bar row* is the rest of the bar, where only protective levels fill. An entry at a row hangs its levels on ``base``:
    the stop ``stop`` (a fraction) away on the losing side, the target ``target`` on the other; NaN for none.
    """

    bullish: BoolArray
    bearish: BoolArray
    price: FloatArray
    open: FloatArray | None = None
    high: FloatArray | None = None
    low: FloatArray | None = None
    base: FloatArray | None = None
    stop: FloatArray | None = None
    target: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Filled:
    """Orders that vectorbt filled: ``row`` in order, ``size`` signed (2 is a reversal), ``price``."""

    row: IntArray
    size: FloatArray
    price: FloatArray


def simulate(rows: Rows, *, allow_short: bool, slippage: float) -> Filled:
    """Let vectorbt trade one unit: long on bullish rows, out (or, ``allow_short``, short) on bearish ones.

    ``slippage`` is a fraction of the price and moves signals alone; protective levels fill at their own price, or at
    the open that is beyond them, the stop before the target.

    >>> flags = np.array([True, False, False]), np.array([False, False, True])
    >>> filled = simulate(Rows(*flags, price=np.array([10.0, 11.0, 12.0])), allow_short=True, slippage=0.0)
    >>> filled.row.tolist(), filled.size.tolist(), filled.price.tolist()
    ([0, 2], [1.0, -2.0], [10.0, 12.0])
    """
    from vectorbt_rust.portfolio import simulate_from_signals_rs

    count = len(rows.price)
    with _record_types():
        orders, _ = simulate_from_signals_rs(
            (count, 1),
            np.ones(1, dtype=np.int64),
            np.array([_PLENTY]),
            np.empty((0, 0), dtype=np.int64),
            entries=_NO,
            exits=_NO,
            direction=_LONG,
            long_entries=_column(rows.bullish),
            long_exits=_NO if allow_short else _column(rows.bearish),
            short_entries=_column(rows.bearish) if allow_short else _NO,
            short_exits=_NO,
            size=_ONE,
            price=_column(rows.price),
            size_type=_AMOUNT,
            fees=_ZERO,
            fixed_fees=_ZERO,
            slippage=_cell(slippage),
            min_size=_ZERO,
            max_size=_INFINITE,
            size_granularity=_NAN,
            reject_prob=_ZERO,
            lock_cash=_NO,
            allow_partial=_NO,
            raise_reject=_YES,
            log=_NO,
            accumulate=_DISABLED,
            upon_long_conflict=_IGNORE,
            upon_short_conflict=_IGNORE,
            upon_dir_conflict=_IGNORE,
            upon_opposite_entry=_REVERSE,
            val_price=_column(rows.price if rows.base is None else rows.base),
            open=_column(rows.open),
            high=_column(rows.high),
            low=_column(rows.low),
            close=_NAN,
            sl_stop=_column(rows.stop),
            sl_trail=_NO,
            tp_stop=_column(rows.target),
            stop_entry_price=_AT_VALUATION,
            stop_exit_price=_AT_STOP,
            upon_stop_exit=_CLOSE,
            upon_stop_update=_OVERRIDE,
            use_stops=rows.base is not None,
            max_orders=count,
        )
    sign = np.where(orders["side"] == 0, 1.0, -1.0)
    return Filled(orders["idx"].astype(np.int64), orders["size"] * sign, orders["price"].copy())


@contextmanager
def _record_types() -> Iterator[None]:
    if "vectorbt" in sys.modules:
        yield
        return
    stand_ins = {name: ModuleType(name) for name in ("vectorbt", "vectorbt.portfolio", "vectorbt.portfolio.enums")}
    vars(stand_ins["vectorbt.portfolio.enums"]).update(order_dt=ORDER_TYPE, log_dt=LOG_TYPE)
    sys.modules |= stand_ins
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)


def _column(values: np.ndarray[tuple[int], np.dtype[Any]] | None) -> np.ndarray[tuple[int, int], np.dtype[Any]]:
    return _NAN if values is None else np.ascontiguousarray(values).reshape(-1, 1)
