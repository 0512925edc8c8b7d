"""What holding a perpetual cost a bot, beside what the backtest of its bars pays, and why they differ."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from itb.market.bars import utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.laws.lived_days import Day
    from itb.market.fills import Fill

_NEAR = 1e-6


@dataclass(frozen=True)
class Settled:
    """One settlement: what the bot paid and what the backtest pays (received: below 0, in quote), ``None`` for none."""

    open_time: int
    lived: float | None
    backtest: float | None
    cause: str = ""

    @property
    def is_same(self) -> bool:
        """Whether both paid the same."""
        return not self.cause


@dataclass(frozen=True)
class Told:
    """What an exchange told of a settlement; ``mark`` is NaN where it did not."""

    rate: float
    mark: float


def fundings_beside(
    day: Day, backtest: Sequence[Fill], *, has_rates: bool, told: Mapping[int, Told] | None = None
) -> list[Settled]:
    """Put both sides' payments beside each other, oldest first; ``has_rates``: whether the backtest knows of any.

    ``told`` is what the exchange told of the settlements, by the open of the bar at which they are charged.
    """
    theirs: Mapping[int, float] = dict(_summed(day.lived.fundings.get(day.name, ())))
    ours = dict(_summed([(fill.open_time, fill.fee_quote) for fill in backtest if fill.reason == "funding"]))
    known = told or {}
    return [
        _settled(day, backtest, time, theirs.get(time), ours.get(time), has_rates=has_rates, told=known.get(time))
        for time in sorted(theirs.keys() | ours.keys())
    ]


def _summed(paid: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(time, sum(one for at, one in paid if at == time)) for time in dict.fromkeys(time for time, _ in paid)]


def _settled(
    day: Day,
    backtest: Sequence[Fill],
    time: int,
    lived: float | None,
    tested: float | None,
    *,
    has_rates: bool,
    told: Told | None,
) -> Settled:
    held = sum(one.qty for one in day.lived.fills.get(day.name, ()) if one.open_time < time)
    tests = sum(fill.qty for fill in backtest if fill.open_time < time)
    if lived is not None and tested is not None and abs(lived - tested) <= _NEAR * max(abs(tested), 1.0):
        return Settled(time, lived, tested)
    if abs(held - tests) > _NEAR * max(abs(held), abs(tests)):
        cause = f"another position: the bot held {held:.10g}, the backtest {tests:.10g}"
    elif lived is None:
        cause = "it is in no journal: the exchange settled nothing then, or the bot has not heard of it yet"
    elif tested is None:
        cause = f"backtest.funding has no rate at {utc(time)}" if has_rates else "backtest.funding is not set"
    elif told is None or isnan(told.mark):
        cause = "the exchange's own rate and mark price instead of backtest.funding at the bar's open"
    else:
        price = float(day.bars.open[day.bars.open_time.searchsorted(time)])
        cause = _why_apart(told, held, lived, tested / (tests * price), price)
    return Settled(time, lived, tested, cause)


def _why_apart(told: Told, held: float, lived: float, rate: float, price: float) -> str:
    """Say which of rate and price makes two payments differ for one position."""
    expected = held * told.rate * told.mark
    if abs(lived - expected) > _NEAR * max(abs(expected), 1.0):
        terms = f"its rate {told.rate:.10g} and mark price {told.mark:.10g}"
        return f"the exchange's own books: {terms} make {expected:.10g}, it booked {lived:.10g}"
    if abs(told.rate - rate) > _NEAR * abs(rate):
        return f"another rate: {told.rate:.10g} by the exchange instead of {rate:.10g}"
    return f"the exchange's mark price: {told.mark:.10g} instead of {price:.10g}, the bar's open"
