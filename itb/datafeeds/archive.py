"""Download bars from an exchange's public archive of monthly and daily files: years in minutes instead of hours."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from itb.datafeeds.archive_files import ArchiveClient
from itb.datafeeds.archive_layout import BinanceLayout, Period, layout_of, periods
from itb.datafeeds.backoff import Retrier
from itb.datafeeds.coverage import Span, holes
from itb.datafeeds.download import DownloadStopped, Progress
from itb.datafeeds.importers import read_bars
from itb.datafeeds.store import BarStore
from itb.datafeeds.stretch import Stretch
from itb.errors import BarsError, ConfigError, GatewayError
from itb.market.bars import Bars, utc
from itb.market.instrument import canonical_symbol
from itb.market.timeframe import Timeframe

_LATE_MS = 62 * 86_400_000  # a month's file may come weeks after the month; its days are there before


@dataclass(frozen=True)
class Archived:
    """What an archive download did.

    ``files`` were imported, ``skipped`` months and days were complete in the store before, ``absent`` names those of
    which the archive has no file (before the listing, or not published yet). ``bars`` are new in the store,
    ``revised`` were there with other numbers. ``first_ms``, ``last_ms``, ``stored`` and ``missing`` describe
    ``[since_ms, until_ms)`` as it is in the store now.
    """

    exchange: str
    symbol: str
    timeframe: Timeframe
    since_ms: int
    until_ms: int
    files: int = 0
    skipped: int = 0
    absent: tuple[str, ...] = ()
    bars: int = 0
    revised: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    stored: int = 0
    missing: int = 0
    requests: int = 0
    retries: int = 0

    @property
    def summary(self) -> str:
        """One line for people."""
        label = f"{self.exchange} {self.symbol} {self.timeframe}"
        if self.first_ms is None or self.last_ms is None:
            return f"{label}: the archive has no bars between {utc(self.since_ms)} and {utc(self.until_ms)}"
        parts = [
            f"{label}: {self.bars:,} new bars from {self.files} files",
            f"{self.stored:,} stored from {utc(self.first_ms)} to {utc(self.last_ms)}",
        ]
        if self.revised:
            parts.append(f"{self.revised:,} revised")
        if self.missing:
            parts.append(f"{self.missing:,} missing")
        if self.absent:
            span = self.absent[0] if len(self.absent) == 1 else f"{self.absent[0]} to {self.absent[-1]}"
            parts.append(f"{len(self.absent)} files are not in the archive ({span})")
        return ", ".join(parts)


class _Job(NamedTuple):
    """A period to fetch, and the days to fetch instead if a month's file is not out yet."""

    period: Period
    days: tuple[Period, ...]


class _Arrived(NamedTuple):
    parts: tuple[tuple[Period, Bars], ...]
    absent: tuple[str, ...]


def download_archive(
    store: BarStore,
    exchange: str,
    symbol: str,
    timeframe: Timeframe,
    *,
    since_ms: int,
    until_ms: int | None = None,
    base_url: str | None = None,
    workers: int = 3,
    timeout_s: float = 30.0,
    progress: Progress | None = None,
    retrier: Retrier | None = None,
    now_ms: int | None = None,
) -> Archived:
    """Bring the store's bars of ``[since_ms, until_ms)`` up to what the exchange's archive has (UTC milliseconds).

    Whole months come from monthly files, the current month and months whose file is not out yet from daily files; the
    newest day is usually out the day after. Every file's SHA-256 is compared before a bar of it is stored. Months and
    days that are complete in the store, or were imported before, are skipped, so the same call goes on after a stop.
    At most ``workers`` files are fetched at a time; files are stored in order of time.

    Raises :class:`ConfigError` when the exchange has no known archive, :class:`GatewayError` when the archive has
    nothing at all of this symbol, a checksum is wrong twice, or the archive stays unreachable, and
    :class:`itb.datafeeds.download.DownloadStopped` on Ctrl-C.
    """
    if not 1 <= workers <= 16:
        raise ConfigError(f"workers must lie between 1 and 16, was {workers}")
    now = now_ms if now_ms is not None else time.time_ns() // 1_000_000
    since = timeframe.floor(since_ms + timeframe.ms - 1)
    stop = timeframe.floor(now if until_ms is None else min(now, until_ms))
    if since >= stop:
        raise ConfigError(f"{symbol} {timeframe}: since {utc(since_ms)} is not before {utc(stop)}")
    try:
        name = canonical_symbol(symbol)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    stretch = Stretch(store, exchange.strip().lower(), name, timeframe, since, stop)
    stopping = threading.Event()
    retrier = retrier or Retrier(sleep=stopping.wait)
    run = _Run(stretch, now)
    with tempfile.TemporaryDirectory(prefix="itb-archive-") as folder:
        client = ArchiveClient(retrier, workers=workers, timeout_s=timeout_s, stop=stopping)
        fetcher = _Fetcher(client, layout_of(exchange, base_url), name, timeframe, Path(folder))
        with ThreadPoolExecutor(workers, thread_name_prefix="itb-archive") as executor:
            try:
                run.import_all(fetcher, executor, workers, progress)
            except KeyboardInterrupt:
                raise DownloadStopped(f"stopped; {stretch.added:,} bars stored; run again to resume") from None
            except (GatewayError, BarsError) as error:
                raise type(error)(f"{error}; {stretch.added:,} bars stored; run again to resume") from error
            finally:
                stopping.set()
                executor.shutdown(wait=False, cancel_futures=True)
    return run.result(retrier)


