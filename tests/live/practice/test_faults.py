"""What goes wrong on purpose: each fault alone, mixes by seed, the record, and that nothing but the wish is broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest
import requests

from itb.live.practice import wording
from itb.live.practice.client import point_at
from itb.live.practice.exchange import Call, Exchange
from itb.live.practice.faults import KINDS, FaultPlan, Faults
from itb.live.practice.guard import SECRET, signed
from itb.live.practice.params import Params
from itb.live.practice.server import Server
from tests.live.practice.conftest import FLAT, MINUTE, START, Rows, venue_of

Serve = Callable[..., Server]
PAIR = "BTC/USDT"


def control(server: Server, name: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{server.url}/practice/{name}", timeout=60).json()
    return found


def ready(server: Server, timeout: int = 60_000) -> Any:
    """A client that has its markets already: the next request is the first that a fault can meet."""
    x = point_at(ccxt.binance({"enableRateLimit": False, "timeout": timeout}), server.url)
    x.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    tapes = server.exchange.venue.tapes.values()
    x.set_markets([x.parse_market(wording.symbol(tape, is_halted=False)) for tape in tapes])
    return x


FAILED = (ccxt.OperationFailed, ccxt.ExchangeNotAvailable, ccxt.RequestTimeout)

# What ccxt makes of a market order that meets a fault, and whether the order was executed.
MATRIX: dict[str, tuple[tuple[type[Exception], ...], bool]] = {
    "error_before": (FAILED, False),
    "error_after": (FAILED, True),
    "timeout_before": ((ccxt.RequestTimeout,), False),
    "timeout_after": ((ccxt.RequestTimeout,), True),
    "reset_before": ((ccxt.NetworkError,), False),
    "reset_after": ((ccxt.NetworkError,), True),
    "cut_body": ((ccxt.NetworkError,), True),
    "cut_json": ((), True),  # an order without an id
    "empty": ((), True),
    "html": ((), False),
    "unknown": (FAILED, True),
    "overloaded": ((ccxt.ExchangeError,), False),
    "rate_limit": ((ccxt.DDoSProtection,), False),
    "ban": ((ccxt.DDoSProtection,), False),
    "maintenance": ((ccxt.BadRequest,), False),
    "clock_jump": ((ccxt.InvalidNonce,), False),
    "balance_race": ((ccxt.InsufficientFunds,), False),
}


@pytest.mark.parametrize("kind", MATRIX)
def test_an_order_that_meets_a_fault_fails_as_it_would_on_the_real_exchange(serve: Serve, kind: str) -> None:
    raised, is_done = MATRIX[kind]
    server = serve(faults=f"{kind}@1", seed=5)
    x = ready(server, 2_000 if kind.startswith("timeout") else 60_000)
    if raised:
        with pytest.raises(raised):
            x.create_order(PAIR, "market", "buy", 1)
    else:
        assert x.create_order(PAIR, "market", "buy", 1)["id"] is None
    assert control(server, "totals")["BTC"] == ("10.99900000" if is_done else "10.00000000")
    (record,) = control(server, "faults")["injected"]
    assert record == {"kind": kind, "chance": 1, "target": "POST /api/v3/order", "time": START}


def late(waited_ms: int) -> list[int]:
    """Send an order with a recvWindow of 20 ms that is held up for so long; give the orders that were taken."""
    now, venue, plan = [1_000_000], venue_of(FLAT), FaultPlan.parse("late@1")
    exchange = Exchange(venue, speed="lockstep", stop_ms=START + MINUTE, faults=Faults(plan), wall=lambda: now[0])
    payload = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&timestamp=1000000&recvWindow=20"
    texts = dict(pair.split("=") for pair in payload.split("&")) | {"signature": signed(payload, SECRET)}

    async def send() -> bool:
        reply = await exchange.answer(Call("POST", "/api/v3/order", Params(texts), payload, "practice"))
        before = len(venue.orders)
        now[0] += waited_ms
        exchange.go_to(START + 20)
        return reply.broken in {"reset_before", "timeout_before"} and before == 0

    assert asyncio.run(send())
    return list(venue.orders)


def test_an_order_may_arrive_after_its_sender_gave_up_but_never_after_its_window() -> None:
    assert late(20) == [1]
    assert late(21) == []


def test_an_order_may_be_unknown_or_look_new_for_a_while(serve: Serve) -> None:
    x = ready(serve(faults="not_found@1, stale_order@2"))
    placed = x.create_order(PAIR, "market", "buy", 1)
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        x.fetch_order(placed["id"], PAIR)
    assert [x.fetch_order(placed["id"], PAIR)["status"] for _ in range(2)] == ["open", "closed"]


def answers_of(server: Server, count: int) -> list[str]:
    """Send orders one after another and say what came back: a status, or the name of an error."""
    x, answers = ready(server), []
    for number in range(count):
        try:
            placed = x.create_order(PAIR, "market", "buy", 0.1, None, {"clientOrderId": f"n{number}"})
            answers.append(str(placed["status"]))
        except ccxt.BaseError as error:
            answers.append(type(error).__name__)
    return answers


@pytest.mark.parametrize(
    ("kind", "error", "requests_hit"),
    [("maintenance", "BadRequest", 20), ("clock_jump", "InvalidNonce", 20)],
)
def test_a_window_of_trouble_ends(serve: Serve, kind: str, error: str, requests_hit: int) -> None:
    answers = answers_of(serve(faults=f"{kind}@2", seed=5), 24)
    assert answers == ["closed", *[error] * requests_hit, *["closed"] * (23 - requests_hit)]


def test_bars_may_be_stale_revised_or_missing_and_are_right_the_next_time(serve: Serve) -> None:
    rows: Rows = [(100.0 + i, 101.0 + i, 99.0 + i, 100.5 + i, 8.0) for i in range(40)]
    server = serve(rows, faults="klines_stale@1, klines_revised@2, klines_missing@3")
    requests.post(f"{server.url}/practice/step", json={"bars": 20}, timeout=60)
    x = ready(server)
    stale, revised, missing, right = (x.fetch_ohlcv(PAIR, "1m", limit=10) for _ in range(4))
    assert stale == right[:-2]
    assert (revised[:-2], revised[-1]) == (right[:-2], right[-1])
    assert revised[-2][0] == right[-2][0]
    assert revised[-2] != right[-2]
    assert len(missing) == 9
    assert all(row in right for row in missing)
    assert (missing[0], missing[-1]) == (right[0], right[-1])


def test_a_fill_may_come_in_pieces_that_add_up(serve: Serve) -> None:
    order = ready(serve(faults="partial_fill=700", seed=3)).create_order(PAIR, "market", "buy", 1)
    assert len(order["trades"]) > 1
    assert sum(trade["amount"] for trade in order["trades"]) == pytest.approx(1.0, abs=1e-12)
    assert order["filled"] == 1.0


def frames(server: Server, count: int, last_s: float = 60.0) -> list[str]:
    """Read the user data stream as it is on the wire while one order is placed and filled.

    The last frame may take ``last_s``.
    """

    async def read() -> list[str]:
        found: list[str] = []
        x = ready(server)
        key = (await asyncio.to_thread(x.publicPostUserDataStream))["listenKey"]
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws/{key}") as socket:
            await asyncio.to_thread(x.create_order, PAIR, "market", "buy", 0.1)
            while len(found) < count:
                message = await asyncio.wait_for(socket.receive(), 60 if len(found) < count - 1 else last_s)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return [*found, "closed"]
                found.append(message.data)
        return found

    return asyncio.run(read())


def words(found: list[str]) -> list[str]:
    """Name each frame: what happened to which order, or B for balances."""
    return [f"{one['x']}{one['i']}" if one["e"] == "executionReport" else "B" for one in map(json.loads, found)]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("", ["NEW1", "B", "TRADE1", "B"]),
        ("event_lost@3", ["NEW1", "B", "B"]),
        ("event_duplicate@3", ["NEW1", "B", "TRADE1", "TRADE1", "B"]),
        ("event_reordered@1", ["B", "NEW1", "TRADE1", "B"]),
        ("event_late@1", ["B", "TRADE1", "B", "NEW1"]),
    ],
)
def test_user_events_may_be_lost_doubled_reordered_or_late(serve: Serve, plan: str, expected: list[str]) -> None:
    assert words(frames(serve(faults=plan), len(expected))) == expected


def test_a_stream_may_break_or_send_half_a_frame(serve: Serve) -> None:
    assert frames(serve(faults="stream_drop@2"), 4)[-1] == "closed"
    with pytest.raises(json.JSONDecodeError):
        words(frames(serve(faults="stream_malformed@2"), 4))


def test_a_stream_may_go_silent_and_stay_open(serve: Serve) -> None:
    with pytest.raises(TimeoutError):
        frames(serve(faults="stream_silence@2"), 2, last_s=2.0)


MIX = ",".join(
    f"{kind}=40" for kind, moment in KINDS.items()
    if moment in {"request", "change", "order"} and kind not in {"late", "ban", "timeout_before", "timeout_after"}
)  # fmt: skip
HIDDEN = {"error_after", "reset_after", "cut_json", "cut_body", "empty", "unknown"}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seeded_mix_is_the_same_again_and_its_record_explains_the_money(serve: Serve, seed: int) -> None:
    runs = [serve(faults=MIX, seed=seed) for _ in range(2)]
    answers = [answers_of(server, 150) for server in runs]
    records = [control(server, "faults")["injected"] for server in runs]
    assert answers[0] == answers[1]
    assert records[0] == records[1]
    assert len({record["kind"] for record in records[0]}) > 8
    venue = runs[0].exchange.venue
    done = sum(order.status == "FILLED" for order in venue.orders.values())
    answered = answers[0].count("closed")
    assert answered < done <= answered + sum(record["kind"] in HIDDEN for record in records[0])
    assert float(venue.wallet.totals()["BTC"]) == pytest.approx(10 + done * 0.1 * 0.999, abs=1e-12)


def test_a_draw_depends_on_the_seed_and_not_on_other_kinds() -> None:
    def drawn(plan: str, seed: int) -> list[int]:
        faults = Faults(FaultPlan.parse(plan), seed)
        return [n for n in range(3000) if faults.strike("x", 0, "request") == "empty"]

    assert drawn("empty=50", 1) != drawn("empty=50", 2)
    assert drawn("empty=50", 1) == drawn("empty=50, stream_drop=500", 1)
    assert 110 < len(drawn("empty=50", 1)) < 190


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("emty=5", 'did you mean "empty"'),
        ("empty", "must look like"),
        ("empty=1001", "at most 1000"),
        ("empty@0", "must look like"),
    ],
)
def test_a_plan_that_cannot_be_read_says_why(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FaultPlan.parse(text)


def test_every_kind_is_tried_here() -> None:
    assert [kind for kind in KINDS if kind not in Path(__file__).read_text()] == []
