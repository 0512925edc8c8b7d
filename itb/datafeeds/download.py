"""Download past bars into the store: only what is missing, in batches, so that stopping at any moment costs little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from itb.datafeeds.backoff import Retrier
from itb.datafeeds.ccxt_history import Connection, open_history
from itb.datafeeds.coverage import Span, merged
from itb.datafeeds.page import Page
from itb.datafeeds.paging import HistorySource, Pager
from itb.datafeeds.store import BarStore
from itb.datafeeds.stretch import Stretch
from itb.errors import ConfigError, GatewayError
from itb.market.bars import utc
from itb.market.timeframe import Timeframe

Progress = Callable[[int, int, str], None]

OVERLAP = 5


@dataclass(frozen=True)
class Downloaded:
    """What a download did.

    ``bars`` are new in the store, ``revised`` were there with other numbers and took the exchange's, ``refused`` counts
    rows that were nonsense each time they were asked for and ``refusal`` is the first reason. ``first_ms`` and
    ``last_ms`` (open times), ``stored`` and ``missing`` describe the stretch ``[since_ms, until_ms)`` as it is in the
    store now; ``missing`` counts between the first bar and the last.
    """

    exchange: str
    symbol: str
    timeframe: Timeframe
    since_ms: int
    until_ms: int
    bars: int = 0
    revised: int = 0
    refused: int = 0
    refusal: str = ""
    first_ms: int | None = None
    last_ms: int | None = None
    stored: int = 0
    missing: int = 0
    requests: int = 0
    retries: int = 0

    @property
    def summary(self) -> str:
        """One line for people.

        >>> hour = Timeframe.parse("1h")
        >>> stored = {"stored": 2, "first_ms": 0, "last_ms": 3_600_000}
        >>> Downloaded("kraken", "BTC/USD", hour, 0, 7_200_000, bars=2, **stored).summary
        'kraken BTC/USD 1h: 2 new bars, 2 stored from 1970-01-01 00:00 UTC to 1970-01-01 01:00 UTC'
        """
        label = f"{self.exchange} {self.symbol} {self.timeframe}"
        if self.first_ms is None or self.last_ms is None:
            return f"{label}: no bars between {utc(self.since_ms)} and {utc(self.until_ms)}"
        parts = [
            f"{label}: {self.bars:,} new bars, {self.stored:,} stored from {utc(self.first_ms)} to {utc(self.last_ms)}"
        ]
        if self.revised:
            parts.append(f"{self.revised:,} revised by the exchange")
        if self.refused:
            parts.append(f"{self.refused:,} rows refused ({self.refusal})")
        if self.missing:
            parts.append(f"{self.missing:,} missing (run with --repair to ask for them again)")
        return ", ".join(parts)


class DownloadStopped(KeyboardInterrupt):
    """Ctrl-C during a download; everything that had arrived is in the store."""


def download(
    store: BarStore,
    exchange: str,
    symbol: str,
    timeframe: Timeframe,
    *,
    since_ms: int,
    until_ms: int | None = None,
    repair: bool = False,
    progress: Progress | None = None,
    connection: Connection | None = None,
    retrier: Retrier | None = None,
    batch_pages: int = 20,
    marks: bool = False,
) -> Downloaded:
    """Bring the store's bars of ``[since_ms, until_ms)`` up to what the exchange has (UTC milliseconds).

    Only stretches that are neither stored nor known to be empty are asked for; the last five stored bars are read again
    and overwritten where the exchange has changed them. The running bar, by the exchange's clock, is never stored.
    With ``repair`` the gaps that the exchange left before are asked for once more. With ``marks`` bars of mark prices
    are fetched, and stored under ``<exchange>-mark``.

    Bars go to the store every ``batch_pages`` pages; a stop at any moment loses at most the batch in flight, and the
    same call goes on from there. Raises :class:`DownloadStopped` on Ctrl-C, :class:`GatewayError` when the exchange
    refuses or stays unreachable, :class:`ConfigError` for settings that cannot be right. ``progress`` is called with
    milliseconds of history done, in total, and what they are of.
    """
    retrier = retrier or Retrier()
    if until_ms is not None and since_ms >= until_ms:
        raise ConfigError(f"{symbol} {timeframe}: since {utc(since_ms)} is not before until {utc(until_ms)}")
    source = open_history(exchange, symbol, timeframe, retrier=retrier, connection=connection, marks=marks)
    return fill(
        store,
        source,
        since_ms=since_ms,
        until_ms=until_ms,
        repair=repair,
        progress=progress,
        retrier=retrier,
        batch_pages=batch_pages,
    )


def fill(
    store: BarStore,
    source: HistorySource,
    *,
    since_ms: int,
    until_ms: int | None = None,
    repair: bool = False,
    progress: Progress | None = None,
    retrier: Retrier | None = None,
    batch_pages: int = 20,
) -> Downloaded:
    """Do what :func:`download` does, from any :class:`HistorySource`."""
    frame = source.timeframe
    now = source.now()
    since = frame.floor(since_ms + frame.ms - 1)
    stop = frame.floor(now if until_ms is None else min(now, until_ms))
    if since >= stop:
        raise ConfigError(
            f"{source.symbol} {frame}: no bar opened at or after {utc(since_ms)} and closed by {utc(stop)}; "
            "choose an earlier since"
        )
    stretch = Stretch(store, source.exchange, source.symbol, frame, since, stop)
    filling = _Filling(stretch, source, retrier or Retrier())
    try:
        filling.run(repair=repair, batch_pages=batch_pages, progress=progress)
    except KeyboardInterrupt:
        filling.flush()
        raise DownloadStopped(f"stopped; {stretch.added:,} bars stored; run again to resume") from None
    except GatewayError as error:
        filling.flush()
        raise GatewayError(f"{error}; {stretch.added:,} bars stored; run again to resume") from error
    result = filling.result()
    if result.refused and not result.stored:
        raise GatewayError(f"{source.exchange} {source.symbol} {frame}: every row was refused, first: {result.refusal}")
    return result


class _Filling:
    """One run of :func:`fill`: what came and waits to be written."""

    def __init__(self, stretch: Stretch, source: HistorySource, retrier: Retrier) -> None:
        self._stretch = stretch
        self._source = source
        self._retrier = retrier
        self._pager = Pager(source, retrier)
        self._batch: list[Page] = []
        self._answered: list[Span] = []

    def run(self, *, repair: bool, batch_pages: int, progress: Progress | None) -> None:
        spans = self._stretch.to_ask(again=repair, overlap=OVERLAP)
        total = sum(stop - start for start, stop in merged(spans))
        done = reached = 0
        for start, stop in spans:
            done += max(0, min(reached, stop) - start)
            reached = max(start, reached)
            while reached < stop:
                before, reached = reached, self._ask(reached)
                done += min(reached, stop) - before
                if progress:
                    progress(done, total, self._stretch.label)
                if len(self._batch) >= batch_pages:
                    self.flush()
        self.flush()

    def _ask(self, at: int) -> int:
        """Ask for one page and say from where to ask on.

        A page may reach beyond a gap into bars that are stored: they tell that the gap is real.
        """
        stop = self._stretch.stop_ms
        page = self._pager.page(at, stop)
        if len(page):
            next_at = int(page.open_time[-1]) + self._source.timeframe.ms
            self._batch.append(page)
        else:
            next_at = self._pager.after_silence(at, stop)
        if len(page) or next_at < stop:
            self._answered.append((at, next_at))
        return next_at

    def flush(self) -> None:
        """Write the batch; the bars first and what was asked after them."""
        if self._batch:
            times = np.concatenate([page.open_time for page in self._batch])
            page = Page(times, np.concatenate([page.ohlcv for page in self._batch]))
            self._stretch.write(page.bars(self._source.symbol, self._source.timeframe))
            self._batch = []
        if self._answered:
            for span in self._answered:
                self._stretch.coverage.add(*span)
            self._stretch.coverage.save()
            self._answered = []

    def result(self) -> Downloaded:
        stretch = self._stretch
        return Downloaded(
            stretch.exchange,
            stretch.symbol,
            stretch.timeframe,
            since_ms=stretch.since_ms,
            until_ms=stretch.stop_ms,
            bars=stretch.added,
            revised=stretch.revised,
            refused=self._pager.refused,
            refusal=self._pager.refusal,
            **stretch.content()._asdict(),
            requests=self._retrier.requests,
            retries=self._retrier.retries,
        )