@dataclass(frozen=True)
class _Fetcher:
    """Turns a job into bars; runs in worker threads."""

    client: ArchiveClient
    layout: BinanceLayout
    symbol: str
    timeframe: Timeframe
    folder: Path

    def __call__(self, job: _Job) -> _Arrived:
        bars = self._bars(job.period)
        if bars is not None:
            return _Arrived(((job.period, bars),), ())
        parts = [(day, self._bars(day)) for day in job.days]
        found = tuple((day, bars) for day, bars in parts if bars is not None)
        if not found:
            return _Arrived((), (job.period.name,))
        return _Arrived(found, tuple(day.name for day, bars in parts if bars is None))

    def _bars(self, period: Period) -> Bars | None:
        url = self.layout.url(self.symbol, self.timeframe, period)
        path = self.client.verified(url, self.folder)
        if path is None:
            return None
        try:
            bars = read_bars(Path(path.name), self.symbol, self.timeframe, content=path.read_bytes()).bars
        except BarsError as error:
            raise GatewayError(f"{url}: {error}") from error
        finally:
            path.unlink()
        if len(bars.between(period.start_ms, period.stop_ms)) < len(bars):
            raise GatewayError(f"{url}: it holds bars that are not of {period.name}; nothing of it was stored")
        return bars


class _Run:
    """One run of :func:`download_archive`: what is left to import, and what was."""

    def __init__(self, stretch: Stretch, now_ms: int) -> None:
        self._stretch = stretch
        self._now_ms = now_ms
        self._files = 0
        self._skipped = 0
        self._absent: list[str] = []

    def import_all(
        self, fetch: _Fetcher, executor: ThreadPoolExecutor, workers: int, progress: Progress | None
    ) -> None:
        todo = deque(self._todo())
        total = sum(job.period.stop_ms - job.period.start_ms for job in todo)
        done = 0
        coming: deque[tuple[Period, Future[_Arrived]]] = deque()
        while todo or coming:
            while todo and len(coming) < 2 * workers:
                job = todo.popleft()
                coming.append((job.period, executor.submit(fetch, job)))
            period, future = coming.popleft()
            self._keep(future.result())
            done += period.stop_ms - period.start_ms
            if progress:
                progress(done, total, f"{self._stretch.label} {period.name}")
        if self._absent and not self._files and not self._skipped:
            raise GatewayError(
                f"the archive has nothing of {self._stretch.label} from {self._absent[0]} to {self._absent[-1]}; "
                "check the symbol, or choose a later since"
            )

    def _todo(self) -> Iterator[_Job]:
        times = self._stretch.times()
        today = next(periods("day", self._now_ms, self._now_ms + 1)).start_ms

        def is_needed(period: Period) -> bool:
            start, stop = self._within(period)
            is_held = self._stretch.coverage.holds(start, stop)
            return not is_held and bool(holes(times, self._stretch.timeframe, start, stop))

        for month in periods("month", self._stretch.since_ms, self._stretch.stop_ms):
            days = [day for day in month.days() if day.stop_ms <= today and self._is_asked(day)]
            units = [month] if month.stop_ms <= today else days
            needed = [unit for unit in units if is_needed(unit)]
            self._skipped += len(units) - len(needed)
            instead = [day for day in days if is_needed(day)] if month.stop_ms > today - _LATE_MS else []
            yield from (_Job(unit, tuple(instead) if unit is month else ()) for unit in needed)

    def _is_asked(self, period: Period) -> bool:
        start, stop = self._within(period)
        return start < stop

    def _within(self, period: Period) -> Span:
        """Give the bars of a period that were asked for."""
        frame = self._stretch.timeframe
        start, stop = (frame.floor(edge + frame.ms - 1) for edge in (period.start_ms, period.stop_ms))
        return max(start, self._stretch.since_ms), min(stop, self._stretch.stop_ms)

    def _keep(self, arrived: _Arrived) -> None:
        for period, bars in arrived.parts:
            self._stretch.write(bars)
            self._stretch.coverage.add(*self._within(period))
        if arrived.parts:
            self._stretch.coverage.save()
        self._files += len(arrived.parts)
        self._absent.extend(arrived.absent)

    def result(self, retrier: Retrier) -> Archived:
        stretch = self._stretch
        return Archived(
            stretch.exchange,
            stretch.symbol,
            stretch.timeframe,
            since_ms=stretch.since_ms,
            until_ms=stretch.stop_ms,
            files=self._files,
            skipped=self._skipped,
            absent=tuple(self._absent),
            bars=stretch.added,
            revised=stretch.revised,
            **stretch.content()._asdict(),
            requests=retrier.requests,
            retries=retrier.retries,
        )
