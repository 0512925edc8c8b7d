"""What was published of funding: settled rates, when the next ones are due, and whether an hour had none."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from itb.live.gateways.port import RateOutlook, Settlement

_HOUR_MS = 3_600_000
_ASKED_EVERY_MS = 10 * 60_000
_UNUSUAL_MS = 15 * 60_000  # no exchange takes so long to publish a rate that nobody expected


@dataclass
class _Symbol:
    times: list[int] = field(default_factory=list)
    settled: dict[int, Settlement] = field(default_factory=dict)
    asked_at: int = 0
    told: RateOutlook | None = None
    quiet: tuple[int, int] = (0, 0)  # in between, its exchange said beforehand, nothing is settled
    awaited: set[int] = field(default_factory=set)

    @property
    def usual(self) -> int:
        """The shortest distance between two settlements of late; an hour where nobody can say."""
        return min((after - before for before, after in pairwise(self.times[-10:])), default=_HOUR_MS)


class PublishedRates:
    """Settlements of perpetuals as they were published, told once and never changed.

    Nothing is taken for granted of the distance between settlements: a full hour without one is known to have none
    where a later one is published, where the exchange announced the next one for later, or where it was asked a
    quarter of an hour after and none was expected. Until then a rate may yet come.

    >>> rates, hour = PublishedRates(), 3_600_000
    >>> _ = rates.learn("BTC/USDT:USDT", [Settlement(8 * hour, Decimal("0.0001"))], 8 * hour + 60_000)
    >>> rates.due("BTC/USDT:USDT", 7 * hour, 8 * hour), rates.due("BTC/USDT:USDT", 8 * hour, 9 * hour)
    (Decimal('0.0001'), None)
    >>> rates.announce("BTC/USDT:USDT", RateOutlook(8 * hour + 60_000, Decimal(100), 16 * hour))
    >>> rates.due("BTC/USDT:USDT", 8 * hour, 9 * hour), rates.due("BTC/USDT:USDT", 15 * hour, 16 * hour)
    (Decimal('0'), None)
    """

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}

    def _of(self, symbol: str) -> _Symbol:
        return self._symbols.setdefault(symbol, _Symbol())

    def learn(self, symbol: str, settlements: Iterable[Settlement], asked_at: int) -> tuple[Settlement, ...]:
        """Take what the exchange had published when it was asked (its time); give what was not known."""
        one, new = self._of(symbol), []
        for settlement in settlements:
            if settlement.time not in one.settled:
                one.settled[settlement.time] = settlement
                insort(one.times, settlement.time)
                new.append(settlement)
        one.asked_at = max(one.asked_at, asked_at)
        one.awaited = {time for time in one.awaited if not one.times or time > one.times[-1]}
        return tuple(new)

    def announce(self, symbol: str, outlook: RateOutlook) -> None:
        """Take what the exchange says of the next settlement."""
        one = self._of(symbol)
        one.told = outlook
        one.awaited.add(outlook.next_at)
        since, until = one.quiet
        one.quiet = (since if until == outlook.next_at else outlook.time, outlook.next_at)

    def due(self, symbol: str, since: int, until: int) -> Decimal | None:
        """Give the rates settled after ``since``, up to ``until``, in sum; ``None`` where one may yet be published."""
        one = self._of(symbol)
        first = (since // _HOUR_MS + 1) * _HOUR_MS
        hours = range(first, until + 1, _HOUR_MS)
        if not all(hour in one.settled or self._is_empty(one, hour) for hour in hours):
            return None
        found = one.times[bisect_right(one.times, since) : bisect_right(one.times, until)]
        return sum((one.settled[time].rate for time in found), Decimal(0))

    @staticmethod
    def _is_empty(one: _Symbol, hour: int) -> bool:
        place = bisect_left(one.times, hour)
        if 0 < place < len(one.times):
            return True
        start, stop = one.quiet
        if start < hour < stop:
            return True
        is_expected = not place or one.times[-1] + one.usual <= hour
        return bool(one.times) and not is_expected and one.asked_at >= hour + _UNUSUAL_MS

    def settlement(self, symbol: str, time: int) -> Settlement | None:
        """Give the settlement of a time, if it is published."""
        return self._of(symbol).settled.get(time)

    def between(self, symbol: str, since: int, until: int) -> tuple[Settlement, ...]:
        """Give the settlements at or after a time and before another."""
        one = self._of(symbol)
        times = one.times[bisect_left(one.times, since) : bisect_left(one.times, until)]
        return tuple(one.settled[time] for time in times)

    def outlook(self, symbol: str) -> RateOutlook | None:
        """Give what the exchange said last, ``None`` before it was asked."""
        return self._of(symbol).told

    def newest(self, symbol: str) -> int | None:
        """Give the time of the newest settlement that is known."""
        times = self._of(symbol).times
        return times[-1] if times else None

    def is_awaited(self, symbol: str, now: int) -> bool:
        """Whether a settlement that was announced for a time that is past, by an hour at most, is not published yet."""
        return any(now - _HOUR_MS < time <= now for time in self._of(symbol).awaited)

    def is_stale(self, symbol: str, now: int) -> bool:
        """Whether the exchange should be asked for settlements again."""
        return self.is_awaited(symbol, now) or now - self._of(symbol).asked_at >= _ASKED_EVERY_MS
