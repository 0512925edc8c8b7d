"""Bars from files: CSV, Parquet and Feather of many layouts, checked, sorted and brought into the store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from itb.datafeeds.files import SUFFIXES, Rows, open_rows
from itb.datafeeds.layouts import numbers_of, time_column
from itb.datafeeds.store import BarStore, Progress, StoredSeries
from itb.datafeeds.timestamps import times_of
from itb.errors import BarsError
from itb.market.bars import Bars, FloatArray, IntArray, first_fault, utc
from itb.market.gaps import count_of
from itb.market.instrument import QUOTES, canonical_symbol
from itb.market.timeframe import Timeframe

_ALL_BUT_FEW = 10  # so many bars without a single pair of neighbours are bars of another timeframe


@dataclass(frozen=True)
class FileBars:
    """The bars of a file, of each time the last row.

    Of ``rows`` in the file, ``repeated`` came again further down, ``contradicted`` of them with other numbers.
    """

    bars: Bars
    rows: int
    repeated: int
    contradicted: int


@dataclass(frozen=True)
class Imported:
    """What an import did: what the file held, what it changed, and what the store holds now."""

    file: FileBars
    added: int
    replaced: int
    stored: StoredSeries

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.stored.exchange} {self.file.bars.label}: {count_of(self.added)} added"]
        if self.replaced:
            parts.append(f"{self.replaced:,} replaced")
        if self.file.repeated:
            parts.append(f"{self.file.repeated:,} repeated rows ({self.file.contradicted:,} with other numbers)")
        extent = f"{utc(self.stored.first_ms)} to {utc(self.stored.last_ms)}"
        parts.append(f"{self.stored.bars:,} stored from {extent}, {self.stored.missing:,} missing")
        return ", ".join(parts)


def import_file(
    store: BarStore,
    exchange: str,
    path: Path,
    symbol: str | None = None,
    timeframe: Timeframe | str | None = None,
    *,
    progress: Progress | None = None,
) -> Imported:
    """Bring the bars of a file into the store.

    The whole file is read and checked before anything is written; then it is written month by month (or year by year),
    each in one step. An import that is killed, at any moment, has stored whole months and spoilt nothing; running it
    again completes it. Symbol and timeframe are found as in :func:`read_file`.
    """
    file = read_bars(path, symbol, timeframe)
    written = store.write(exchange, file.bars, progress)
    stored = store.series(exchange, file.bars.symbol, file.bars.timeframe)
    return Imported(file, written.added, written.replaced, stored)


def read_file(path: Path, symbol: str | None = None, timeframe: Timeframe | str | None = None) -> Bars:
    """Read the bars of a file.

    ``.csv``, ``.txt``, ``.tsv`` (with a header, or in the layout of Binance's or Kraken's archive), these inside
    ``.gz`` or ``.zip``; ``.parquet``; ``.feather`` (freqtrade's layout). See :func:`times_of` for times and
    :func:`numbers_of` for columns. What is not given is taken from a name such as ``BTCUSDT-1h.parquet`` or
    ``BTC_USDT_USDT-5m-futures.feather``; a timeframe that the name does not tell is the shortest step in the file.

    Rows may come in any order; of several for one time the last counts. Raises :class:`BarsError` that names file and
    row for the first bad row.

    >>> import tempfile
    >>> lines = "time,open,high,low,close,volume", "2024-01-01T01:00:00Z,2,3,2,3,8", "2024-01-01T00:00:00Z,1,2,1,2,9"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "BTCUSDT-1h.csv"
    ...     _ = path.write_text(chr(10).join(lines))
    ...     bars = read_file(path)
    >>> bars.label, bars.close.tolist()
    ('BTC/USDT 1h', [2.0, 3.0])
    """
    return read_bars(path, symbol, timeframe).bars


def read_bars(
    path: Path,
    symbol: str | None = None,
    timeframe: Timeframe | str | None = None,
    *,
    content: bytes | None = None,
) -> FileBars:
    """Read a file as :func:`read_file` does, or ``content`` as if it lay in ``path``; say what was repeated in it."""
    rows = open_rows(path, content)
    name = symbol_of(path, symbol)
    if rows.table.num_rows == 0:
        raise BarsError(f"{rows.source}: holds no bars")
    times = times_of(rows, time_column(rows))
    columns = numbers_of(rows, name)
    order, repeated, contradicted = _newest(times, columns)
    frame = _timeframe_of(rows, times[order], timeframe or _named_timeframe(path))
    fault = first_fault(frame, times, columns)
    if fault is not None:
        raise rows.fault(fault.row, f"bar {utc(times[fault.row])} {fault.text}")
    kept = Bars(name, frame, times[order], {key: values[order] for key, values in columns.items()})
    return FileBars(kept, len(times), repeated, contradicted)


def symbol_of(path: Path, symbol: str | None = None) -> str:
    """Give the symbol as it is stored: the one given, or else what the file's name says.

    >>> names = ("BTCUSDT-1h.parquet", "BTC_USDT_USDT-5m-futures.feather", "Binance_ETHUSDT_1h.csv", "ETHUSDT.csv.gz")
    >>> [symbol_of(Path(name)) for name in names]
    ['BTC/USDT', 'BTC/USDT:USDT', 'ETH/USDT', 'ETH/USDT']
    """
    try:
        if symbol is not None:
            return canonical_symbol(symbol)
    except ValueError as error:
        raise BarsError(str(error)) from error
    tokens = re.split(r"[-_ ]+", _stem(path))
    times = [place for place, token in enumerate(tokens) if _is_timeframe(token)]
    words = tokens[: times[0]] if times else tokens
    for candidate in (words[-1:], words):
        found = _named_symbol([word.upper() for word in candidate])
        if found is not None:
            return found
    raise BarsError(f"{path}: the name does not tell the symbol; say --symbol BTC/USDT")


def _named_symbol(words: list[str]) -> str | None:
    if len(words) > 1 and words[1] in QUOTES and set(words[2:]) <= set(words[:2]):
        return canonical_symbol("/".join(words))
    if len(words) == 1 and len(words[0]) > 5 and words[0] not in QUOTES:
        try:
            return canonical_symbol(words[0])
        except ValueError:
            return None
    return None


def _stem(path: Path) -> str:
    name = path.name
    while Path(name).suffix.lower() in SUFFIXES:
        name = name[: -len(Path(name).suffix)]
    return name


def _is_timeframe(token: str) -> bool:
    try:
        Timeframe.parse(token)
    except ValueError:
        return False
    return True


def _named_timeframe(path: Path) -> str | None:
    return next((token for token in re.split(r"[-_ ]+", _stem(path)) if _is_timeframe(token)), None)


def _timeframe_of(rows: Rows, times: IntArray, timeframe: Timeframe | str | None) -> Timeframe:
    """Read the timeframe, or find it; refuse one that is finer than every step in the file."""
    steps: IntArray = np.diff(times).astype(np.int64)
    shortest = int(steps.min()) if len(steps) else 0
    if timeframe is None:
        try:
            found = Timeframe(shortest)
        except ValueError:
            found = None
        if found is None or len(steps) < 2 or (steps % shortest).any():
            raise BarsError(f"{rows.source}: its times do not tell the timeframe; say --timeframe 1h")
        return found
    try:
        frame = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
    except ValueError as error:
        raise BarsError(str(error)) from error
    if len(steps) >= _ALL_BUT_FEW and shortest > frame.ms:
        raise BarsError(
            f"{rows.source}: no two bars are {frame} apart, the shortest step is {shortest / 60_000:g} minutes; "
            "say the file's own --timeframe"
        )
    return frame


def _newest(times: IntArray, columns: dict[str, FloatArray]) -> tuple[IntArray, int, int]:
    """Give the rows that count, oldest bar first, and how many were superseded, and how many of those differed."""
    order = np.argsort(times, kind="stable").astype(np.int64)
    is_last = np.append(np.diff(times[order]) > 0, True)
    if is_last.all():
        return order, 0, 0
    kept = order[is_last]
    again, winner = order[~is_last], kept[(np.cumsum(is_last) - is_last)[~is_last]]
    differs = np.zeros(len(again), dtype=bool)
    for values in columns.values():
        left, right = values[again], values[winner]
        differs |= ~((left == right) | (np.isnan(left) & np.isnan(right)))
    return kept, len(again), int(differs.sum())
