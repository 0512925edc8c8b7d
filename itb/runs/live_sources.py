"""What is joined to the bars of a running bot: sources that grow, brought up to each decision and never beyond it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from itb.datafeeds.backoff import Backoff, Retrier, wanted_pause_s
from itb.datafeeds.settlements import SettlementStore, fill_settlements
from itb.datafeeds.sources import SourceRows
from itb.errors import GatewayError, ItbError
from itb.live.run.event_log import LATE_SOURCE, EventLog, Kind
from itb.market.bars import Bars, utc
from itb.market.timeframe import Timeframe
from itb.mlmodels.files import file_stamp
from itb.runs.sources import OpenSource, Series, open_sources, read_series, read_whole, series_of, source_file, timed

if TYPE_CHECKING:
    from itb.config.sources import SourceSection
    from itb.datafeeds.ccxt_history import CcxtHistory, Connection
    from itb.live.bars.barrier import Step
    from itb.live.run.health import HealthBoard
    from itb.runs.workspace import Workspace

_LOOK_S = 0.5
_ASKED_EVERY_S = 2.0  # for settlements that are late: each answer takes two requests
_HOUR_MS = 3_600_000
_FEW = 10
_ANY_FRAME = Timeframe(_HOUR_MS)  # every exchange has it; of settlements it says nothing


class Supply(Protocol):
    """Where what is stored of a source comes from while a bot runs."""

    def bring(self, series: Series, since_ms: int) -> None:
        """Bring the store up to what the exchange has; raise :class:`itb.errors.ItbError` where that fails."""


@dataclass
class FromExchange:
    """Bars, mark prices and funding by the code of `itb data download`, one connection for each series.

    While an exchange wants no requests none is sent to it. ``connection`` says how exchanges are reached, ``sleep`` and
    ``clock`` pass and tell seconds.
    """

    workspace: Workspace
    connection: Connection | None = None
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _histories: dict[Series, CcxtHistory] = field(default_factory=dict)
    _quiet_until: dict[str, float] = field(default_factory=dict)

    def bring(self, series: Series, since_ms: int) -> None:
        """Ask for what is missing since a time."""
        wait = self._quiet_until.get(series.exchange, -math.inf) - self.clock()
        if wait > 0:
            raise GatewayError(f"{series.exchange} wants no requests for {wait:.0f} s more")
        try:
            self._bring(series, since_ms)
        except GatewayError as error:
            self._quiet_until[series.exchange] = self.clock() + wanted_pause_s(error)
            raise

    def _bring(self, series: Series, since_ms: int) -> None:
        from itb.datafeeds.ccxt_history import open_history
        from itb.datafeeds.download import fill

        retrier, frame = Retrier(Backoff(tries=1), sleep=self.sleep), series.timeframe or _ANY_FRAME
        if series not in self._histories:
            self._histories[series] = open_history(
                series.exchange, series.symbol, frame, retrier=retrier, connection=self.connection, marks=series.marks
            )
        history, store = self._histories[series], self.workspace.store
        if series.timeframe is None:
            fill_settlements(SettlementStore(store), series.exchange, series.symbol, history, since_ms + 1)
        else:
            fill(store, history, since_ms=since_ms, retrier=retrier)


@dataclass
class _Grown:
    """One source beside the bars of one symbol, as it is now."""

    opened: OpenSource
    bar_ms: int
    series: Series | None = None
    stamp: object = None
    asked_until: int = -1  # of settlements: before it, every one that is published is there
    asked_at: float = -math.inf

    @property
    def last(self) -> int:
        """Time of its newest row, before all times if there is none."""
        times = self.opened.rows.times
        return int(times[-1]) if len(times) else -1

    def lacks(self, close: int) -> int | None:
        """Give the time of the newest row that a decision at a bar's close must know of, if it is not there.

        Events lie on no raster: nothing of theirs is awaited, but for a settlement of funding that is due by the usual
        distance, by the first decision that must know of it.
        """
        join = self.opened.join
        if join.timeframe is not None:
            due = join.timeframe.floor(close - join.delay_ms) - join.timeframe.ms
            return due if self.last < due else None
        known = self._due
        return known if known is not None and 0 <= close - join.delay_ms - known < self.bar_ms else None

    @property
    def _due(self) -> int | None:
        """When the next settlement is due by the usual distance; ``None`` where nobody can say."""
        times = self.opened.rows.times[-_FEW:]
        return None if self.series is None or len(times) < 2 else int(times[-1] + np.diff(times).min())

    def may_have_news(self, close: int) -> bool:
        """Whether the exchange may tell something that a decision at a bar's close must know of."""
        if self.opened.join.timeframe is not None:
            return self.lacks(close) is not None
        if time.monotonic() - self.asked_at < _ASKED_EVERY_S:
            return False
        until, due = close - self.opened.join.delay_ms, self._due
        return until // _HOUR_MS > self.asked_until // _HOUR_MS or (due is not None and due <= until)

    def grow(self, rows: SourceRows) -> None:
        """Put newer rows behind those that are there."""
        known, rows = self.opened.rows, timed(rows)
        start = int(np.searchsorted(rows.times, self.last, side="right"))
        if start < len(rows):
            columns = {
                name: np.concatenate((known.columns[name], rows.columns[name][start:])) for name in known.columns
            }
            joined = SourceRows(known.label, np.concatenate((known.times, rows.times[start:])), columns)
            self.opened = replace(self.opened, rows=joined)


