"""Unmodified ccxt behind the port, against the practice exchange."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Line
from itb.live.gateways.port import (
    Accepted,
    Balance,
    Cancelled,
    NoAnswerError,
    NotOpen,
    NotTaken,
    OrderRequest,
    Rejected,
    Side,
    Submitted,
    Unknown,
)
from itb.live.practice.faults import KINDS
from itb.live.practice.server import Server
from itb.live.practice.settlement import Terms
from itb.market.instrument import Instrument
from tests.live.gateways.conftest import PAIR, with_gateway, with_line
from tests.live.practice.conftest import FLAT, MINUTE, START, Rows

Serve = Callable[..., Server]


def request(name: str = "itbx-1", kind: Any = "market", qty: str = "0.5", **more: Any) -> OrderRequest:
    price, stop_price = (Decimal(more[key]) if key in more else None for key in ("price", "stop_price"))
    return OrderRequest(name, PAIR, "buy", kind, Decimal(qty), price, stop_price, START)


def test_the_account_and_the_filters_are_exact(serve: Serve) -> None:
    async def look(gateway: CcxtGateway) -> Any:
        return await gateway.server_time(), await gateway.instrument(PAIR), await gateway.balances()

    time, instrument, balances = with_gateway(serve(balances={"USDT": Decimal("0.12345678"), "BTC": Decimal(7)}), look)
    assert (time, instrument) == (START, Instrument(PAIR))
    assert balances == (Balance("BTC", Decimal(7)), Balance("USDT", Decimal("0.12345678")))


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request(kind="limit", price="95.5"),
        request(kind="stop", stop_price="105.25"),
        request(kind="stop_limit", price="106", stop_price="105.25"),
    ],
    ids=lambda asked: str(asked.kind),
)
def test_an_order_of_every_kind_is_accepted_found_and_listed(serve: Serve, asked: OrderRequest) -> None:
    async def trade(gateway: CcxtGateway) -> Any:
        return (
            await gateway.submit(asked),
            await gateway.order(PAIR, asked.client_id),
            await gateway.orders_since(PAIR, START - 1),
            await gateway.open_orders(),
            await gateway.trades_since(PAIR, START - 1),
            await gateway.cancel(PAIR, asked.client_id),
        )

    answer, found, listed, still_open, trades, cancelled = with_gateway(serve(), trade)
    assert isinstance(answer, Accepted)
    order = answer.order
    assert (order.client_id, order.side, order.kind, order.qty) == (asked.client_id, "buy", asked.kind, asked.qty)
    assert (order.price, order.stop_price) == (asked.price, asked.stop_price)
    assert found == order
    assert listed == (order,)
    if asked.kind == "market":
        assert (order.status, order.filled, still_open) == ("filled", Decimal("0.5"), ())
        (trade_,) = trades
        assert (trade_.order_id, trade_.qty, trade_.price) == (order.order_id, Decimal("0.5"), Decimal(100))
        assert (trade_.fee, trade_.fee_currency, trade_.time) == (Decimal("0.0005"), "BTC", START)
        assert isinstance(cancelled, NotOpen)
    else:
        assert (order.status, still_open, trades) == ("open", (order,), ())
        assert isinstance(cancelled, Cancelled)
        assert cancelled.order == dataclasses.replace(order, status="canceled")


def test_an_order_that_the_exchange_does_not_know_is_none(serve: Serve) -> None:
    assert with_gateway(serve(), lambda gateway: gateway.order(PAIR, "itbx-9")) is None


@pytest.mark.parametrize("fee_currency", ["quote", "base", "BNB"])
def test_a_fee_is_told_in_its_own_currency(serve: Serve, fee_currency: str) -> None:
    terms = Terms(fee_currency=fee_currency)

    async def trade(gateway: CcxtGateway) -> Any:
        await gateway.submit(request())
        return await gateway.trades_since(PAIR, START)

    (trade_,) = with_gateway(serve(terms=terms), trade)
    fees = {"quote": (Decimal("0.05"), "USDT"), "base": (Decimal("0.0005"), "BTC"), "BNB": (Decimal("0.0005"), "BTC")}
    assert (trade_.fee, trade_.fee_currency) == fees[fee_currency]  # no BNB is held: it falls back


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request(qty="0.01", kind="limit", price="95"), "NOTIONAL"),
        (request(qty="5000"), "insufficient balance"),
        (request(kind="stop", stop_price="95"), "trigger immediately"),
        (dataclasses.replace(request(), symbol="DOGE/USDT"), "BadSymbol"),
    ],
)
def test_what_the_exchange_refuses_is_rejected(serve: Serve, asked: OrderRequest, why: str) -> None:
    answer = with_gateway(serve(), lambda gateway: gateway.submit(asked))
    assert isinstance(answer, Rejected)
    assert why in answer.reason


def test_a_window_shorter_than_that_of_the_requests_is_refused(serve: Serve) -> None:
    answer = with_gateway(serve(), lambda gateway: gateway.submit(request()), window_s=6.0)
    assert answer == Rejected("its window is 5000 ms, requests may arrive for 6000 ms")


def test_a_second_order_of_one_name_is_in_doubt(serve: Serve) -> None:
    async def twice(gateway: CcxtGateway) -> Submitted:
        await gateway.submit(request(kind="limit", price="95"))
        return await gateway.submit(request())

    assert isinstance(with_gateway(serve(), twice), Unknown)


# What an order request meets, the outcome that it must have, and whether the venue has the order afterwards.
FATES = {
    "error_before": (Unknown, 0), "error_after": (Unknown, 1), "timeout_before": (Unknown, 0),
    "timeout_after": (Unknown, 1), "reset_before": (Unknown, 0), "reset_after": (Unknown, 1), "cut_json": (Unknown, 1),
    "cut_body": (Unknown, 1), "empty": (Unknown, 1), "html": (Unknown, 0), "unknown": (Unknown, 1),
    "overloaded": (Unknown, 0), "rate_limit": (NotTaken, 0), "ban": (NotTaken, 0), "maintenance": (Unknown, 0),
    "clock_jump": (NotTaken, 0), "late": (Unknown, 0), "balance_race": (Rejected, 0),
}  # fmt: skip
HANGS = {"timeout_before", "timeout_after", "late"}


def patience_s(kind: str) -> float:
    """How long to wait for answers: for one that never comes not long, for all others as long as a machine may take."""
    return 2.0 if kind in HANGS else 60.0


def test_every_fault_of_an_order_has_its_fate_here() -> None:
    assert set(FATES) == {kind for kind, moment in KINDS.items() if moment in {"request", "change", "order"}}


@pytest.mark.parametrize("kind", FATES)
def test_a_fault_of_an_order_proves_no_more_than_it_does(serve: Serve, kind: str) -> None:
    chance = 1 if KINDS[kind] in {"change", "order"} else 2  # the first request is for the markets
    server = serve(faults=f"{kind}@{chance}")
    outcome, there = FATES[kind]
    answer = with_gateway(server, lambda gateway: gateway.submit(request()), timeout_s=patience_s(kind))
    assert type(answer) is outcome
    assert len(server.exchange.venue.orders) == there


@pytest.mark.parametrize("kind", [kind for kind in FATES if KINDS[kind] != "order"])
def test_a_fault_of_a_cancel_proves_no_more_than_it_does(serve: Serve, kind: str) -> None:
    chance = 2 if KINDS[kind] == "change" else 3
    server = serve(faults=f"{kind}@{chance}")

    async def cancel(gateway: CcxtGateway) -> Any:
        await gateway.submit(request(kind="limit", price="95"))
        return await gateway.cancel(PAIR, "itbx-1")

    outcome, there = FATES[kind]
    assert type(with_gateway(server, cancel, timeout_s=patience_s(kind))) is outcome
    (order,) = server.exchange.venue.orders.values()
    assert order.status == ("CANCELED" if there else "NEW")


QUESTIONS: dict[str, Callable[[CcxtGateway], Any]] = {
    "server_time": lambda gateway: gateway.server_time(),
    "instrument": lambda gateway: gateway.instrument(PAIR),
    "order": lambda gateway: gateway.order(PAIR, "itbx-1"),
    "open_orders": lambda gateway: gateway.open_orders(),
    "orders_since": lambda gateway: gateway.orders_since(PAIR, START),
    "trades_since": lambda gateway: gateway.trades_since(PAIR, START),
    "balances": lambda gateway: gateway.balances(),
}


@pytest.mark.parametrize("kind", ["error_after", "reset_after", "cut_json", "cut_body", "empty", "html", "rate_limit"])
def test_a_question_without_a_whole_answer_raises(serve: Serve, kind: str) -> None:
    """None of them may take silence for "nothing there"."""
    server = serve(faults=f"{kind}=1000")

    async def ask(gateway: CcxtGateway) -> list[str]:
        failed = []
        for name, question in QUESTIONS.items():
            with pytest.raises(NoAnswerError):
                await question(gateway)
            failed.append(name)
        return failed

    assert with_gateway(server, ask, timeout_s=60.0) == list(QUESTIONS)


@pytest.mark.parametrize(("side", "stop", "limit"), [("sell", "95", "105"), ("buy", "105", "95")])
def test_a_stop_and_a_limit_rest_on_the_same_coins(serve: Serve, side: Side, stop: str, limit: str) -> None:
    rows: Rows = [*FLAT[:3], (100.0, 106.0, 99.0, 100.0, 8.0) if side == "sell" else (100.0, 101.0, 94.0, 99.0, 8.0)]
    server = serve(
        [*rows, *FLAT[:3]], terms=Terms(fee_currency="quote"), balances={"BTC": Decimal(1), "USDT": Decimal(200)}
    )
    one = dataclasses.replace(request("itbx-s", "stop", "1", stop_price=stop), side=side)
    other = dataclasses.replace(request("itbx-l", "limit", "1", price=limit), side=side)

    async def trade(gateway: CcxtGateway) -> Any:
        return (
            await gateway.submit_pair(one, other),
            await gateway.cancel(PAIR, "itbx-s"),
            await gateway.open_orders(),
            await gateway.submit_pair(
                dataclasses.replace(one, client_id="itbx-s2"), dataclasses.replace(other, client_id="itbx-l2")
            ),
        )

    placed, cancelled, rest, again = with_gateway(server, trade)
    assert [answer.order.client_id for answer in (*placed, *again)] == ["itbx-s", "itbx-l", "itbx-s2", "itbx-l2"]
    assert [answer.order.qty for answer in placed] == [Decimal(1), Decimal(1)]
    assert isinstance(cancelled, Cancelled)
    assert (cancelled.order.client_id, cancelled.order.status, rest) == ("itbx-s", "canceled", ())
    server.exchange.go_to(START + 5 * MINUTE)
    venue = server.exchange.venue
    assert {order.cid: order.status for order in venue.orders.values()} == {
        "itbx-s": "CANCELED", "itbx-l": "CANCELED", "itbx-s2": "EXPIRED", "itbx-l2": "FILLED",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "outcome"), [("reset_after", Unknown), ("html", Unknown), ("late", Unknown), ("rate_limit", NotTaken)]
)
def test_a_pair_without_an_answer_is_in_doubt_as_a_whole(serve: Serve, kind: str, outcome: type[Any]) -> None:
    server = serve(faults=f"{kind}@{1 if kind == 'late' else 2}")
    legs = [dataclasses.replace(one, side="sell") for one in (
        request("itbx-s", "stop", "1", stop_price="95"), request("itbx-l", "limit", "1", price="105"))]  # fmt: skip
    answers = with_gateway(server, lambda gateway: gateway.submit_pair(*legs), timeout_s=patience_s(kind))
    assert [type(answer) for answer in answers] == [outcome, outcome]


def test_a_pair_that_the_exchange_refuses_is_rejected_as_a_whole(serve: Serve) -> None:
    legs = [request("itbx-s", "stop", "1", stop_price="95"), request("itbx-l", "limit", "1", price="105")]  # buys
    answers = with_gateway(serve(), lambda gateway: gateway.submit_pair(*legs))
    assert [type(answer) for answer in answers] == [Rejected, Rejected]


def test_while_the_exchange_wants_silence_nothing_leaves(serve: Serve) -> None:
    server = serve(faults="ban@2")

    async def go_on(gateway: CcxtGateway) -> tuple[Submitted, Submitted, int, int]:
        first = await gateway.submit(request())
        requests = gateway.line.requests
        second = await gateway.submit(request("itbx-2"))
        with pytest.raises(NoAnswerError) as caught:
            await gateway.balances()
        return first, second, gateway.line.requests - requests, caught.value.retry_at

    first, second, sent, retry_at = with_gateway(server, go_on)
    assert isinstance(first, NotTaken)
    assert isinstance(second, NotTaken)
    assert START + 500 < first.retry_at <= START + 1_000
    assert sent == 0
    assert START < retry_at <= START + 1_000
    assert server.exchange.venue.orders == {}


@pytest.mark.parametrize("kind", ["error_before", "html", "reset_before"])
def test_an_order_before_the_markets_are_known_is_not_taken(serve: Serve, kind: str) -> None:
    async def try_twice(gateway: CcxtGateway) -> Any:
        pair = (request("itbx-s", "stop", stop_price="105"), request("itbx-l", "limit", price="95"))
        return await gateway.submit(request()), await gateway.submit_pair(*pair), await gateway.submit(request())

    first, pair, last = with_gateway(serve(faults=f"{kind}@1,{kind}@2"), try_twice)
    assert [type(answer) for answer in (first, *pair, last)] == [NotTaken, NotTaken, NotTaken, Accepted]


def test_a_ban_before_the_clock_is_known_is_told_as_such(serve: Serve) -> None:
    def unset() -> float:
        raise ValueError("the exchange has not said its time yet: ask it before a bar is judged")

    async def ask(line: Line) -> None:
        gateway = CcxtGateway(line, unset)
        with pytest.raises(NoAnswerError, match="banned") as caught:
            await gateway.server_time()
        assert caught.value.retry_at > START

    with_line(serve(faults="ban@1"), ask)


def test_executions_of_many_pages_are_all_told_once(serve: Serve) -> None:
    server = serve(FLAT, balances={"USDT": Decimal(10_000_000), "BTC": Decimal(10)})

    async def trade(gateway: CcxtGateway) -> Any:
        for number in range(12):
            await gateway.submit(request(f"itbx-{number}", qty="0.1"))
        gateway.line.traits = dataclasses.replace(gateway.line.traits, page=5)
        first = await gateway.trades_since(PAIR, START)
        await gateway.submit(request("itbx-more"))
        return first, await gateway.trades_since(PAIR, START), await gateway.orders_since(PAIR, START - 86_400_000 * 3)

    first, second, orders = with_gateway(server, trade)
    assert [trade_.trade_id for trade_ in first] == [str(number) for number in range(1, 13)]
    assert [trade_.trade_id for trade_ in second] == [str(number) for number in range(1, 14)]
    assert len(orders) == 13
