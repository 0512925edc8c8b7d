"""Bars and pushed news of the practice exchange through ccxt pro."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from itb.errors import ConfigError, GatewayError
from itb.live.bars.bar import BarEvent, rows_of
from itb.live.bars.barrier import Barrier, BarrierRules, Step
from itb.live.bars.pump import BarPump, Patience, Sinks
from itb.live.bars.schedule import BarRules, BarSchedule
from itb.live.bars.source import Hint
from itb.live.gateways.ccxt_bars import CcxtBars
from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Account, Line, line_to
from itb.live.gateways.ccxt_news import PriceKind, follow_orders, follow_prices
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.gateways.ccxt_words import Quote
from itb.live.gateways.port import OrderRequest
from itb.live.invariants import bars_seen_once
from itb.live.practice.exchange import Exchange
from itb.live.practice.faults import FaultPlan, Faults
from itb.live.practice.server import Server
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue
from itb.market.instrument import Instrument
from itb.market.timeframe import Timeframe
from tests.live.gateways.conftest import PAIR, with_line
from tests.live.gateways.practised import SYMBOLS, walk
from tests.live.practice.conftest import MINUTE, START, Rows, bars_of

Serve = Callable[..., Server]
MINUTES = Timeframe.parse("1m")
RISING: Rows = [(100.0 + i, 101.5 + i, 99.0 + i, 100.5 + i, 8.25) for i in range(200)]


def step(server: Server, bars: int = 1) -> None:
    """Let time pass in lock-step."""
    done = asyncio.run_coroutine_threadsafe(_step(server, bars), server_loop(server))
    done.result(60)


def server_loop(server: Server) -> asyncio.AbstractEventLoop:
    assert server._time is not None
    return server._time.get_loop()


async def _step(server: Server, bars: int) -> None:
    for _ in range(bars):
        assert server.exchange.steps is not None
        server.exchange.go_to(server.exchange.steps.step())


def test_requested_bars_are_those_of_the_market(serve: Serve) -> None:
    server = serve(RISING)
    step(server, 5)

    async def ask(line: Line) -> Any:
        source = CcxtBars(line, (PAIR,), MINUTES)
        return await source.bars(PAIR, MINUTES, START - MINUTE, 100), await source.bars(PAIR, MINUTES, START, 2)

    every, page = with_line(server, ask)
    assert every[:-1] == rows_of(bars_of(RISING))[:6]
    assert every[-1].open_time == START + 5 * MINUTE  # the running one
    assert [bar.open_time for bar in page] == [START, START + MINUTE]


def test_what_is_not_offered_is_refused(serve: Serve) -> None:
    server = serve(RISING)

    async def ask(line: Line) -> None:
        with pytest.raises(ConfigError, match="not with funding_rate"):
            CcxtBars(line, (PAIR,), MINUTES, ("open", "high", "low", "close", "volume", "funding_rate"))
        with pytest.raises(ConfigError, match="timeframe 10m is not offered"):
            CcxtBars(line, (PAIR,), Timeframe.parse("10m"))
        source = CcxtBars(line, (PAIR,), MINUTES)
        with pytest.raises(GatewayError, match="not listed"):
            await source.bars("DOGE/USDT", MINUTES, START, 5)

    with_line(server, ask)


@pytest.mark.parametrize("kind", ["html", "cut_json", "empty", "reset_after"])
def test_nonsense_is_never_taken_for_no_bars(serve: Serve, kind: str) -> None:
    server = serve(RISING, faults=f"{kind}=1000")

    async def ask(line: Line) -> None:
        with pytest.raises(GatewayError):
            await CcxtBars(line, (PAIR,), MINUTES).bars(PAIR, MINUTES, START, 5)

    with_line(server, ask)


async def heard(line: Line, server: Server, wanted: int, source: CcxtBars) -> list[Hint]:
    hints: list[Hint] = []

    async def listen() -> None:
        async for hint in source.hints():
            hints.append(hint)  # noqa: PERF401  (the test looks at them meanwhile)

    listening = asyncio.create_task(listen())
    while len(hints) < wanted and not listening.done():
        await asyncio.sleep(0.02)
        await asyncio.to_thread(step, server)
    if listening.done():
        await listening
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return hints


def test_the_stream_wakes_with_final_bars_only(serve: Serve) -> None:
    server = serve(RISING)
    hints = with_line(server, lambda line: heard(line, server, 5, CcxtBars(line, (PAIR,), MINUTES)))
    market = {bar.open_time: bar for bar in rows_of(bars_of(RISING))}
    assert [hint.bar for hint in hints] == [market[hint.open_time] for hint in hints]
    times = [hint.open_time for hint in hints]
    assert times == sorted(set(times))


def test_of_old_bars_of_a_stream_only_the_newest_stay_in_memory(serve: Serve) -> None:
    server = serve(RISING)

    async def listen(line: Line) -> int:
        hints = await heard(line, server, 14, CcxtBars(line, (PAIR,), MINUTES))
        assert len({hint.open_time for hint in hints}) > 12
        return len(line.client.ohlcvs[PAIR]["1m"])

    assert 1 <= with_line(server, listen) <= 10


@pytest.mark.parametrize("kind", ["stream_drop", "stream_malformed"])
def test_a_broken_stream_ends_the_hints_and_may_be_heard_again(serve: Serve, kind: str) -> None:
    server = serve(RISING, faults=f"{kind}@9")

    async def listen(line: Line) -> int:
        source = CcxtBars(line, (PAIR,), MINUTES)
        with pytest.raises(GatewayError, match="broke"):
            await heard(line, server, 50, source)
        return len(await heard(line, server, 3, source))

    assert with_line(server, listen) >= 3


def test_news_of_our_orders_are_pushed(serve: Serve) -> None:
    server = serve(RISING)
    orders: list[Any] = []
    trades: list[Any] = []

    def tell(**news: Any) -> None:
        orders.extend(news.get("orders", ()))
        trades.extend(news.get("trades", ()))

    async def follow(line: Line) -> None:
        gateway = CcxtGateway(line, lambda: START)
        following = asyncio.create_task(follow_orders(line, tell))
        number = 0
        while len(trades) < 2:
            await asyncio.sleep(0.02)
            number += 1
            await gateway.submit(OrderRequest(f"itbx-{number}", PAIR, "buy", "market", Decimal("0.1"), sent_at=START))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

        assert (line.client.orders.max_size, line.client.myTrades.max_size) == (100, 100)  # it runs for months

    with_line(server, follow)
    assert {order.status for order in orders} <= {"open", "filled"}
    assert trades[0].fee_currency == "BTC"
    assert {trade.order_id for trade in trades} <= {str(order.id) for order in server.exchange.venue.orders.values()}


@pytest.mark.parametrize("plan", ["bars=60,streams=10", "requests=40", "stream_silence@5"])
def test_bars_reach_the_barrier_once_each_whatever_breaks(plan: str) -> None:
    """I7: in order, each final bar once and as the market has it, or its absence or change is on record."""
    markets = {name: bars_of(walk(seed, 60), name) for seed, name in enumerate(SYMBOLS)}
    tapes = [Tape(bars, Instrument(name), START) for name, bars in markets.items()]
    venue = Venue(tapes, {"USDT": Decimal(1)}, start_ms=START)
    faults = Faults(FaultPlan.parse(plan), seed=2)
    exchange = Exchange(venue, speed="lockstep", stop_ms=START + 58 * MINUTE, faults=faults)
    steps: list[Step] = []
    events: list[BarEvent] = []

    async def scene() -> None:
        server = Server(exchange, hold_s=0.1)
        url = await server.start()
        async with line_to(traits_of("binance", SYMBOLS), Account(practice_url=url, timeout_s=0.1)) as line:
            rules = BarRules(MINUTES, gaps="drop")
            schedules = {name: BarSchedule(name, rules, START) for name in SYMBOLS}
            barrier = Barrier(SYMBOLS, BarrierRules(MINUTES), START)
            pump = BarPump(
                CcxtBars(line, SYMBOLS, MINUTES), lambda: venue.now, schedules, barrier,
                Sinks(steps.append, events.append), Patience(speed=20_000.0, silence_s=0.3, redial_s=0.01),
            )  # fmt: skip
            pumping = asyncio.create_task(pump.run())
            while len(steps) < 30 and not exchange.is_over and not pumping.done():
                exchange.go_to(venue.now + 2_000)
                await asyncio.sleep(max(0.003, line.quiet_ms() / 1_000))
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)
        await server.stop()

    asyncio.run(asyncio.wait_for(scene(), 120))
    for name, bars in markets.items():
        final = {bar.open_time: bar for bar in rows_of(bars)}
        seen = [step.bars[name] for step in steps if name in step.bars]
        told = {event.open_time for event in events if event.symbol == name}
        span = [time for time in final if START <= time <= steps[-1].open_time]
        assert bars_seen_once([bar.open_time for bar in seen], span, told) == []
        assert [bar for bar in seen if bar != final[bar.open_time] and bar.open_time not in told] == []
    assert len(steps) >= 25
    assert len(faults.log) > 0


@pytest.mark.parametrize("kind", ["trades", "book"])
def test_prices_are_pushed_for_paper(serve: Serve, kind: PriceKind) -> None:
    server = serve(RISING)
    heard: list[tuple[str, Quote]] = []

    async def follow(line: Line) -> None:
        await line.load_markets()
        following = asyncio.create_task(follow_prices(line, (PAIR,), kind, lambda *told: heard.append(told)))
        while len(heard) < 3:
            await asyncio.sleep(0.02)
            await asyncio.to_thread(step, server)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    with_line(server, follow)
    for symbol, quote in heard:
        assert symbol == PAIR
        assert Decimal(98) < quote.bid <= quote.ask < Decimal(310)
        assert (quote.bid < quote.ask) == (kind == "book")
