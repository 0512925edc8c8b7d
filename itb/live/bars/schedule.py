"""When a bar is final: one symbol's bars, asked for, checked, and delivered in order, each once; no input, no output.

The machine is told what happens (:meth:`BarSchedule.tick`, :meth:`hint`, :meth:`page`, :meth:`failed`), says what to
ask for and what came out of it, and never looks at a clock by itself: times are the exchange's, UTC milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itb.live.bars.bar import Bar, BarEvent, BarKind, EventKind
from itb.market.bars import OHLCV, utc

if TYPE_CHECKING:
    from itb.market.gaps import GapPolicy
    from itb.market.timeframe import Timeframe


@dataclass(frozen=True)
class BarRules:
    """When a bar counts as final, and what becomes of one that never comes; lengths are milliseconds.

    Parameters
    ----------
    timeframe
        Length of a bar.
    gaps
        What to do about a bar that never comes: ``flat`` puts one at the last close in its place, ``drop`` goes on
        without it, ``refuse`` delivers nothing more until it is there.
    delay_ms
        How long after its close a bar is read as final, unless the stream called it final with the same values.
    give_up_ms
        How long after its close a bar that no answer holds is taken as missing. Failed requests prove nothing.
    retry_ms, retry_most_ms
        First and longest pause before asking again; doubles. A bar that is awaited is asked for at least four times
        before it is given up.
    agree_ms
        How long stream and request may tell different bars before the request counts.
    page
        Most bars asked for at a time.
    recheck
        Delivered bars that every request reads again, to notice revisions.
    """

    timeframe: Timeframe
    gaps: GapPolicy = "flat"
    delay_ms: int = 1_000
    give_up_ms: int = 20_000
    retry_ms: int = 250
    retry_most_ms: int = 30_000
    agree_ms: int = 3_000
    page: int = 500
    recheck: int = 2

    def __post_init__(self) -> None:
        if self.gaps not in ("refuse", "flat", "drop"):
            raise ValueError(f'gaps must be "refuse", "flat" or "drop", was {self.gaps!r}')
        for name in ("delay_ms", "recheck"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, was {getattr(self, name)}")
        if not 0 < self.retry_ms <= self.retry_most_ms:
            raise ValueError(f"expected 0 < retry_ms <= retry_most_ms, were {self.retry_ms} and {self.retry_most_ms}")
        if self.give_up_ms < max(self.delay_ms, self.agree_ms):
            raise ValueError(f"give_up_ms must not be shorter than delay_ms and agree_ms, was {self.give_up_ms}")
        if self.page <= self.recheck + 1:
            raise ValueError(f"page must be more than recheck + 1 = {self.recheck + 1} bars, was {self.page}")


@dataclass(frozen=True, slots=True)
class BarRequest:
    """Bars to ask for: ``limit`` of them that open at or after ``since``; ``asked_at`` is when."""

    since: int
    limit: int
    asked_at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A timestamp that is settled: a bar, or nothing where one was left out (policy ``drop``)."""

    open_time: int
    bar: Bar | None
    kind: BarKind = "final"


@dataclass
class Outcome:
    """What came out of an answer: settled timestamps in order, and what there is to tell."""

    deliveries: list[Delivery] = field(default_factory=list)
    events: list[BarEvent] = field(default_factory=list)


