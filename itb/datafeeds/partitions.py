"""Partitions of a stored series: one Parquet file per month (below 5m) or year of bars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from itb.datafeeds.sealed import damaged, read_sealed
from itb.market.bars import OHLCV, Bars, FloatArray, IntArray
from itb.market.timeframe import MINUTE_MS, Timeframe

SUFFIX = ".parquet"
_MONTHLY_BELOW_MS = 5 * MINUTE_MS


class Partition(NamedTuple):
    """One file of a series: its name without suffix, such as ``2024-03`` or ``2024``, and the times it covers."""

    name: str
    start_ms: int
    stop_ms: int

    def path(self, folder: Path) -> Path:
        """Where the partition lies in the series' folder."""
        return folder / f"{self.name}{SUFFIX}"


class Merged(NamedTuple):
    """Two versions of a partition made one; ``is_changed`` says whether there is anything to write."""

    bars: Bars
    added: int
    replaced: int
    is_changed: bool


def partition_of(timeframe: Timeframe, time_ms: int) -> Partition:
    """Give the partition that holds the bar which opens at ``time_ms``.

    >>> partition_of(Timeframe.parse("1m"), 1_709_251_200_000).name, partition_of(Timeframe.parse("1h"), 0).name
    ('2024-03', '1970')
    """
    unit = "M" if timeframe.ms < _MONTHLY_BELOW_MS else "Y"
    period = np.datetime64(time_ms, "ms").astype(f"datetime64[{unit}]")
    start, stop = (int(at.astype("datetime64[ms]").astype(np.int64)) for at in (period, period + 1))
    return Partition(str(period), start, stop)


def split(bars: Bars) -> Iterator[tuple[Partition, Bars]]:
    """Cut bars into partitions, oldest first."""
    row = 0
    while row < len(bars):
        partition = partition_of(bars.timeframe, int(bars.open_time[row]))
        stop = int(np.searchsorted(bars.open_time, partition.stop_ms))
        yield partition, bars.slice(row, stop)
        row = stop


def stored_partitions(folder: Path, timeframe: Timeframe) -> list[Partition]:
    """List the partitions in a series' folder, oldest first; files of other names are not looked at."""
    found = []
    for path in folder.glob(f"[0-9]*{SUFFIX}"):
        try:
            start = int(np.datetime64(path.stem, "ms").astype(np.int64))
        except ValueError:
            continue
        partition = partition_of(timeframe, start)
        if partition.name == path.stem:
            found.append(partition)
    return sorted(found, key=lambda partition: partition.start_ms)


def read_partition(folder: Path, partition: Partition, symbol: str, timeframe: Timeframe) -> Bars:
    """Read one partition; raises :class:`BarsError` that names the file if it is damaged."""
    path = partition.path(folder)
    bars = read_sealed(path, symbol, timeframe)
    if len(bars.between(partition.start_ms, partition.stop_ms)) < len(bars):
        raise damaged(path, ValueError(f"it holds bars that are not of {partition.name}"))
    return bars


def merge(old: Bars | None, new: Bars) -> Merged:
    """Lay new bars over old ones: the newest bar wins, columns that only one side has are NaN on the other.

    Where the new bars lack an extra column, the stored value stays if open, high, low, close and volume are the same
    as before, and is unknown (NaN) if the bar is another one.
    """
    if old is None:
        return Merged(new, len(new), 0, is_changed=True)
    if len(new) == 0:
        return Merged(old, 0, 0, is_changed=False)
    place = np.searchsorted(old.open_time, new.open_time).clip(max=len(old) - 1)
    is_known = old.open_time[place] == new.open_time
    again, before = np.flatnonzero(is_known), place[is_known]
    is_same = np.logical_and.reduce([old[name][before] == new[name][again] for name in OHLCV])

    stays = np.ones(len(old), dtype=bool)
    stays[before] = False
    times: IntArray = np.concatenate([old.open_time[stays], new.open_time])
    order = np.argsort(times, kind="stable")
    is_replaced = ~is_same
    columns: dict[str, FloatArray] = {}
    for name in dict.fromkeys([*old.columns, *new.columns]):
        kept = old.columns.get(name, np.full(len(old), np.nan))
        laid = new.columns.get(name)
        if laid is None:
            laid = np.full(len(new), np.nan)
            laid[again[is_same]] = kept[before[is_same]]
        else:
            is_replaced |= ~_equal(kept[before], laid[again])
        columns[name] = np.concatenate([kept[stays], laid])[order]
    added = len(new) - len(again)
    bars = Bars(old.symbol, old.timeframe, times[order], columns)
    is_changed = added > 0 or bool(is_replaced.any()) or len(columns) > len(old.columns)
    return Merged(bars, added, int(is_replaced.sum()), is_changed)


def _equal(left: FloatArray, right: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray((left == right) | (np.isnan(left) & np.isnan(right)), dtype=np.bool_)