class LiveSources:
    """The sources of every symbol; without any it does nothing.

    Stored bars are fetched by ``supply`` before each decision that needs them; without one (in a rehearsal, whose
    market is stored) nothing is fetched. Files are read again when they have changed. A decision waits for a row that
    it must know of as long as for a bar (``live.give_up``), then it is taken by ``gaps`` and ``max_age`` as in every
    run, and the event log says so.
    """

    def __init__(self, workspace: Workspace, supply: Supply | None = None) -> None:
        self.workspace, self._supply = workspace, supply
        self._wait_s = workspace.config.live.give_up.ms / 1000
        self._grown: dict[str, list[_Grown]] = {}
        self._board: HealthBoard | None = None
        self._log: EventLog | None = None

    def open(self, columns: Mapping[str, Iterable[str]]) -> None:
        """Read everything there is; ``columns`` are those of each symbol's bars.

        Raises :class:`itb.errors.ItbError` for a source that cannot be read.
        """
        config, frame = self.workspace.config, self.workspace.config.data.timeframe
        for symbol, names in columns.items() if config.sources else ():

            def read(section: SourceSection, symbol: str = symbol) -> tuple[SourceRows, Timeframe | None]:
                return read_whole(self.workspace, section, symbol)

            self._grown[symbol] = [
                _Grown(one, frame.ms, series_of(config, one.section, symbol), self._stamp(one.section, symbol))
                for one in open_sources(self.workspace, names, read)
            ]

    async def begin(self, bars: Mapping[str, Bars], board: HealthBoard, log: EventLog) -> None:
        """Read what there is and bring it up to the last bars of the histories."""
        self._board, self._log = board, log
        self.open({symbol: one.columns for symbol, one in bars.items()})
        for symbol, one in bars.items():
            await self._until(symbol, int(one.close_time[-1]), self._wait_s)

    def enrich(self, bars: Bars) -> Bars:
        """Give bars with the joined columns, as they are known at each close."""
        grown = self._grown.get(bars.symbol, ())
        found = {name: values for one in grown for name, values in one.opened.joined(bars.close_time).columns.items()}
        return bars.with_columns(**found) if found else bars

    async def bring(self, step: Step) -> None:
        """Bring everything up to a timestamp, before anybody decides on it."""
        frame = self.workspace.config.data.timeframe
        for symbol in step.bars:
            wait = 0.0 if step.is_late else self._wait_s
            for late in await self._until(symbol, step.open_time + frame.ms, wait):
                name, due = late.opened.section.name, utc(late.lacks(step.open_time + frame.ms) or 0)
                told = f"{name}: its row of {due} is not there, the newest is {utc(late.last)}"
                assert self._log is not None
                self._log.write(Kind.BAR, symbol=symbol, what=LATE_SOURCE, bar=step.open_time, detail=told)

    async def _until(self, symbol: str, close: int, wait_s: float) -> list[_Grown]:
        """Wait until all rows are there that a close must know of; give the sources that lack one still."""
        end = time.monotonic() + wait_s
        while True:
            for one in self._grown.get(symbol, ()):
                await asyncio.to_thread(self._refresh, one, symbol, close)
            lacking = [one for one in self._grown.get(symbol, ()) if one.lacks(close) is not None]
            if not lacking or time.monotonic() >= end or self._supply is None:
                return lacking
            await asyncio.sleep(_LOOK_S)

    def _refresh(self, one: _Grown, symbol: str, close: int) -> None:
        section, key = one.opened.section, f"source {one.opened.section.name} of {symbol}"
        stamp = self._stamp(section, symbol)
        try:
            if stamp is not None:
                if stamp != one.stamp:
                    one.grow(read_whole(self.workspace, section, symbol)[0])
                    one.stamp = stamp
            elif self._supply is not None and one.series is not None and one.may_have_news(close):
                one.asked_at = time.monotonic()
                self._supply.bring(one.series, one.last)
                one.grow(read_series(self.workspace, one.series, one.opened.rows.label, one.last))
                one.asked_until = close - one.opened.join.delay_ms
        except (ItbError, OSError) as error:
            if self._board is not None:
                self._board.trouble(key, f"{key}: {error}")
            return
        if self._board is not None:
            self._board.well(key)

    def _stamp(self, section: SourceSection, symbol: str) -> object:
        """See whether a source's file may have changed; ``None`` where it has none."""
        if section.file is None:
            return None
        try:
            return file_stamp(Path(source_file(self.workspace, section, symbol)))
        except OSError:
            return ()
