"""Small markets written by hand, and exchanges that serve them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest

from itb.live.practice.exchange import Exchange
from itb.live.practice.faults import FaultPlan, Faults
from itb.live.practice.server import Server, serving
from itb.live.practice.settlement import Terms
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue
from itb.market.bars import Bars
from itb.market.instrument import Instrument

MINUTE = 60_000
START = 1_704_067_200_000
Rows = list[tuple[float, float, float, float, float]]


def bars_of(rows: Rows, symbol: str = "BTC/USDT") -> Bars:
    """Minute bars of (open, high, low, close, volume); the first closes at START, where the replay begins."""
    columns = dict(zip(("open", "high", "low", "close", "volume"), map(list, zip(*rows, strict=True)), strict=True))
    return Bars.of(symbol, "1m", [START + (i - 1) * MINUTE for i in range(len(rows))], **columns)


def venue_of(
    rows: Rows, terms: Terms | None = None, balances: dict[str, Decimal] | None = None, *others: Bars
) -> Venue:
    """A venue of BTC/USDT on these bars, and of other markets."""
    markets = [bars_of(rows), *others]
    tapes = [Tape(bars, Instrument(bars.symbol), START) for bars in markets]
    money = {"USDT": Decimal(100_000), "BTC": Decimal(10)} if balances is None else balances
    return Venue(tapes, money, terms or Terms(), start_ms=START)


FLAT: Rows = [(100.0, 101.0, 99.0, 100.0, 8.0)] * 400


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Serve bars at a speed, with faults; stops with the test."""
    with ExitStack() as stack:

        def start(rows: Rows = FLAT, *others: Bars, **more: Any) -> Server:
            speed, plan, seed = more.pop("speed", "lockstep"), more.pop("faults", ""), more.pop("seed", 0)
            hold_s, terms = more.pop("hold_s", 60.0), more.pop("terms", None)
            venue = venue_of(rows, terms, more.pop("balances", None), *others)
            stop = max(int(tape.bars.close_time[-1]) for tape in venue.tapes.values())
            faults = Faults(FaultPlan.parse(plan), seed)
            return stack.enter_context(
                serving(Exchange(venue, speed=speed, stop_ms=stop, faults=faults, **more), hold_s=hold_s)
            )

        yield start
