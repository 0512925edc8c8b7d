"""The paper venue's money and prices, by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from itb.live.gateways.matching import MatchingEngine, PriceBar, VenueRefusal
from itb.live.gateways.port import OrderRequest
from itb.market.costs import Costs
from tests.live.rehearsal import BTC


def engine(**options: Any) -> MatchingEngine:
    costs = options.pop("costs", Costs(slippage_bps=10, taker_fee_bps=10, maker_fee_bps=5))
    made = MatchingEngine((BTC,), {"BTC": Decimal(1), "USDT": Decimal(1_000)}, costs, **options)
    made.quote("BTC/USDT", Decimal(100))
    return made


def order(side: str, kind: str, qty: str, price: str = "", stop: str = "", name: str = "a") -> OrderRequest:
    return OrderRequest(
        name, "BTC/USDT", side, kind, Decimal(qty),  # type: ignore[arg-type]  # literals, as strings
        Decimal(price) if price else None, Decimal(stop) if stop else None,
    )  # fmt: skip


def bar(first: int, high: int, low: int, last: int, volume: str = "0") -> PriceBar:
    return PriceBar(0, Decimal(first), Decimal(high), Decimal(low), Decimal(last), Decimal(volume))


def test_a_market_order_slips_and_pays_the_taker_fee() -> None:
    venue = engine()
    venue.submit(order("buy", "market", "2"))
    (trade,) = venue.trades
    assert (trade.price, trade.fee, trade.fee_currency) == (Decimal("100.1"), Decimal("0.2002"), "USDT")
    assert venue.totals["USDT"] == Decimal("799.5998")  # 1000 - 200.2 - 0.2002
    assert venue.totals["BTC"] == 3


def test_a_fee_in_base_is_taken_from_the_coins_bought() -> None:
    venue = engine(costs=Costs(fee_currency="base", slippage_bps=0))
    venue.submit(order("buy", "market", "2"))
    assert (venue.totals["BTC"], venue.totals["USDT"]) == (Decimal("2.998"), Decimal(800))


def test_a_decision_at_the_close_fills_at_the_next_open() -> None:
    venue = engine(matching="next_open")
    assert venue.submit(order("sell", "market", "1")).status == "open"
    venue.bar("BTC/USDT", bar(110, 120, 90, 100))
    assert venue.trades[0].price == Decimal("109.890")  # 110 less 10 bps


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (order("sell", "stop", "1", stop="95"), "94.905"),  # touched: at the stop, slipped
        (order("sell", "stop", "1", stop="99"), "97.902"),  # opened beyond it: at the open of 98
        (order("sell", "limit", "1", "103"), "103"),
        (order("buy", "limit", "1", "92"), "92"),
        (order("buy", "limit", "1", "99"), "98"),  # opened better
        (order("buy", "limit", "1", "89"), None),
        (order("buy", "stop", "1", stop="104"), "104.104"),
        (order("buy", "stop", "1", stop="106"), None),
        (order("sell", "stop_limit", "1", "94", "95"), "95"),
        (order("sell", "stop_limit", "1", "98.50", "99"), None),  # opened at 98, below the limit
    ],
)
def test_where_a_bar_fills_a_resting_order(request_: OrderRequest, expected: str | None) -> None:
    venue = engine()
    venue.submit(request_)
    venue.bar("BTC/USDT", bar(98, 105, 90, 100))
    assert [trade.price for trade in venue.trades] == ([] if expected is None else [Decimal(expected)])


def test_a_resting_order_locks_what_it_may_spend_and_pays_the_maker_fee() -> None:
    venue = engine()
    venue.submit(order("buy", "limit", "2", "90"))
    assert (venue.free("USDT"), venue.locked("USDT")) == (Decimal(820), Decimal(180))
    venue.quote("BTC/USDT", Decimal(90))
    assert (venue.trades[0].fee, venue.locked("USDT")) == (Decimal("0.09"), Decimal(0))


def test_a_bar_gives_no_more_than_its_share_of_the_volume() -> None:
    venue = engine(participation=Decimal("0.1"))
    venue.submit(order("buy", "limit", "2", "95"))
    venue.bar("BTC/USDT", bar(98, 99, 90, 98, volume="5"))
    assert [(t.qty, t.price) for t in venue.trades] == [(Decimal("0.5"), Decimal(95))]
    assert venue.locked("USDT") == Decimal("142.5")  # 1.5 at 95


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (order("buy", "market", "0.000011"), "LOT_SIZE"),
        (order("buy", "limit", "1", "99.999"), "PRICE_FILTER"),
        (order("buy", "limit", "0.01", "50"), "NOTIONAL"),
        (order("buy", "market", "11"), "insufficient balance"),
        (order("sell", "stop", "1", stop="101"), "trigger immediately"),
    ],
)
def test_what_the_venue_refuses(request_: OrderRequest, why: str) -> None:
    with pytest.raises(VenueRefusal, match=why):
        engine().submit(request_)


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    venue = engine()
    venue.submit(order("buy", "limit", "1", "90"))
    with pytest.raises(VenueRefusal, match="Duplicate"):
        venue.submit(order("buy", "limit", "1", "90"))
    venue.cancel("a")
    venue.submit(order("buy", "limit", "1", "90"))


def test_a_late_request_is_refused() -> None:
    venue = engine()
    venue.now = 5_001
    with pytest.raises(VenueRefusal, match="outside of the window"):
        venue.submit(order("buy", "market", "1"))


def test_a_purchase_meets_the_ask_and_a_sale_the_bid() -> None:
    venue = engine(costs=Costs(0, 0, "quote", 0.0))
    venue.quote("BTC/USDT", Decimal(99), Decimal(101))
    venue.submit(order("buy", "market", "1", name="b"))
    venue.submit(order("sell", "market", "1", name="s"))
    venue.submit(order("buy", "limit", "1", price="100", name="l"))
    venue.submit(order("buy", "stop", "1", stop="103", name="t"))
    venue.quote("BTC/USDT", Decimal(99), Decimal("100.5"))
    assert [trade.price for trade in venue.trades] == [Decimal(101), Decimal(99)]
    venue.quote("BTC/USDT", Decimal("99.5"), Decimal(100))
    venue.quote("BTC/USDT", Decimal("102.5"), Decimal(103))
    assert [trade.price for trade in venue.trades[2:]] == [Decimal(100), Decimal(103)]


def test_of_a_pair_within_one_bar_only_the_first_is_executed() -> None:
    venue = engine(costs=Costs(0, 0, "quote", 0.0), matching="next_open")
    venue.submit_pair(
        order("sell", "stop", "1", stop="95", name="s"), order("sell", "limit", "1", price="105", name="l")
    )
    venue.bar("BTC/USDT", bar(100, 110, 90, 100))
    assert [(trade.price, trade.qty) for trade in venue.trades] == [(Decimal(95), Decimal(1))]
    assert {one.client_id: one.status for one in venue.orders.values()} == {"s": "filled", "l": "expired"}
