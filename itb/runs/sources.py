"""From `[[sources]]` to columns of the bars: read each source, join it, keep what it covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.config import parts
from itb.datafeeds.settlements import SettlementStore
from itb.datafeeds.sources import Join, Joined, SourceRows
from itb.datafeeds.store import MARKS
from itb.errors import BarsError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.config import Config
    from itb.config.sources import SourceSection
    from itb.market.bars import Bars, IntArray
    from itb.market.timeframe import Timeframe
    from itb.runs.workspace import Workspace

_TIME = "time"  # the row's own time as a column, UTC milliseconds


@dataclass(frozen=True, eq=False)
class OpenSource:
    """A source that was read: its rows, how they join, and the joined columns' names with the source's own."""

    section: SourceSection
    rows: SourceRows
    join: Join
    names: Mapping[str, str]

    def joined(self, decisions: IntArray) -> Joined:
        """Join it to decisions, UTC milliseconds."""
        return Joined(self.section.name, self.rows, self.join, self.names, decisions)


@dataclass(frozen=True)
class Series:
    """Something of an exchange that is stored: ``timeframe`` is ``None`` for settlements of funding."""

    exchange: str
    symbol: str
    timeframe: Timeframe | None
    marks: bool = False

    @property
    def stored_as(self) -> str:
        """The exchange's name in the store: mark prices are bars of their own."""
        return self.exchange + (MARKS if self.marks else "")


def series_of(config: Config, source: SourceSection, traded: str) -> Series | None:
    """Say what of which exchange a source is; ``None`` for files and for the built-in market."""
    exchange = (source.exchange or config.data.exchange).lower()
    if source.file is not None or exchange == "synthetic":
        return None
    frame = None if source.kind == "funding" else source.timeframe or config.data.timeframe
    return Series(exchange, source.market(traded), frame, source.kind == "mark")


def read_series(workspace: Workspace, series: Series, label: str, start_ms: int | None = None) -> SourceRows:
    """Read what is stored of a series from a time on; raise :class:`BarsError` where nothing is."""
    if series.timeframe is None:
        rows = SettlementStore(workspace.store).read(series.exchange, series.symbol)
        if not len(rows):
            raise BarsError(f"{rows.label}: none is stored; `itb data download --sources` fetches it")
        first = 0 if start_ms is None else int(np.searchsorted(rows.times, start_ms))
        return SourceRows(label, rows.times[first:], {name: item[first:] for name, item in rows.columns.items()})
    bars = workspace.store.read(series.stored_as, series.symbol, series.timeframe, start_ms=start_ms)
    rows = SourceRows.of_bars(label, bars)
    if not series.marks:
        return rows
    prices = {name: values for name, values in rows.columns.items() if name != "volume"}  # nobody trades at the mark
    return SourceRows(label, rows.times, prices)


Read = Callable[["SourceSection"], "tuple[SourceRows, Timeframe | None]"]


def join_sources(workspace: Workspace, bars: Bars) -> tuple[Bars, tuple[Joined, ...]]:
    """Give the bars with the columns of every configured source, and the sources as they were joined.

    Nothing of a source that lies after the last bar's close is read. Raises :class:`itb.errors.ConfigError` for a
    column that is not there or would stand twice, :class:`itb.errors.BarsError` for a source that cannot be read.
    """
    opened = open_sources(workspace, bars.columns, lambda source: read_source(workspace, source, bars))
    joined = tuple(one.joined(bars.close_time) for one in opened)
    extras = {name: values for one in joined for name, values in one.columns.items()}
    return (bars.with_columns(**extras) if extras else bars), joined


def open_sources(workspace: Workspace, columns: Iterable[str], read: Read) -> tuple[OpenSource, ...]:
    """Read every configured source; ``columns`` are those of the bars. Raises as :func:`join_sources` does."""
    found: list[OpenSource] = []
    taken = dict.fromkeys(columns, "the bars")
    sources = workspace.config.sources
    for number, source in enumerate(sources):
        workspace.report(number, len(sources), f"joining {source.name}")
        rows, frame = read(source)
        rows = timed(rows)
        names = _names(workspace, number, source, rows)
        for name in names:
            if name in taken:
                told = f"column {name} is there already, from {taken[name]}; choose another prefix or leave it out"
                raise ConfigError(workspace.config.complaint(("sources", number, "prefix"), told))
            taken[name] = f"source {source.name}"
        join = Join(frame, source.delay_ms, source.gaps, source.max_age_ms)
        found.append(OpenSource(source, rows, join, names))
        workspace.report(number + 1, len(sources), f"joining {source.name}")
    return tuple(found)


def without_sources(bars: Bars, joined: Iterable[Joined]) -> Bars:
    """Give the bars as their own exchange tells them."""
    from itb.market.bars import Bars

    extras = {name for one in joined for name in one.names}
    own = {name: values for name, values in bars.columns.items() if name not in extras}
    return Bars(bars.symbol, bars.timeframe, bars.open_time, own) if extras else bars


