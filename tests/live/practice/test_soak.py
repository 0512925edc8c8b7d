"""Many orders under faults of every kind: what the record says is what the money says, and memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from decimal import Decimal as D
from typing import Any

import ccxt.async_support
import pytest

from itb.live.practice import wording
from itb.live.practice.client import point_at
from itb.live.practice.faults import KINDS, FaultPlan, Faults
from itb.live.practice.orders import Ask
from itb.live.practice.server import serving
from itb.live.practice.settlement import Terms
from itb.live.practice.venue import Venue
from tests.live.practice.conftest import FLAT, MINUTE, START, venue_of

PAIR = "BTC/USDT"
PLAN = ",".join(f"{kind}=7" for kind in KINDS if kind not in {"ban", "stream_silence"})


def storm(count: int, seed: int) -> tuple[Venue, Counter[str], set[str]]:
    """Send orders by 16 at a time while anything may break; give the venue, the outcomes, and the faults that came."""
    from itb.live.practice.exchange import Exchange

    venue = venue_of(FLAT, Terms(fee_currency="quote"))
    faults = Faults(FaultPlan.parse(PLAN), seed)
    exchange = Exchange(venue, speed=600.0, stop_ms=START + 399 * MINUTE, faults=faults)

    async def send() -> Counter[str]:
        x = point_at(ccxt.async_support.binance({"enableRateLimit": False, "timeout": 300}), server.url)
        x.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
        x.set_markets([x.parse_market(wording.symbol(tape, is_halted=False)) for tape in venue.tapes.values()])
        gate = asyncio.Semaphore(16)

        async def one(number: int) -> str:
            side, limit = ("buy", "sell")[number % 2], number % 3 == 0
            price = {"buy": 99.5, "sell": 100.5}[side] if limit else None
            params = {"clientOrderId": f"n{number}", "recvWindow": 200}
            async with gate:
                try:
                    await x.create_order(PAIR, "limit" if limit else "market", side, 0.1, price, params)
                except ccxt.BaseError as error:
                    return type(error).__name__
                return "answered"

        try:
            outcomes = Counter(await asyncio.gather(*(one(number) for number in range(count))))
        finally:
            await x.close()
        return outcomes

    with serving(exchange, hold_s=0.4) as server:
        outcomes = asyncio.run(send())
    return venue, outcomes, {one.kind for one in faults.log}


def check(venue: Venue, outcomes: Counter[str], count: int) -> None:
    assert sum(outcomes.values()) == count
    names: Counter[Any] = Counter(order.cid for order in venue.orders.values())
    assert set(names.values()) == {1}
    assert outcomes["answered"] - 0.1 * count < len(venue.orders) < count
    totals = {"BTC": D(10), "USDT": D(100_000)}
    for fill in venue.fills("BTCUSDT"):
        sign = 1 if fill.side == "BUY" else -1
        totals["BTC"] += sign * fill.qty
        totals["USDT"] -= sign * fill.notional + fill.fee
    assert venue.wallet.totals() == totals


def test_a_storm_of_faults_loses_no_money() -> None:
    venue, outcomes, kinds = storm(400, seed=1)
    check(venue, outcomes, 400)
    assert len(kinds) > 10


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_a_long_storm_of_faults_loses_no_money(seed: int) -> None:
    venue, outcomes, kinds = storm(10_000, seed)
    check(venue, outcomes, 10_000)
    assert len(kinds) > 18


def test_memory_stays_flat_however_many_orders_come_and_go() -> None:
    tapes = list(venue_of(FLAT).tapes.values())
    venue = Venue(tapes, {"USDT": D(100_000)}, Terms(D(0), D(0)), start_ms=START, history=50)

    def trade(count: int) -> int:
        for number in range(count):
            side = ("BUY", "SELL")[number % 2]
            venue.place(Ask("BTCUSDT", side, "MARKET", D("0.1"), cid=f"n{number}"))
            venue.events.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = trade(200)
        assert trade(1000) < 1.2 * first
    finally:
        tracemalloc.stop()