class BarSchedule:
    """One symbol's bars from ``first`` (an open time) on.

    ``columns`` are those of the rows, OHLCV first. ``last`` is the bar before ``first``, which a flat one is made of.

    >>> from itb.market.timeframe import Timeframe
    >>> machine = BarSchedule("BTC/USDT", BarRules(Timeframe.parse("1m")), first=0)
    >>> machine.wake_at, machine.tick(30_000.0)
    (61000.0, None)
    >>> machine.tick(61_000.0)
    BarRequest(since=-120000, limit=5, asked_at=61000.0)
    >>> rows = [Bar(0, (1.0, 2.0, 1.0, 2.0, 5.0)), Bar(60_000, (2.0, 2.0, 2.0, 2.0, 0.1))]
    >>> [delivery.open_time for delivery in machine.page(rows, 61_100.0).deliveries], machine.wake_at
    ([0], 121000.0)
    """

    def __init__(
        self, symbol: str, rules: BarRules, first: int, columns: Sequence[str] = OHLCV, last: Bar | None = None
    ) -> None:
        if rules.timeframe.floor(first) != first:
            raise ValueError(f"first must be an open time of {rules.timeframe}, was {first}")
        self.symbol, self.rules, self.columns = symbol, rules, tuple(columns)
        self.next_time = first
        self._last = last
        self._said: dict[int, Bar | None] = {} if last is None else {last.open_time: last}
        self._given_up: set[int] = set()  # of those in _said
        self._streamed: dict[int, Bar] = {}
        self._asked: BarRequest | None = None
        self._ask_at = first + rules.timeframe.ms + float(rules.delay_ms)
        self._tries = 0  # without the awaited bar
        self._failures = 0
        self._is_out = False
        self._refused = False

    # -- told from outside

    @property
    def wake_at(self) -> float | None:
        """When :meth:`tick` has something to do; ``None`` while an answer is awaited."""
        return None if self._asked is not None else self._ask_at

    @property
    def is_refusing(self) -> bool:
        """Whether a bar is missing that may not be left out."""
        return self._refused

    @property
    def is_out(self) -> bool:
        """Whether the exchange does not answer."""
        return self._is_out

    def tick(self, now: float) -> BarRequest | None:
        """Give the request that is due, if one is."""
        if self._asked is not None or now < self._ask_at:
            return None
        frame, rules = self.rules.timeframe.ms, self.rules
        behind = int((now - self.next_time) // frame) + 1
        limit = min(rules.page, rules.recheck + behind + 1)  # and the running one
        self._asked = BarRequest(self.next_time - rules.recheck * frame, limit, now)
        return self._asked

    def hint(self, open_time: int, now: float, bar: Bar | None = None) -> None:
        """Hear from the stream that a bar has closed: ask at once. ``bar`` is what the stream calls final."""
        if open_time < self.next_time or self.rules.timeframe.floor(open_time) != open_time:
            return
        if bar is not None and not bar.fault(self.rules.timeframe):
            self._streamed[open_time] = bar
        if open_time == self.next_time and not self._is_out:
            self._ask_at = min(self._ask_at, max(now, float(open_time + self.rules.timeframe.ms)))

    def failed(self, now: float, why: str) -> Outcome:
        """Hear that a request failed: it proves nothing about bars, and is asked again after a pause."""
        outcome, self._asked = Outcome(), None
        if not self._is_out:
            self._is_out = True
            self._tell(outcome, "outage", self.next_time, now, why)
        self._failures += 1
        self._ask_at = now + self._pause(self._failures, self.rules.retry_most_ms)
        return outcome

    def page(self, rows: Sequence[Bar], now: float) -> Outcome:
        """Take an answer: rows in any order, running and repeated ones among them."""
        asked, self._asked = self._asked, None
        if asked is None:
            raise ValueError(f"{self.symbol}: an answer came that nobody waits for")
        outcome = Outcome()
        self._failures = 0
        if self._is_out:
            self._is_out, self._tries = False, 0
            self._tell(outcome, "recovered", self.next_time, now)
        found = self._read(rows, outcome, now)
        self._compare(found, asked, outcome, now)
        self._settle(found, asked, outcome, now)
        closed_before = asked.asked_at - self.rules.give_up_ms - self.rules.timeframe.ms
        old = [told.open_time for told in outcome.deliveries if told.bar and told.open_time < closed_before]
        if old:
            self._tell(outcome, "backfilled", old[0], now, f"{len(old)} bars")
        self._plan(found, outcome, now)
        return outcome

    # -- inside

    def _tell(self, outcome: Outcome, kind: EventKind, open_time: int, at: float, detail: str = "") -> None:
        outcome.events.append(BarEvent(kind, self.symbol, open_time, at, detail))

    def _pause(self, count: int, most: float) -> float:
        return min(most, self.rules.retry_ms * 2.0 ** min(count - 1, 20))

    def _read(self, rows: Sequence[Bar], outcome: Outcome, now: float) -> dict[int, Bar]:
        found: dict[int, Bar] = {}
        for row in rows:
            if fault := row.fault(self.rules.timeframe):
                self._tell(outcome, "nonsense", row.open_time, now, fault)
            elif row.open_time in found:
                same = "the same" if row.equals(found[row.open_time]) else "another one: the last counts"
                self._tell(outcome, "duplicate", row.open_time, now, same)
                found[row.open_time] = row
            else:
                found[row.open_time] = row
        return found

    def _is_final(self, row: Bar, asked: BarRequest) -> bool:
        """Whether a row was read late enough, or two witnesses agree on it."""
        closed = row.open_time + self.rules.timeframe.ms
        if closed > asked.asked_at:
            return False
        streamed = self._streamed.get(row.open_time)
        if streamed is not None:
            return row.equals(streamed) or asked.asked_at >= closed + self.rules.agree_ms
        return asked.asked_at >= closed + self.rules.delay_ms

    def _compare(self, found: dict[int, Bar], asked: BarRequest, outcome: Outcome, now: float) -> None:
        """Look at bars that were delivered or given up before."""
        for time in sorted(self._said):
            row, said = found.get(time), self._said[time]
            if row is None or not self._is_final(row, asked):
                continue
            if time in self._given_up:
                self._given_up.discard(time)
                self._tell(
                    outcome, "late", time, now, f"came {(now - time - self.rules.timeframe.ms) / 1000:.1f} s late"
                )
            elif said is not None and not row.equals(said):
                self._tell(outcome, "revised", time, now, _changes(said, row, self.columns))
            self._said[time] = row

    def _settle(self, found: dict[int, Bar], asked: BarRequest, outcome: Outcome, now: float) -> None:
        frame, newest = self.rules.timeframe.ms, max(found, default=asked.since - 1)
        while self.next_time + frame <= asked.asked_at:
            time = self.next_time
            row = found.get(time)
            if row is not None:
                if not self._is_final(row, asked):
                    return
                self._deliver(row, outcome, now)
                continue
            is_inside = time < newest
            # An empty end of a page that brought something may only be the end of the page.
            if not is_inside and outcome.deliveries:
                return
            if asked.asked_at < time + frame + self.rules.give_up_ms:
                return
            if not self._give_up(time, outcome, now):
                return

    def _deliver(self, row: Bar, outcome: Outcome, now: float) -> None:
        streamed = self._streamed.pop(row.open_time, None)
        if streamed is not None and not streamed.equals(row):
            self._tell(outcome, "disagreed", row.open_time, now, _changes(streamed, row, self.columns))
        if self._refused:
            self._refused = False
            self._tell(outcome, "late", row.open_time, now, "nothing was delivered while it was missing")
        outcome.deliveries.append(Delivery(row.open_time, row))
        self._move_on(row.open_time, row)

    def _give_up(self, time: int, outcome: Outcome, now: float) -> bool:
        """Treat a bar that never came; give whether to go on to the next."""
        if self.rules.gaps == "refuse":
            if not self._refused:
                self._refused = True
                self._tell(outcome, "refused", time, now, "not there, and data.gaps says refuse")
            return False
        self._streamed.pop(time, None)
        if self.rules.gaps == "flat" and self._last is not None:
            bar = self._last.flat_after(time, self.columns)
            outcome.deliveries.append(Delivery(time, bar, "flat"))
            self._tell(outcome, "flat", time, now, f"at {bar.close:g}, volume 0")
        else:
            bar = None
            outcome.deliveries.append(Delivery(time, None))
            self._tell(outcome, "missing", time, now, "left out")
        self._given_up.add(time)
        self._move_on(time, bar)
        return True

    def _move_on(self, time: int, bar: Bar | None) -> None:
        frame = self.rules.timeframe.ms
        self._said[time] = bar
        self._last = bar or self._last
        self.next_time = time + frame
        for old in [known for known in self._said if known < self.next_time - self.rules.recheck * frame]:
            del self._said[old]
            self._given_up.discard(old)

    def _plan(self, found: dict[int, Bar], outcome: Outcome, now: float) -> None:
        """Say when to ask next."""
        frame, rules = self.rules.timeframe.ms, self.rules
        if outcome.deliveries:
            self._tries = 0
        closed = self.next_time + frame
        if now < closed:
            self._ask_at = closed + float(rules.delay_ms)
            self._tries = 0
        elif outcome.deliveries:
            self._ask_at = max(now, self._earliest(closed))
        else:
            self._tries += 1
            # The bar is awaited: ask often enough to decide on it in time.
            most = max(self.rules.retry_ms, min(self.rules.retry_most_ms, self.rules.give_up_ms / 4))
            again = max(now + self._pause(self._tries, most), self._earliest(closed))
            # A bar that is awaited is given up in time, not when the pause happens to end.
            self._ask_at = min(again, closed + rules.give_up_ms) if now < closed + rules.give_up_ms else again
        if self.next_time in self._streamed and self.next_time not in found:
            self._ask_at = min(self._ask_at, max(now + rules.retry_ms, closed))

    def _earliest(self, closed: int) -> float:
        return closed if self.next_time in self._streamed else closed + float(self.rules.delay_ms)


def _changes(before: Bar, after: Bar, columns: Sequence[str]) -> str:
    pairs = zip(columns, before.values, after.values, strict=True)
    return ", ".join(f"{name} {was:g} -> {now:g}" for name, was, now in pairs if was != now) or utc(after.open_time)
