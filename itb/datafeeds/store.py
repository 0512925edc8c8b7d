"""The bar store: bars of many exchanges, symbols and timeframes in Parquet files that no crash can spoil."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np

from itb.datafeeds.atomic import locked, make_folder, sweep, sync_folder
from itb.datafeeds.partitions import (
    Partition,
    merge,
    read_partition,
    split,
    stored_partitions,
)
from itb.datafeeds.sealed import read_extent, write_sealed
from itb.errors import BarsError
from itb.market.bars import OHLCV, Bars, FloatArray
from itb.market.instrument import canonical_symbol
from itb.market.timeframe import Timeframe

Progress = Callable[[int, int, str], None]

MARKS = "-mark"
"""Behind an exchange's name, bars are those of its mark prices."""
_EXCHANGE = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LISTED = 12

_log = logging.getLogger(__name__)


class SeriesKey(NamedTuple):
    """What names a stored series."""

    exchange: str
    symbol: str
    timeframe: Timeframe


class Written(NamedTuple):
    """What a write did: bars that were not there before, and bars that were there with other numbers."""

    added: int
    replaced: int


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """What the store holds of one series; ``missing`` counts the holes between the first and the last bar."""

    exchange: str
    symbol: str
    timeframe: Timeframe
    bars: int
    first_ms: int
    last_ms: int
    missing: int


@dataclass(frozen=True)
class BarStore:
    """A folder of bars: ``<root>/<exchange>/<symbol>/<timeframe>/<month or year>.parquet``.

    A symbol's folder is its stored name with ``_`` for ``/`` and ``:`` (``BTC_USDT``, ``BTC_USDT_USDT``). Every file
    is replaced in one step after its content is on the disk, so a process killed at any moment leaves each file as it
    was or as it should be; leftovers are swept by the next write. Writers of one series wait for each other up to
    ``lock_timeout_s``; readers wait for nobody.

    >>> import tempfile
    >>> hour = 3_600_000
    >>> bars = Bars.of("BTC/USDT", "1h", [0, hour], open=[1, 2], high=[2, 3], low=[1, 2], close=[2, 3], volume=[5, 6])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = BarStore(Path(folder))
    ...     store.write("binance", bars), store.read("binance", "BTCUSDT", "1h", start_ms=hour).close.tolist()
    (Written(added=2, replaced=0), [3.0])
    """

    root: Path
    lock_timeout_s: float = 10.0

    def write(self, exchange: str, bars: Bars, progress: Progress | None = None) -> Written:
        """Add bars to their series; of bars that are stored already, the newest write wins.

        Extra columns are kept; a column that only some bars have is NaN for the others. Files that would not change
        are not touched. Raises :class:`BarsError` if a file in the way is damaged, another process keeps writing, or
        the disk refuses; what was stored stays.
        """
        folder = self._folder(exchange, bars.symbol, bars.timeframe)
        written = Written(0, 0)
        if len(bars) == 0:
            return written
        parts = list(split(bars))
        try:
            make_folder(folder)
            with locked(folder, timeout_s=self.lock_timeout_s):
                if leftovers := sweep(folder):
                    _log.info("%s: removed %d unfinished files of a writer that died", folder, leftovers)
                for done, (partition, part) in enumerate(parts, start=1):
                    one = _write(folder, partition, part)
                    written = Written(written.added + one.added, written.replaced + one.replaced)
                    if progress is not None:
                        progress(done, len(parts), f"{bars.label} {partition.name}")
                sync_folder(folder)
        except OSError as error:
            raise BarsError(
                f"{folder}: cannot write ({error.strerror}). What was stored before is unharmed; make room or "
                "allow writing there, and run again."
            ) from error
        return written

    def read(
        self,
        exchange: str,
        symbol: str,
        timeframe: Timeframe | str,
        start_ms: int | None = None,
        stop_ms: int | None = None,
    ) -> Bars:
        """Read the bars that open at or after ``start_ms`` and before ``stop_ms`` (UTC milliseconds).

        A range without bars gives no bars. Raises :class:`BarsError` that says what there is if the series is not
        stored, or names the file if one is damaged.
        """
        frame = _timeframe(timeframe)
        folder = self._folder(exchange, symbol, frame)
        partitions = stored_partitions(folder, frame)
        if not partitions:
            raise self._unknown(exchange, symbol, frame)
        wanted = [
            partition
            for partition in partitions
            if (start_ms is None or partition.stop_ms > start_ms) and (stop_ms is None or partition.start_ms < stop_ms)
        ]
        name = canonical_symbol(symbol)
        bars = _read(folder, wanted or partitions[-1:], name, frame)
        return bars.between(start_ms, stop_ms) if wanted else bars.head(0)

    def last(self, exchange: str, symbol: str, timeframe: Timeframe | str) -> int | None:
        """When the last stored bar of a series opens (UTC milliseconds), or ``None`` if nothing is stored."""
        frame = _timeframe(timeframe)
        folder = self._folder(exchange, symbol, frame)
        partitions = stored_partitions(folder, frame)
        return read_extent(partitions[-1].path(folder)).last_ms if partitions else None

    def series(self, exchange: str, symbol: str, timeframe: Timeframe | str) -> StoredSeries:
        """Say what is stored of one series; raises :class:`BarsError` that says what there is if nothing is."""
        frame = _timeframe(timeframe)
        folder = self._folder(exchange, symbol, frame)
        partitions = stored_partitions(folder, frame)
        if not partitions:
            raise self._unknown(exchange, symbol, frame)
        extents = [read_extent(partition.path(folder)) for partition in partitions]
        bars, first, last = sum(extent.bars for extent in extents), extents[0].first_ms, extents[-1].last_ms
        missing = (last - first) // frame.ms + 1 - bars
        return StoredSeries(_exchange(exchange), canonical_symbol(symbol), frame, bars, first, last, missing)

    def list(self) -> list[StoredSeries]:
        """List what is stored, by exchange, symbol and timeframe; folders that are not the store's are left out."""
        return [self.series(*key) for key in self.names()]

    def names(self) -> tuple[SeriesKey, ...]:
        """Name what is stored, in the same order, without opening a file."""
        return tuple(sorted(self._found()))

    def _found(self) -> Iterator[SeriesKey]:
        for folder in self.root.glob("*/*/*"):
            exchange, symbol, timeframe = folder.parts[-3:]
            try:
                name, frame = canonical_symbol(symbol), Timeframe.parse(timeframe)
            except ValueError:
                continue
            if _EXCHANGE.fullmatch(exchange) and _is_ours(symbol, name) and stored_partitions(folder, frame):
                yield SeriesKey(exchange, name, frame)

    def _folder(self, exchange: str, symbol: str, timeframe: Timeframe) -> Path:
        return self.root / _exchange(exchange) / folder_name(symbol) / str(timeframe)

    def _unknown(self, exchange: str, symbol: str, timeframe: Timeframe) -> BarsError:
        name, wanted, keys = _exchange(exchange), canonical_symbol(symbol), self.names()
        if not keys:
            return BarsError(
                f"{self.root}: no bars are stored here yet; bring some in with `itb data import` or `itb data download`"
            )
        exchanges = sorted({key.exchange for key in keys})
        symbols = [key.symbol for key in keys if key.exchange == name]
        timeframes = [key.timeframe for key in keys if key[:2] == (name, wanted)]
        if name not in exchanges:
            return BarsError(f"{self.root}: no bars of exchange {_there_is(name, exchanges)}")
        if wanted not in symbols:
            return BarsError(f"{self.root}: {name} has no bars of {_there_is(wanted, symbols)}")
        return BarsError(f"{self.root}: {name} {wanted} has no bars of {_there_is(str(timeframe), timeframes)}")