def timed(rows: SourceRows) -> SourceRows:
    """Give the rows with their own time as a column, UTC milliseconds."""
    if _TIME in rows.columns:
        return rows
    return SourceRows(rows.label, rows.times, {**rows.columns, _TIME: rows.times.astype(np.float64)})


def read_source(workspace: Workspace, source: SourceSection, bars: Bars) -> tuple[SourceRows, Timeframe | None]:
    """Read the rows of a source that were complete at the last bar's close, and its timeframe (``None``: events)."""
    stop_ms = int(bars.close_time[-1])
    rows, frame = read_whole(workspace, source, bars.symbol, stop_ms)
    return rows.until(stop_ms - (0 if frame is None else frame.ms)), frame


def read_whole(
    workspace: Workspace, source: SourceSection, symbol: str, stop_ms: int | None = None
) -> tuple[SourceRows, Timeframe | None]:
    """Read a source beside the bars of a symbol, and its timeframe; stored bars until a time, all else as it is."""
    from itb.datafeeds.tables import read_table

    label = f"source {source.name}"
    if source.kind == "table":
        return read_table(source_file(workspace, source, symbol), label), source.timeframe
    series = series_of(workspace.config, source, symbol)
    if source.kind in {"funding", "mark"}:
        if series is None:
            raise BarsError(f"{label}: the built-in market has no {source.kind}; name an exchange, or bring a table")
        try:
            return read_series(workspace, series, label), series.timeframe
        except BarsError as error:
            raise BarsError(f"{label}: {error}") from None
    try:
        found = _bars(workspace, source, symbol, stop_ms)
    except BarsError as error:
        raise BarsError(f"{label}: {error}") from None
    return SourceRows.of_bars(f"{label} ({found.label})", found), found.timeframe


def refuse_absent_files(config: Config) -> None:
    """Refuse sources whose file is not there, with one line each."""
    absent = {
        config.complaint(("sources", number, "file"), f"no such file: {path}"): None
        for number, source in enumerate(config.sources)
        if source.file is not None
        for path in [config.locate_for(symbol, source.file) for symbol in config.data.symbols]
        if not path.is_file()
    }
    if absent:
        raise ConfigError("\n".join(absent))


def _bars(workspace: Workspace, source: SourceSection, traded: str, stop_ms: int | None) -> Bars:
    config = workspace.config
    symbol = source.market(traded)
    if source.file is not None:
        from itb.datafeeds.importers import read_file

        return read_file(source_file(workspace, source, traded), symbol, source.timeframe)
    exchange, frame = source.exchange or config.data.exchange, source.timeframe or config.data.timeframe
    if exchange.lower() == "synthetic":
        if not config.data.is_synthetic:
            raise BarsError(
                "the built-in market is no source beside real bars; say where its bars are: exchange, or file"
            )
        return _synthetic(workspace, symbol, frame)
    return workspace.store.read(exchange, symbol, frame, stop_ms=stop_ms)


def _synthetic(workspace: Workspace, symbol: str, frame: Timeframe) -> Bars:
    """Give another coin, or coarser bars, of the built-in market."""
    from itb.market.aggregate import aggregate

    market = parts.synthetic_market(workspace.config)
    if not frame.is_multiple_of(market.timeframe):
        raise BarsError(
            f"the built-in market has no bars of {frame} beside those of {market.timeframe}; expected a multiple of it"
        )
    return aggregate(market.coin(symbol), frame)


def source_file(workspace: Workspace, source: SourceSection, symbol: str) -> Path:
    """Give the file of a source that has one, beside the bars of a symbol."""
    assert source.file is not None
    return workspace.config.locate_for(symbol, source.file)


def _names(workspace: Workspace, number: int, source: SourceSection, rows: SourceRows) -> Mapping[str, str]:
    """Lead from each joined column's name to the source's own column."""
    picked = source.columns
    offered = [name for name in rows.columns if name != _TIME or source.are_events]
    own = picked if isinstance(picked, dict) else {name: name for name in picked or offered}
    absent = next((name for name in own if name not in rows.columns), None)
    if absent is not None:
        told = f"{rows.label} has no column {absent!r} of numbers; it has {', '.join(rows.columns)}"
        raise ConfigError(workspace.config.complaint(("sources", number, "columns"), told))
    return {joined_name(source, shown): name for name, shown in own.items()}


def joined_name(source: SourceSection, column: str) -> str:
    """Name a source's column among those of the bars; one that begins with the prefix already keeps its name.

    >>> from itb.config.sources import SourceSection
    >>> perp, funding = SourceSection(name="perp"), SourceSection(name="funding")
    >>> joined_name(perp, "close"), joined_name(funding, "funding_rate")
    ('perp_close', 'funding_rate')
    """
    start = f"{source.put_before}_" if source.put_before else ""
    return column if column.startswith(start) else f"{start}{column}"
