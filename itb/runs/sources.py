"""From `[[sources]]` to columns of the bars: read each source, join it, keep what it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.config import parts
from itb.datafeeds.sources import Join, Joined, SourceRows
from itb.errors import BarsError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.config import Config
    from itb.config.sources import SourceSection
    from itb.market.bars import Bars
    from itb.market.timeframe import Timeframe
    from itb.runs.workspace import Workspace

_TIME = "time"  # the row's own time as a column, UTC milliseconds


def join_sources(workspace: Workspace, bars: Bars) -> tuple[Bars, tuple[Joined, ...]]:
    """Give the bars with the columns of every configured source, and the sources as they were joined.

    Nothing of a source that lies after the last bar's close is read. Raises :class:`itb.errors.ConfigError` for a
    column that is not there or would stand twice, :class:`itb.errors.BarsError` for a source that cannot be read.
    """
    joined: list[Joined] = []
    taken = dict.fromkeys(bars.columns, "the bars")
    sources = workspace.config.sources
    for number, source in enumerate(sources):
        workspace.report(number, len(sources), f"joining {source.name}")
        rows, frame = read_source(workspace, source, bars)
        if _TIME not in rows.columns:
            rows = SourceRows(rows.label, rows.times, {**rows.columns, _TIME: rows.times.astype(np.float64)})
        names = _names(workspace, number, source, rows)
        for name in names:
            if name in taken:
                told = f"column {name} is there already, from {taken[name]}; choose another prefix or leave it out"
                raise ConfigError(workspace.config.complaint(("sources", number, "prefix"), told))
            taken[name] = f"source {source.name}"
        join = Join(frame, source.delay_ms, source.gaps, source.max_age_ms)
        joined.append(Joined(source.name, rows, join, names, bars.close_time))
        workspace.report(number + 1, len(sources), f"joining {source.name}")
    extras = {name: values for one in joined for name, values in one.columns.items()}
    return (bars.with_columns(**extras) if extras else bars), tuple(joined)


def read_source(workspace: Workspace, source: SourceSection, bars: Bars) -> tuple[SourceRows, Timeframe | None]:
    """Read the rows of a source that were complete at the last bar's close, and its timeframe (``None``: events)."""
    from itb.datafeeds.tables import read_table

    stop_ms = int(bars.close_time[-1])
    label = f"source {source.name}"
    if source.kind == "table":
        rows, frame = read_table(_file(workspace, source, bars.symbol), label), source.timeframe
    else:
        try:
            found = _bars(workspace, source, bars, stop_ms)
        except BarsError as error:
            raise BarsError(f"{label}: {error}") from None
        rows, frame = SourceRows.of_bars(f"{label} ({found.label})", found), found.timeframe
    return rows.until(stop_ms - (0 if frame is None else frame.ms)), frame


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


def _bars(workspace: Workspace, source: SourceSection, bars: Bars, stop_ms: int) -> Bars:
    config = workspace.config
    symbol = source.symbol or bars.symbol
    if source.file is not None:
        from itb.datafeeds.importers import read_file

        return read_file(_file(workspace, source, bars.symbol), symbol, source.timeframe)
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


def _file(workspace: Workspace, source: SourceSection, symbol: str) -> Path:
    assert source.file is not None
    return workspace.config.locate_for(symbol, source.file)


def _names(workspace: Workspace, number: int, source: SourceSection, rows: SourceRows) -> Mapping[str, str]:
    """Lead from each joined column's name to the source's own column."""
    picked = source.columns
    offered = [name for name in rows.columns if name != _TIME or source.time == "event"]
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