def folder_name(symbol: str) -> str:
    """Give the folder of a symbol, whichever way it is spelled; :func:`canonical_symbol` leads back.

    >>> [folder_name(symbol) for symbol in ("BTCUSDT", "BTC/USDT:USDT")]
    ['BTC_USDT', 'BTC_USDT_USDT']
    """
    try:
        return canonical_symbol(symbol).replace("/", "_").replace(":", "_")
    except ValueError as error:
        raise BarsError(str(error)) from error


def _is_ours(folder: str, symbol: str) -> bool:
    return folder == folder_name(symbol)


def _exchange(name: str) -> str:
    if not _EXCHANGE.fullmatch(name.lower()):
        raise BarsError(f'exchange must be a name of letters, digits, "-" and "_", such as "binance", was {name!r}')
    return name.lower()


def _timeframe(timeframe: Timeframe | str) -> Timeframe:
    if isinstance(timeframe, Timeframe):
        return timeframe
    try:
        return Timeframe.parse(timeframe)
    except ValueError as error:
        raise BarsError(str(error)) from error


def _there_is(wanted: str, known: Iterable[object]) -> str:
    names = list(dict.fromkeys(str(name) for name in known))
    close = get_close_matches(wanted, names, n=1)
    hint = f'; did you mean "{close[0]}"?' if close else "."
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{wanted}{hint} It holds {', '.join(names[:_LISTED])}{more}."


def _write(folder: Path, partition: Partition, bars: Bars) -> Written:
    path = partition.path(folder)
    stored = _read(folder, [partition], canonical_symbol(bars.symbol), bars.timeframe) if path.exists() else None
    merged = merge(stored, bars)
    if merged.is_changed:
        write_sealed(path, merged.bars)
    return Written(merged.added, merged.replaced)


def _read(folder: Path, partitions: list[Partition], symbol: str, timeframe: Timeframe) -> Bars:
    parts = [read_partition(folder, partition, symbol, timeframe) for partition in partitions]
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys([*OHLCV, *(name for part in parts for name in part.columns)])

    def column(name: str) -> FloatArray:
        return np.concatenate([part.columns.get(name, np.full(len(part), np.nan)) for part in parts])

    times = np.concatenate([part.open_time for part in parts])
    return Bars(symbol, timeframe, times, {name: column(name) for name in names})
