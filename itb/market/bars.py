"""Bars: OHLCV on a raster, checked once at the door and trusted afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from itb.errors import BarsError
from itb.market.timeframe import Timeframe

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FloatArray = np.ndarray[tuple[int], np.dtype[np.float64]]
IntArray = np.ndarray[tuple[int], np.dtype[np.int64]]

BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]

OHLCV = ("open", "high", "low", "close", "volume")
SUMMED = ("volume", "quote_volume", "trades", "taker_buy_base")  # 0 where nothing was traded, added up over bars


def utc(time_ms: int) -> str:
    """Print a UTC millisecond stamp for people.

    >>> utc(1_709_251_200_000)
    '2024-03-01 00:00 UTC'
    """
    minute = str(np.datetime64(int(time_ms), "ms").astype("datetime64[m]"))
    return f"{minute.replace('T', ' ')} UTC"


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of one symbol: ``open_time`` (int64 UTC milliseconds) and float64 columns of the same length.

    ``columns`` holds at least open, high, low, close and volume (base units), in that order, then any named extras
    (``quote_volume``, ``trades``, ``taker_buy_base``). All arrays are read-only. Checked here, once: open times lie
    on the timeframe's grid and increase strictly, OHLCV holds no NaN or infinity, prices are above 0,
    ``low <= open, close <= high``, volume is not negative. Extras may hold NaN. Missing bars are allowed: see
    :mod:`itb.market.gaps`. Raises :class:`itb.errors.BarsError` that names the first bad bar.

    Slices share memory with their parent and are not checked again.

    >>> hours = [0, 3_600_000]
    >>> bars = Bars.of("BTC/USDT", "1h", hours, open=[1, 2], high=[2, 3], low=[1, 2], close=[2, 3], volume=[5, 6])
    >>> len(bars), bars.close.tolist(), len(bars.tail(1))
    (2, [2.0, 3.0], 1)
    """

    symbol: str
    timeframe: Timeframe
    open_time: IntArray
    columns: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        _freeze(self)
        _check(self)

    @classmethod
    def of(cls, symbol: str, timeframe: str | Timeframe, open_time: object, **columns: object) -> Bars:
        """Build from anything that turns into arrays; ``open_time`` in UTC milliseconds."""
        frame = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
        return cls(symbol, frame, np.asarray(open_time, dtype=np.int64), arrays)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, symbol: str, timeframe: Timeframe) -> Bars:
        """Read a data frame whose index, or ``timestamp`` column, holds the bars' open times.

        Aware times are converted to UTC, naive ones are taken as UTC. Non-numeric columns are left out.
        """
        import pandas as pd

        stamps = frame["timestamp"] if "timestamp" in frame.columns else frame.index
        if not pd.api.types.is_datetime64_any_dtype(stamps.dtype):
            raise BarsError(
                f"{symbol} {timeframe}: the bars' times are of type {stamps.dtype}; expected a datetime index "
                "or a datetime column named 'timestamp'"
            )
        times = pd.DatetimeIndex(stamps)
        if times.hasnans:
            raise BarsError(f"{symbol} {timeframe}: row {int(times.isna().argmax())} has no time; drop it first")
        times = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
        numeric = frame.drop(columns="timestamp", errors="ignore").select_dtypes("number")
        _require_columns(symbol, timeframe, list(numeric.columns))
        open_time = times.as_unit("ms").asi8
        return cls.of(symbol, timeframe, open_time, **{str(name): numeric[name].to_numpy() for name in numeric.columns})

    @classmethod
    def from_arrow(cls, table: pa.Table, symbol: str, timeframe: Timeframe) -> Bars:
        """Read an Arrow table with a ``timestamp`` column (any unit, UTC or naive) and numeric columns."""
        import pyarrow as pa

        _require_columns(symbol, timeframe, [name for name in table.column_names if _is_number(table.field(name).type)])
        stamp = table["timestamp"] if "timestamp" in table.column_names else pa.nulls(table.num_rows)
        if not pa.types.is_timestamp(stamp.type) or stamp.null_count:
            raise BarsError(
                f"{symbol} {timeframe}: expected a column 'timestamp' with a time in every row, "
                f"found type {stamp.type} with {stamp.null_count} rows empty"
            )
        stamp = stamp.cast(pa.timestamp("ms", "UTC"), safe=False)
        names = [field.name for field in table.schema if field.name != "timestamp" and _is_number(field.type)]
        columns = {name: table[name].cast(pa.float64()).to_numpy() for name in names}
        return cls.of(symbol, timeframe, stamp.cast(pa.int64()).to_numpy(), **columns)

    def to_frame(self) -> pd.DataFrame:
        """Give a data frame with an aware UTC index named ``timestamp``."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns), index=self.index)

    def to_arrow(self) -> pa.Table:
        """Give an Arrow table: ``timestamp`` (ms, UTC) and the columns as float64."""
        import pyarrow as pa

        stamp = pa.array(self.open_time).cast(pa.timestamp("ms", "UTC"))
        return pa.table({"timestamp": stamp, **{name: pa.array(values) for name, values in self.columns.items()}})

    @cached_property
    def index(self) -> pd.DatetimeIndex:
        """The open times as an aware UTC index named ``timestamp``."""
        import pandas as pd

        return pd.DatetimeIndex(self.open_time.astype("datetime64[ms]"), name="timestamp").tz_localize("UTC")

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, name: str) -> FloatArray:
        try:
            return self.columns[name]
        except KeyError:
            known = ", ".join(self.columns)
            raise BarsError(f"{self.label}: no column {name!r}; the columns are {known}") from None

    @property
    def open(self) -> FloatArray:
        return self.columns["open"]

    @property
    def high(self) -> FloatArray:
        return self.columns["high"]

    @property
    def low(self) -> FloatArray:
        return self.columns["low"]

    @property
    def close(self) -> FloatArray:
        return self.columns["close"]

    @property
    def volume(self) -> FloatArray:
        return self.columns["volume"]

    @property
    def close_time(self) -> IntArray:
        """When each bar is complete: open time + timeframe, UTC milliseconds."""
        return self.open_time + self.timeframe.ms

    @property
    def label(self) -> str:
        """Symbol and timeframe, as messages name them."""
        return f"{self.symbol} {self.timeframe}"

    @cached_property
    def missing(self) -> int:
        """How many bars of the raster between the first and the last bar are not there."""
        if len(self) < 2:
            return 0
        return int((self.open_time[-1] - self.open_time[0]) // self.timeframe.ms) + 1 - len(self)

    def slice(self, start: int | None, stop: int | None) -> Bars:
        """Give bars ``start:stop`` by position, without copying or checking again."""
        part = object.__new__(Bars)
        fields = {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "open_time": self.open_time[start:stop],
            "columns": {name: values[start:stop] for name, values in self.columns.items()},
        }
        for name, value in fields.items():
            object.__setattr__(part, name, value)
        return part

    def head(self, n: int) -> Bars:
        """Give the first ``n`` bars."""
        return self.slice(0, n)

    def tail(self, n: int) -> Bars:
        """Give the last ``n`` bars."""
        return self.slice(max(0, len(self) - n), None)

    def between(self, start_ms: int | None = None, stop_ms: int | None = None) -> Bars:
        """Give the bars that open at or after ``start_ms`` and before ``stop_ms`` (UTC milliseconds)."""
        first = 0 if start_ms is None else int(np.searchsorted(self.open_time, start_ms))
        last = len(self) if stop_ms is None else int(np.searchsorted(self.open_time, stop_ms))
        return self.slice(first, max(first, last))

    def with_columns(self, **extras: FloatArray) -> Bars:
        """Give the same bars with named extra columns added or replaced."""
        return Bars(self.symbol, self.timeframe, self.open_time, {**self.columns, **extras})

    def equals(self, other: Bars) -> bool:
        """Whether symbol, timeframe, times and every column (NaN equal to NaN) are the same."""
        return (
            (self.symbol, self.timeframe, list(self.columns)) == (other.symbol, other.timeframe, list(other.columns))
            and np.array_equal(self.open_time, other.open_time)
            and all(np.array_equal(self[name], other[name], equal_nan=True) for name in self.columns)
        )


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _require_columns(symbol: str, timeframe: Timeframe, names: list[str]) -> None:
    absent = [name for name in OHLCV if name not in names]
    if absent:
        raise BarsError(
            f"{symbol} {timeframe}: column {absent[0]!r} is missing or not numeric; "
            f"found {', '.join(map(str, names)) or 'nothing'}, expected {', '.join(OHLCV)}"
        )


def _freeze(bars: Bars) -> None:
    if bars.open_time.ndim != 1:
        raise BarsError(f"{bars.label}: open times must be one-dimensional, were of shape {bars.open_time.shape}")
    _require_columns(bars.symbol, bars.timeframe, list(bars.columns))
    order = [*OHLCV, *(name for name in bars.columns if name not in OHLCV)]
    columns = {}
    for name in order:
        values = np.ascontiguousarray(bars.columns[name], dtype=np.float64).view()
        if values.ndim != 1 or len(values) != len(bars.open_time):
            raise BarsError(f"{bars.label}: column {name!r} has {values.shape} values for {len(bars.open_time)} bars")
        values.setflags(write=False)
        columns[name] = values
    times = np.ascontiguousarray(bars.open_time, dtype=np.int64).view()
    times.setflags(write=False)
    object.__setattr__(bars, "columns", columns)
    object.__setattr__(bars, "open_time", times)


class Fault(NamedTuple):
    """What is wrong with one bar: its row and the rest of a sentence that names the bar."""

    row: int
    text: str


def first_fault(timeframe: Timeframe, open_time: IntArray, columns: Mapping[str, FloatArray]) -> Fault | None:
    """Find a bar that breaks a promise of :class:`Bars` by itself, whatever the order of the rows.

    >>> columns = {name: np.array([1.0, 2.0]) for name in OHLCV} | {"high": np.array([1.0, 1.5])}
    >>> first_fault(Timeframe.parse("1m"), np.array([60_000, 0]), columns)
    Fault(row=1, text='breaks low <= open, close <= high; check the column order of the source')
    """
    low, high = columns["low"], columns["high"]
    opened, closed = columns["open"], columns["close"]
    checks = [
        (timeframe.floor(open_time) != open_time, f"is not on the grid of {timeframe}"),
        *((~np.isfinite(columns[name]), f"has no finite {name}; expected a number in every bar") for name in OHLCV),
        (low <= 0, "has a price that is not above 0; expected positive prices"),
        (columns["volume"] < 0, "has a negative volume; expected 0 or more"),
        (
            (low > np.minimum(opened, closed)) | (high < np.maximum(opened, closed)),
            "breaks low <= open, close <= high; check the column order of the source",
        ),
    ]
    return next((Fault(int(bad.argmax()), text) for bad, text in checks if bad.any()), None)


def _check(bars: Bars) -> None:
    fault = first_fault(bars.timeframe, bars.open_time, bars.columns)
    backwards = np.diff(bars.open_time) <= 0
    if fault is None and backwards.any():
        row = int(backwards.argmax()) + 1
        fault = Fault(row, "does not come after the bar before it; sort the bars and drop repeats")
    if fault is not None:
        raise BarsError(f"{bars.label}: bar {utc(bars.open_time[fault.row])} (row {fault.row}) {fault.text}")
