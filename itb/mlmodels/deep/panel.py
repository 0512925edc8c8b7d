"""Many coins on one raster: what a network reads, without a copy of any window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.market.bars import SUMMED
from itb.mlmodels.files import write_whole
from itb.mlmodels.labels.column import NEVER

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.timeframe import Timeframe
    from itb.mlmodels.labels.column import LabelColumn

Values = Literal["changes", "levels"]
Cells = npt.NDArray[np.float32]
Marks = npt.NDArray[np.bool_]

_PRICES = ("open", "high", "low", "close")
_CLOCK = ("sin day", "cos day", "sin week", "cos week")
_DAY_MS, _WEEK_MS = 86_400_000, 604_800_000


@dataclass(frozen=True)
class Preset:
    """The size of a panel that somebody has published."""

    coins: int
    columns: int
    steps: int


PRESETS = {"binancepredict": Preset(13, 9, 512), "binancepredict_readme": Preset(20, 8, 512)}


@dataclass(frozen=True)
class Reading:
    """How bars become the rows of a panel.

    ``columns`` are those of the bars, in order; empty: all that every coin has. ``"changes"`` gives prices as the log
    of their ratio to the close one bar earlier (of the same source: ``perp_high`` to ``perp_close``), sums such as
    volume as log(1 + x), and everything else as it is; ``"levels"`` gives every column as it is. ``clock`` adds
    the time of day and of week, as sine and cosine.
    """

    columns: tuple[str, ...] = ()
    values: Values = "changes"
    clock: bool = False

    def __post_init__(self) -> None:
        if self.values not in get_args(Values):
            raise ValueError(f'values must be "changes" or "levels", was {self.values!r}')
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns must be named once each, were {', '.join(self.columns)}")

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a row."""
        return 1 if self.values == "changes" else 0

    def columns_of(self, bars: Mapping[str, Bars]) -> tuple[str, ...]:
        """Give the columns to read; raise :class:`itb.errors.ModelError` where a coin lacks one."""
        first = next(iter(bars.values()))
        if not self.columns:
            return tuple(name for name in first.columns if all(name in one.columns for one in bars.values()))
        for symbol, one in bars.items():
            absent = next((name for name in self.columns if name not in one.columns), None)
            if absent is not None:
                raise ModelError(f"{symbol}: no column {absent!r} to learn from; it has {', '.join(one.columns)}")
        return self.columns

    def row_values(self, column: str, raster: Mapping[str, FloatArray]) -> FloatArray:
        """Turn one column on the raster (NaN where there is no bar) into what the network reads."""
        values = raster[column]
        if self.values == "levels":
            return values
        kind = column.rpartition("_")[2]
        if kind in _PRICES:
            close = raster.get(close_of(column), values)
            with np.errstate(divide="ignore", invalid="ignore"):
                changes: FloatArray = np.log(values / np.concatenate([[np.nan], close[:-1]]))
            return changes
        return np.log1p(values) if column in SUMMED or kind == "volume" else values


def close_of(column: str) -> str:
    """Name the close of the source that a column belongs to.

    >>> close_of("high"), close_of("perp_high")
    ('close', 'perp_close')
    """
    source = column.rpartition("_")[0]
    return f"{source}_close" if source else "close"


