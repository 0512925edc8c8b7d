"""TA-Lib as features: any function by name, over any windows and inputs, with all its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, groupby

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.relative import relative_name, relative_to
from itb.indicators.rolling import rolling_ago, rolling_slope
from itb.indicators.rolling_lags import Line
from itb.indicators.series import complete_series, series_warmup
from itb.indicators.talib_table import (
    CUMULATIVE,
    PRODUCTS,
    Parameters,
    TalibFunction,
    talib_function,
    talib_lookback,
    talib_warmup,
)
from itb.indicators.window_relative import RelBase, RelFunc, WindowRelative
from itb.market.bars import Bars, FloatArray

_Function = Callable[[FloatArray, int], tuple[FloatArray, ...]]


@dataclass(frozen=True)
class _Call:
    """One call of one function and the columns that come out of it."""

    function: TalibFunction
    inputs: tuple[str, ...]
    parameters: Parameters
    change_over: int
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    first: int
    warmup: int
    is_itself: bool


@dataclass(frozen=True)
class TalibFeatures(ColumnFamily):
    """Columns computed by TA-Lib functions.

    Every function is called with every window (its ``timeperiod``; a function without one is called once, an empty
    ``windows`` means TA-Lib's default) and, if it reads one free series, with every input. ``inputs`` are columns of
    the bars or names of :data:`itb.indicators.series.SERIES`; empty means TA-Lib's default (``close``). A function of
    two free series (BETA, CORREL, ADD, ...) takes exactly two inputs; columns that a function reads by name (high,
    low, close of ATR) are found by themselves. ``parameters`` are passed to the functions that have them.

    A column is named ``<inputs>_<FUNCTION>[_<output>][_<window>][_<parameter><value>...]``, where the output is named
    if there are several and only parameters that were given appear: ``close_SMA_20``, ``high_low_close_ATR_14``,
    ``close_MACD_macdhist``, ``close_BBANDS_upperband_20_nbdevup2.5``.

    The windows of one function can be made relative to one another, after intelligent-trading-bot: see
    :class:`itb.indicators.window_relative.WindowRelative` for ``rel_base``, ``rel_func``, ``percentage`` and ``log``;
    names stay as they are. Window 1 of a level of one series (SMA, EMA, MAX, ...) is the series itself.

    ``relative`` names a column, usually ``close``, by which price levels become stationary: levels (SMA, BBANDS, SAR)
    turn into ``value / close - 1``, distances (ATR, MACD, MOM, STDDEV) into ``value / close``, VAR into ``value /
    close^2``, each with ``_rel_close`` added to its name. Pure numbers (RSI, ADX, CORREL) stay as they are.

    NaN in the first rows, up to TA-Lib's own first value; with ``settled`` up to the row where older bars no longer
    matter (see :mod:`itb.indicators.talib_table` for each function's warm-up): EMA, RSI, ATR, MACD and their like
    remember for about 30 periods, and on a live window they are always settled. NaN too where TA-Lib gives
    infinity or no number (division by 0, ACOS of a price), and where ``relative`` is 0. An input with a NaN inside is
    refused. Some functions are computed here, because TA-Lib's numbers depend on where the history starts: MAXINDEX,
    MININDEX and MINMAXINDEX give how many bars ago the extreme was (the latest of equals), not its place in the array,
    and LINEARREG_ANGLE keeps more digits, as do LINEARREG, LINEARREG_INTERCEPT and TSF where windows are related.
    OBV, AD, PVT, WAD, CUMSUM, NVI and PVI never forget where the history started and are refused; ``windowed = true``
    gives their change over each window instead (a ratio - 1 for NVI and PVI): ``close_volume_OBV_24``.

    >>> family = TalibFeatures(("SMA", "MACD"), windows=(5, 20), relative="close")
    >>> family.names[:3]
    ('close_SMA_5_rel_close', 'close_SMA_20_rel_close', 'close_MACD_macd_rel_close')
    >>> family.warmup  # MACD: 33 bars to its first value, and 30 periods of 26
    813
    """

    functions: tuple[str, ...]
    windows: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)
    relative: str = ""
    windowed: bool = False
    rel_base: RelBase = ""
    rel_func: RelFunc = ""
    percentage: bool = False
    log: bool = False
    settled: bool = False

    def __post_init__(self) -> None:
        require("functions", self.functions)
        if not self._related.changes_nothing and self.relative:
            raise ValueError("relative divides by a price and rel_base relates windows; use one of the two")
        for name in ("windows", "inputs"):
            if getattr(self, name):
                require(name, getattr(self, name))
        functions = [talib_function(name) for name in self.functions]
        for key in self.parameters:
            if not any(key in function.parameters for function in functions):
                known = sorted({name for function in functions for name in function.parameters})
                raise ValueError(
                    f"parameters: none of the functions has {key!r}; they have {', '.join(known) or 'none'}"
                )
        if "timeperiod" in self.parameters:
            raise ValueError("timeperiod does not belong into parameters; name it in windows")
        if self.windows and not any(function.has_window or function.name in CUMULATIVE for function in functions):
            raise ValueError(f"windows: none of {', '.join(self.functions)} has a window; use parameters")
        for function in functions:
            self._check(function)
        require("columns", self.names)

    def _check(self, function: TalibFunction) -> None:
        free, given = len(function.free_inputs), len(self.inputs)
        if given and free == 0:
            fixed = ", ".join(function.fixed_inputs)
            raise ValueError(f"{function.name} reads {fixed} by itself; leave inputs empty, or list it separately")
        if given and free > 1 and given != free:
            raise ValueError(f"{function.name} reads {free} series; inputs must name {free}, was {self.inputs}")
        if "periods" in function.free_inputs and not given:
            raise ValueError(f"{function.name} needs a series of periods; name both in inputs")
        if function.name == "VWAP":
            raise ValueError(
                'VWAP runs from the start of the history; use VWMA with inputs = ["typical_price"] and windows'
            )
        if function.never_forgets and not (function.name in CUMULATIVE and self.windowed and self.windows):
            way = "set windowed = true and windows to use its change over a window"
            raise ValueError(
                f"{function.name} never settles: its level depends on where the history starts; "
                + (way if function.name in CUMULATIVE else "use another function")
            )

    @cached_property
    def _calls(self) -> tuple[_Call, ...]:
        return tuple(
            self._call(function, inputs, window)
            for function in map(talib_function, self.functions)
            for inputs in self._input_sets(function)
            for window in self._windows_of(function)
        )

    def _input_sets(self, function: TalibFunction) -> list[tuple[str, ...]]:
        free = self.inputs or function.free_inputs
        if len(function.free_inputs) == 1:
            return [(name, *function.fixed_inputs) for name in free]
        return [(*(free if function.free_inputs else ()), *function.fixed_inputs)]

    def _windows_of(self, function: TalibFunction) -> tuple[int, ...]:
        if function.name in CUMULATIVE:
            return self.windows
        if not function.has_window:
            return (0,)
        return self.windows or (int(function.parameters["timeperiod"]),)

    def _call(self, function: TalibFunction, inputs: tuple[str, ...], window: int) -> _Call:
        given = {
            key: _of_type(key, value, function.parameters[key])
            for key, value in self.parameters.items()
            if key in function.parameters
        }
        parameters = {**function.parameters, **given}
        if function.has_window:
            parameters["timeperiod"] = window
        kinds = tuple(function.kind(output) for output in function.outputs)
        names = []
        for output, kind in zip(function.outputs, kinds, strict=True):
            parts = [*inputs, function.name, output if len(kinds) > 1 else "", str(window) if window else ""]
            parts += [f"{key}{value}" for key, value in given.items()]
            names.append(relative_name("_".join(part for part in parts if part), kind, self.relative))
        change_over = window if function.name in CUMULATIVE else 0
        first = warmup = max(map(series_warmup, inputs)) + change_over
        is_itself = _is_itself(function, window)
        if not is_itself:
            first += talib_lookback(function.name, parameters)
            warmup += talib_warmup(function.name, parameters)
        return _Call(function, inputs, parameters, change_over, tuple(names), kinds, first, warmup, is_itself)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(name for call in self._calls for name in call.names)

    @cached_property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max(call.warmup for call in self._calls)

    @cached_property
    def _related(self) -> WindowRelative:
        return WindowRelative(self.rel_base, self.rel_func, self.percentage, self.log)

    @cached_property
    def _is_plain(self) -> bool:
        return self._related.changes_nothing

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        inputs = {name: complete_series(bars, name) for name in dict.fromkeys(self._inputs)}
        for _, calls in groupby(self._calls, key=lambda call: (call.function.name, call.inputs)):
            made = (list(self._made(call, bars, [inputs[name] for name in call.inputs])) for call in calls)
            if self._is_plain:
                yield from chain.from_iterable(made)
            else:
                outputs = [self._related(windows) for windows in zip(*made, strict=True)]
                yield from chain.from_iterable(zip(*outputs, strict=True))

    @property
    def _inputs(self) -> Iterator[str]:
        return (name for call in self._calls for name in call.inputs)

    def _made(self, call: _Call, bars: Bars, arrays: list[FloatArray]) -> Iterator[FloatArray]:
        own = _OWN if self._is_plain else _OWN_AND_LINES
        for output, kind in zip(_outputs(call, arrays, own), call.kinds, strict=True):
            column = relative_to(_as_column(call, output), kind, bars, self.relative)
            column[: call.warmup if self.settled else call.first] = np.nan
            yield column


def _is_itself(function: TalibFunction, window: int) -> bool:
    is_level = [function.kind(output) for output in function.outputs] == ["level"]
    return window == 1 and is_level and len(function.free_inputs) == 1 and not function.fixed_inputs


def _of_type(key: str, value: float, default: float) -> float:
    if isinstance(default, int) and value != int(value):
        raise ValueError(f"parameters: {key} must be a whole number, was {value}")
    return type(default)(value)


def _outputs(call: _Call, arrays: list[FloatArray], own: Mapping[str, _Function]) -> tuple[FloatArray, ...]:
    from talib import _ta_lib

    if call.is_itself:
        return (arrays[0].copy(),)
    if call.function.name in own:
        return own[call.function.name](arrays[0], int(call.parameters["timeperiod"]))
    function: Callable[..., FloatArray | tuple[FloatArray, ...]] = getattr(_ta_lib, call.function.name)
    function = getattr(function, "__wrapped__", function)  # what looks for pandas takes longer than a live window
    outputs = function(*arrays, **call.parameters)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _angle(values: FloatArray, window: int) -> tuple[FloatArray, ...]:
    return (np.degrees(np.arctan(rolling_slope(values, window))),)


_OWN: dict[str, _Function] = {
    "MAXINDEX": lambda values, window: (rolling_ago(values, window, highest=True),),
    "MININDEX": lambda values, window: (rolling_ago(values, window, highest=False),),
    "MINMAXINDEX": lambda values, window: tuple(rolling_ago(values, window, highest=high) for high in (False, True)),
    "LINEARREG_ANGLE": _angle,
}
_LINES: dict[str, _Function] = {
    "LINEARREG": lambda values, window: (Line.of(values, window).end,),
    "LINEARREG_INTERCEPT": lambda values, window: (Line.of(values, window).ahead(1 - window),),
    "TSF": lambda values, window: (Line.of(values, window).ahead(1),),
}
_OWN_AND_LINES = _OWN | _LINES


def _as_column(call: _Call, output: FloatArray) -> FloatArray:
    column = output.astype(np.float64, copy=False)
    if call.change_over:
        earlier = column[: -call.change_over] if call.change_over < len(column) else column[:0]
        later = column[len(column) - len(earlier) :]
        change = np.full(len(column), np.nan)
        change[len(column) - len(earlier) :] = (
            later / earlier - 1 if call.function.name in PRODUCTS else later - earlier
        )
        column = change
    if call.function.may_be_infinite:
        column[np.isinf(column)] = np.nan
    return column
