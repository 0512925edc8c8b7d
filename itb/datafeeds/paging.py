"""Walking through history page by page: an odd answer is believed only when it is given again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from itb.datafeeds.backoff import Retrier
from itb.datafeeds.page import Page, Row, read_page
from itb.market.timeframe import Timeframe

ASKS = 6


class HistorySource(Protocol):
    """Where pages of past bars come from; :class:`itb.datafeeds.ccxt_history.CcxtHistory` is the one for exchanges.

    ``limit`` is how many bars one answer may hold; ``coarsest`` is a coarser timeframe on which a long silence is
    crossed in a few requests, or ``None``.
    """

    exchange: str
    symbol: str
    timeframe: Timeframe
    limit: int

    @property
    def coarsest(self) -> Timeframe | None: ...

    def now(self) -> int:
        """Read the exchange's clock, UTC milliseconds."""

    def rows(self, since_ms: int, limit: int, timeframe: Timeframe | None = None) -> list[Row]:
        """Ask for at most ``limit`` bars from ``since_ms`` on; raises :class:`itb.errors.GatewayError`."""


class Pager:
    """Pages of one source, each checked by :func:`itb.datafeeds.page.read_page`.

    A page is believed at once when nothing in it was refused and it begins with the bar that was asked for. One that
    begins later must be given twice; one that is empty or has refused rows, three times in a row, for it may be a
    hiccup. After six answers that do not agree the fullest counts. ``refused`` counts the rows that stayed refused,
    ``refusal`` is the first reason.
    """

    def __init__(self, source: HistorySource, retrier: Retrier) -> None:
        self.source = source
        self.refused = 0
        self.refusal = ""
        self._retrier = retrier

    def page(self, since_ms: int, stop_ms: int, timeframe: Timeframe | None = None) -> Page:
        """Give the bars from ``since_ms`` on, at most one page and none at or after ``stop_ms``."""
        frame = timeframe or self.source.timeframe
        limit = max(1, min(self.source.limit, (stop_ms - since_ms) // frame.ms))
        answers: list[Page] = []
        while len(answers) < ASKS:
            answer = read_page(self.source.rows(since_ms, limit, frame), frame, since_ms, stop_ms)
            answers.append(answer)
            is_odd = bool(answer.bad) or not len(answer)
            if not is_odd and answer.open_time[0] == since_ms:
                return answer
            if _agree(answers, 3 if is_odd else 2):
                break
            if is_odd and len(answers) < ASKS:
                self._retrier.pause(len(answers))
        best = max(reversed(answers), key=len)
        if best.bad:
            self.refused += len(best.bad)
            self.refusal = self.refusal or best.bad[0]
        return best

    def after_silence(self, since_ms: int, stop_ms: int) -> int:
        """Say from where to ask on, after a page from ``since_ms`` came empty; always later than ``since_ms``.

        Days without a single bar (before a listing, during a long halt) are crossed on daily bars where the exchange
        has them, 1,000 days in a request; otherwise page by page, so that nothing between is missed.
        """
        frame = self.source.timeframe
        next_page = since_ms + self.source.limit * frame.ms
        coarse = self.source.coarsest
        if coarse is None or next_page >= stop_ms:
            return min(next_page, stop_ms)
        at = coarse.floor(next_page)
        while at < stop_ms:
            days = self.page(at, stop_ms, coarse)
            if len(days):
                return min(stop_ms, max(next_page, int(days.open_time[0])))
            at += self.source.limit * coarse.ms
        return stop_ms


def _agree(answers: Sequence[Page], witnesses: int) -> bool:
    latest = answers[-witnesses:]
    return len(latest) == witnesses and all(answer.agrees_with(latest[0]) for answer in latest)
