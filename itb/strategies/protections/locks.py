"""Locks: which entries the protections forbid, as a function of the trades that have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from itb.ledger.trades import Side, Trade
from itb.strategies.protections.protection import EntryProtection, Scope


class Lock(NamedTuple):
    """No entry of ``scope`` is decided at the close of a bar that opens in ``[from_ms, until_ms)`` (UTC milliseconds).

    ``from_ms`` is the open time of the bar in which the trade ended that caused it.
    """

    protection: str
    from_ms: int
    until_ms: int
    scope: Scope

    def holds(self, time_ms: int, symbol: str, side: Side) -> bool:
        """Whether it forbids an entry decided at the close of the bar that opens at ``time_ms``."""
        is_meant = self.scope.symbol in (None, symbol) and self.scope.side in (None, side)
        return is_meant and self.from_ms <= time_ms < self.until_ms


def locks(
    protections: Sequence[EntryProtection], closed: Sequence[Trade], bar_ms: int, first: int = 0
) -> Iterator[Lock]:
    """Give the locks that trades caused by ending, those before the ``first`` left out; ``closed`` is oldest first.

    Each protection is asked once for each trade, at its end, with what had ended by then. A later trade never lifts a
    lock.

    >>> from itb.strategies.protections import Cooldown
    >>> trade = Trade("BTC/USDT", "long", 1, 60, 3, 180, 1.0, 9.0, 8.0, 0.1, -1.1, -0.12, 2, "entry", "stop")
    >>> [(lock.from_ms, lock.until_ms) for lock in locks([Cooldown(5)], [trade], bar_ms=60)]
    [(180, 480)]
    """
    for place in range(first, len(closed)):
        ended = closed[place].exit_time
        for protection in protections:
            since = ended - protection.looks_back.length_ms(bar_ms)
            begin = place
            while begin and closed[begin - 1].exit_time > since:
                begin -= 1
            scope = protection.triggers(closed[begin : place + 1])
            if scope is not None:
                yield Lock(protection.name, ended, ended + protection.stops_for.length_ms(bar_ms), scope)


class Gate:
    """The locks of one history as it grows: each trade is looked at once.

    It remembers nothing that the history does not say: a gate made anew knows the same.
    """

    def __init__(self, protections: Sequence[EntryProtection], bar_ms: int) -> None:
        self.protections = tuple(protections)
        self.bar_ms = bar_ms
        self._seen = 0
        self._standing: list[Lock] = []

    def forbids(
        self, closed: Sequence[Trade], time_ms: int, symbol: str, side: Side, *, is_reversal: bool = False
    ) -> str:
        """Name the first protection that forbids an entry decided at the bar that opens at ``time_ms``; else empty."""
        for protection in self.protections if is_reversal else ():
            if protection.refuses_reversal:
                return protection.name
        if len(closed) != self._seen:
            self._look(closed)
        found = (lock.protection for lock in self._standing if lock.holds(time_ms, symbol, side))
        return next(found, "")

    def _look(self, closed: Sequence[Trade]) -> None:
        first = self._seen if self._seen < len(closed) else 0
        standing = [*(self._standing if first else ()), *locks(self.protections, closed, self.bar_ms, first)]
        now = closed[-1].exit_time if closed else 0
        self._standing = [lock for lock in standing if lock.until_ms > now]
        self._seen = len(closed)