@dataclass(frozen=True, eq=False)
class Panel:
    """The cells of a panel: one row per channel (coin by coin, column by column), one column per time of the raster.

    The raster has every time between the first and the last bar of any coin; ``there`` (times x coins) marks the bars
    that exist, and cells of others are NaN: a minute without a bar, a coin not yet listed. ``cells`` may be a memory
    map.

    >>> from itb.datafeeds.synthetic import SyntheticMarket
    >>> panel = Panel.of(SyntheticMarket(symbols=("BTC/USDT", "ETH/USDT"), bars=50, seed=1).bars(), Reading(("close",)))
    >>> panel.channels, panel.cells.shape, panel.windows(range(10, 40, 10), steps=8).shape
    (('BTC/USDT close', 'ETH/USDT close'), (2, 50), (3, 2, 8))
    """

    symbols: tuple[str, ...]
    channels: tuple[str, ...]
    open_time: IntArray
    timeframe: Timeframe
    cells: Cells
    there: Marks

    @classmethod
    def of(
        cls,
        bars: Mapping[str, Bars],
        reading: Reading,
        folder: Path | None = None,
        span: tuple[int, int] | None = None,
    ) -> Panel:
        """Put the bars of several coins on one raster, in the order of their symbols.

        With ``folder`` the cells are kept there in a file that is mapped, not loaded: computed channel by channel, they
        never lie in memory together. ``span`` names the first and the last time of the raster in place of those of the
        bars; a coin may then have none.
        """
        bars = dict(sorted(bars.items()))
        if not bars or not (span or all(len(one) for one in bars.values())):
            raise ModelError("a panel needs bars of every coin; load some, or leave the coin out of data.symbols")
        timeframe = next(iter(bars.values())).timeframe
        if span is None:
            first = min(int(one.open_time[0]) for one in bars.values())
            last = max(int(one.open_time[-1]) for one in bars.values())
        else:
            first, last = span
            bars = {symbol: one.between(first, last + 1) for symbol, one in bars.items()}
        times = np.arange(first, last + 1, timeframe.ms, dtype=np.int64)
        names = reading.columns_of(bars)
        channels = [f"{symbol} {name}" for symbol in bars for name in names]
        channels += _CLOCK if reading.clock else ()
        there = np.zeros((len(times), len(bars)), dtype=np.bool_)
        for coin, one in enumerate(bars.values()):
            there[(one.open_time - first) // timeframe.ms, coin] = True
        shape = (len(channels), len(times))
        made = _channels(bars, names, reading, times)
        if folder is None:
            cells: Cells = np.stack(list(made))
        else:
            cells = _kept(folder / f"{_fingerprint(bars, names, reading)}.npy", shape, made)
        return cls(tuple(bars), tuple(channels), times, timeframe, cells, there)

    def __len__(self) -> int:
        return len(self.open_time)

    def windows(self, rows: range, steps: int) -> Cells:
        """Give the windows that end with each of ``rows`` (windows x channels x steps) as a view: nothing is copied.

        Rows that lie evenly apart are what makes that possible.
        """
        if not len(rows):
            return np.empty((0, len(self.channels), steps), dtype=np.float32)
        if rows[0] < steps - 1 or rows[-1] >= len(self):
            raise ValueError(f"rows {rows} have no {steps} steps in a panel of {len(self)} times")
        along = self.cells.strides[1]
        return np.lib.stride_tricks.as_strided(
            self.cells[:, rows[0] - steps + 1 :],
            (len(rows), len(self.channels), steps),
            (rows.step * along, self.cells.strides[0], along),
        )

    def place(self, times: IntArray) -> IntArray:
        """Give the rows of open times, which must lie on the raster."""
        return np.asarray((times - self.open_time[0]) // self.timeframe.ms, dtype=np.int64)

    def targets(self, bars: Mapping[str, Bars], labels: Mapping[str, LabelColumn]) -> Targets:
        """Put each coin's label on the raster; both mappings by symbol."""
        values = np.full(self.there.shape, np.nan)
        known_at = np.full(self.there.shape, NEVER, dtype=np.int64)
        for coin, symbol in enumerate(self.symbols):
            rows, label = self.place(bars[symbol].open_time), labels[symbol]
            values[rows, coin] = label.values
            known = label.known_at != NEVER
            known_at[rows[known], coin] = rows[label.known_at[known]]
        return Targets(values, known_at)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of everything in the panel."""
        told = (self.symbols, self.channels, self.timeframe.ms, len(self), int(self.open_time[0]))
        digest = hashlib.sha256(repr(told).encode())
        for channel in self.cells:
            digest.update(channel.tobytes())
        digest.update(np.packbits(self.there).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Targets:
    """What is learned: values (times x coins, NaN where unknown), and the row at whose close each became known."""

    values: npt.NDArray[np.float64]
    known_at: npt.NDArray[np.int64]

    def known(self, start: int, until: int) -> npt.NDArray[np.float64]:
        """Give the values of rows from ``start`` on that were known at the close of row ``until``; NaN elsewhere."""
        part = slice(start, until + 1)
        known_at = self.known_at[part]
        return np.where((known_at != NEVER) & (known_at <= until), self.values[part], np.nan)


def _channels(bars: Mapping[str, Bars], names: Sequence[str], reading: Reading, times: IntArray) -> Iterator[Cells]:
    """Give the cells, one channel at a time."""
    for one in bars.values():
        rows = (one.open_time - times[0]) // one.timeframe.ms
        for name in names:
            raster = {}
            for column in {name, close_of(name)} & set(one.columns):
                raster[column] = np.full(len(times), np.nan)
                raster[column][rows] = one[column]
            with np.errstate(over="ignore"):
                values = reading.row_values(name, raster).astype(np.float32)
            yield np.where(np.isfinite(values), values, np.float32(np.nan))
    for period in (_DAY_MS, _WEEK_MS) if reading.clock else ():
        turn = 2 * np.pi * (times % period) / period
        yield np.sin(turn).astype(np.float32)
        yield np.cos(turn).astype(np.float32)


def _kept(path: Path, shape: tuple[int, int], channels: Iterator[Cells]) -> Cells:
    """Map the cells that an earlier call has written, or write them first."""

    def write(stream: IO[bytes]) -> None:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for channel in channels:
            stream.write(channel.astype("<f4").tobytes())

    if not path.exists():
        write_whole(path, write)
    found: Cells = np.load(
        path, mmap_mode="c"
    )  # torch wants arrays that it could write to; what it wrote would stay here
    return found


def _fingerprint(bars: Mapping[str, Bars], names: Sequence[str], reading: Reading) -> str:
    digest = hashlib.sha256(repr((list(bars), tuple(names), reading)).encode())
    for one in bars.values():
        digest.update(one.open_time.tobytes())
        for name in one.columns:
            digest.update(one[name].tobytes())
    return digest.hexdigest()[:24]
