"""Orders against bars that are written by hand: what fills, when, at which price."""

from __future__ import annotations

from decimal import ROUND_UP
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.practice.orders import Ask, Order
from itb.live.practice.refusals import RefusedError
from itb.live.practice.settlement import Terms
from itb.live.practice.venue import Venue
from tests.live.practice.conftest import MINUTE, START, Rows, bars_of, venue_of

CALM: Rows = [(100.0, 101.0, 99.0, 100.0, 8.0)] * 2
FREE = Terms(D(0), D(0))


def ask(side: str, kind: str, qty: str = "1", **more: str) -> Ask:
    tif, cid = more.pop("tif", "GTC"), more.pop("cid", "")
    return Ask("BTCUSDT", side, kind, D(qty), **{k: D(v) for k, v in more.items()}, tif=tif, cid=cid)


def prices(order: Order) -> list[tuple[str, str]]:
    return [(f"{fill.price.normalize():f}", f"{fill.qty.normalize():f}") for fill in order.fills]


def refusal(venue: Venue, wanted: Ask) -> tuple[int, str]:
    with pytest.raises(RefusedError) as refused:
        venue.place(wanted)
    return refused.value.words.code, refused.value.words.text


def test_a_market_order_at_a_close_fills_at_the_next_open() -> None:
    venue = venue_of([(100, 101, 99, 100, 8), (103, 104, 102, 103, 8)], FREE)
    order = venue.place(ask("BUY", "MARKET"))
    assert (order.status, prices(order)) == ("FILLED", [("103", "1")])
    assert venue.wallet.totals() == {"BTC": D(11), "USDT": D(99_897)}


def test_a_market_order_inside_a_bar_fills_at_the_newest_print() -> None:
    venue = venue_of([(100, 101, 99, 100, 8), (103, 104, 102, 103.5, 8)], FREE)
    venue.advance(START + MINUTE // 3 + 1)  # the low has printed
    assert prices(venue.place(ask("BUY", "MARKET"))) == [("102", "1")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ask("BUY", "LIMIT", price="98"), [("98", "1")]),  # touched on the way to the low
        (ask("BUY", "LIMIT", price="97"), [("97", "1")]),  # touched by the low itself
        (ask("BUY", "LIMIT", price="96.99"), []),
        (ask("SELL", "LIMIT", price="104"), [("104", "1")]),
        (ask("SELL", "LIMIT", price="105.01"), []),
        (ask("SELL", "STOP_LOSS", stop="98"), [("98", "1")]),
        (ask("BUY", "STOP_LOSS", stop="103"), [("103", "1")]),
        (ask("SELL", "TAKE_PROFIT", stop="103"), [("103", "1")]),
        (ask("BUY", "TAKE_PROFIT", stop="98"), [("98", "1")]),
        (ask("SELL", "STOP_LOSS_LIMIT", stop="98", price="97.5"), [("98", "1")]),  # sells at the trigger
        (ask("SELL", "STOP_LOSS_LIMIT", stop="98", price="99"), [("99", "1")]),  # waits for the way back up
        (ask("SELL", "STOP_LOSS_LIMIT", stop="98", price="106"), []),
    ],
)
def test_a_resting_order_fills_at_its_level(wanted: Ask, expected: list[tuple[str, str]]) -> None:
    venue = venue_of([(100, 101, 99, 100, 8), (100, 105, 97, 103, 8), (103, 103, 103, 103, 8)], FREE)
    order = venue.place(wanted)
    assert order.fills == []
    venue.advance(START + MINUTE)
    assert prices(order) == expected


@pytest.mark.parametrize(
    ("wanted", "opened", "price"),
    [
        (ask("BUY", "LIMIT", price="95"), 90.0, "90"),  # better than its limit
        (ask("SELL", "LIMIT", price="105"), 110.0, "110"),
        (ask("SELL", "STOP_LOSS", stop="95"), 90.0, "90"),  # worse than its level
        (ask("SELL", "TAKE_PROFIT", stop="105"), 110.0, "110"),
    ],
)
def test_an_order_that_the_market_jumps_over_fills_at_the_open(wanted: Ask, opened: float, price: str) -> None:
    venue = venue_of([*CALM, (opened, opened, opened, opened, 8.0)], FREE)
    order = venue.place(wanted)
    venue.advance(START + MINUTE + 1)
    assert prices(order) == [(price, "1")]


def test_an_order_at_the_close_comes_before_what_rests_at_the_next_open() -> None:
    venue = venue_of([*CALM, (90.0, 90.0, 90.0, 90.0, 8.0)], FREE)
    stop = venue.place(ask("SELL", "STOP_LOSS", stop="95"))
    venue.advance(START + MINUTE)
    venue.cancel(stop)
    exit_by_signal = venue.place(ask("SELL", "MARKET"))
    assert (stop.status, prices(exit_by_signal)) == ("CANCELED", [("90", "1")])


def test_levels_act_in_the_order_in_which_the_price_reaches_them_and_the_elder_first() -> None:
    venue = venue_of([*CALM, (100.0, 106.0, 95.0, 100.0, 4.0)], Terms(D(0), D(0), volume_share=D(1)))
    lower = venue.place(ask("BUY", "LIMIT", "2", price="96"))
    first, second = (venue.place(ask("BUY", "LIMIT", "2", price="98")) for _ in range(2))
    venue.advance(START + 2 * MINUTE)
    assert [prices(order) for order in (first, second, lower)] == [[("98", "2")], [("98", "2")], []]


def test_the_stop_of_a_pair_comes_before_its_target_when_a_bar_touches_both() -> None:
    venue = venue_of([*CALM, (100.0, 106.0, 95.0, 105.0, 8.0)], FREE)
    pair = venue.place_pair(ask("SELL", "STOP_LOSS", stop="96"), ask("SELL", "LIMIT_MAKER", price="105"))
    assert venue.wallet.locked("BTC") == 1  # locked once for both
    venue.advance(START + 2 * MINUTE)
    stop, target = pair.legs
    assert (stop.status, prices(stop), target.status) == ("FILLED", [("96", "1")], "EXPIRED")
    assert (pair.state, venue.wallet.locked("BTC")) == ("ALL_DONE", D(0))


@pytest.mark.parametrize(("high", "low", "price"), [(107.0, 100.0, "106"), (100.0, 93.0, "94")])
def test_a_pair_that_buys_holds_the_money_of_its_dearer_leg(high: float, low: float, price: str) -> None:
    rows: Rows = [*CALM, (100.0, high, low, 100.0, 8.0)]
    venue = venue_of(rows, FREE, {"USDT": D(106)})
    legs = ask("BUY", "LIMIT_MAKER", price="94"), ask("BUY", "STOP_LOSS_LIMIT", stop="106", price="106")
    pair = venue.place_pair(*legs)
    assert (venue.wallet.locked("USDT"), venue.wallet.free("USDT")) == (D(106), D(0))
    venue.advance(START + 2 * MINUTE)
    assert [fill for leg in pair.legs for fill in prices(leg)] == [(price, "1")]
    assert (venue.wallet.locked("USDT"), venue.wallet.free("USDT")) == (D(0), D(106) - D(price))


@given(
    cents=st.integers(9000, 9900),
    units=st.integers(10_000, 900_000),
    fee=st.sampled_from([D("0.001"), D("0.00075"), D("0.0123")]),
    piece=st.sampled_from([D("0.1"), D("0.37"), D("0.9")]),
)
def test_an_order_that_locks_the_last_cent_can_pay_for_all_its_pieces(cents: int, units: int, fee: D, piece: D) -> None:
    price, qty = D(cents) / 100, D(units) / 100_000
    need = (price * qty * (1 + fee)).quantize(D("1e-8"), ROUND_UP)
    venue = venue_of([*CALM, *[(99.0, 99.0, 89.0, 89.0, 8.0)] * 40], Terms(fee, fee, "quote"), {"USDT": need})
    venue.matching.slice_of = lambda _order, rest: rest * piece
    order = venue.place(ask("BUY", "LIMIT", str(qty), price=str(price)))
    assert venue.wallet.free("USDT") == 0
    venue.advance(START + 40 * MINUTE)
    assert len(order.fills) > 1
    assert venue.wallet.totals()["BTC"] == order.filled
    assert venue.wallet.totals()["USDT"] >= 0


def test_cancelling_one_leg_cancels_the_pair() -> None:
    venue = venue_of(CALM, FREE)
    pair = venue.place_pair(ask("SELL", "LIMIT_MAKER", price="105"), ask("SELL", "STOP_LOSS", stop="96"))
    assert [leg.status for leg in venue.cancel(pair.legs[1])] == ["CANCELED", "CANCELED"]
    assert venue.wallet.free("BTC") == 10


def test_a_pair_on_one_side_of_the_market_is_refused() -> None:
    venue = venue_of(CALM, FREE)
    with pytest.raises(RefusedError, match="relationship of the prices"):
        venue.place_pair(ask("SELL", "LIMIT_MAKER", price="105"), ask("SELL", "TAKE_PROFIT", stop="104"))


@pytest.mark.parametrize(("tif", "status", "filled"), [("IOC", "EXPIRED", "4"), ("FOK", "EXPIRED", "0")])
def test_what_finds_no_volume_expires(tif: str, status: str, filled: str) -> None:
    venue = venue_of([*CALM, (100.0, 100.0, 100.0, 100.0, 8.0)], Terms(D(0), D(0), volume_share=D("0.5")))
    order = venue.place(ask("BUY", "LIMIT", "6", price="101", tif=tif))
    assert (order.status, order.filled, venue.wallet.locked("USDT")) == (status, D(filled), D(0))
    again = venue.place(ask("BUY", "LIMIT", price="99", tif=tif))  # nobody sells at that price now
    assert (again.status, again.fills) == ("EXPIRED", [])


def test_a_large_order_fills_over_several_bars_by_its_share_of_their_volume() -> None:
    venue = venue_of([(100.0, 100.0, 100.0, 100.0, 8.0)] * 5, Terms(D(0), D(0), volume_share=D("0.25")))
    order = venue.place(ask("BUY", "LIMIT", "5", price="100"))
    seen = [(order.status, order.filled)]
    for minute in (1, 2, 3):
        venue.advance(START + minute * MINUTE)
        seen.append((order.status, order.filled))
    part = "PARTIALLY_FILLED"
    assert seen == [(part, D(2)), (part, D(2)), (part, D(4)), ("FILLED", D(5))]


def test_slippage_moves_takers_only_and_never_beyond_their_limit() -> None:
    terms = Terms(D(0), D(0), slippage=D("0.01"))
    venue = venue_of([(100.0, 100.0, 100.0, 100.0, 8.0)] * 2, terms)
    orders = [
        venue.place(one) for one in (ask("BUY", "MARKET"), ask("SELL", "MARKET"), ask("BUY", "LIMIT", price="100.5"))
    ]
    assert [prices(order) for order in orders] == [[("101", "1")], [("99", "1")], [("100.5", "1")]]


@pytest.mark.parametrize(
    ("currency", "totals"),
    [
        ("quote", {"BTC": "10", "USDT": "99999.81", "BNB": "1"}),
        ("base", {"BTC": "9.999", "USDT": "99999.91", "BNB": "1"}),
        ("BNB", {"BTC": "10", "USDT": "100000.01", "BNB": "0.999"}),  # 0.2 USDT of fees at 200
    ],
)
def test_fees_are_taken_where_the_terms_say(currency: str, totals: dict[str, str]) -> None:
    coin = bars_of([(200.0, 200.0, 200.0, 200.0, 8.0)] * 3, "BNB/USDT")
    rows: Rows = [
        (100.0, 100.0, 100.0, 100.0, 8.0),
        (100.0, 100.0, 100.0, 100.0, 8.0),
        (100.01, 100.01, 100.01, 100.01, 8.0),
    ]
    money = {"USDT": D(100_000), "BTC": D(10), "BNB": D(1)}
    venue = venue_of(rows, Terms(D("0.001"), D("0.001"), currency), money, coin)
    venue.place(ask("BUY", "MARKET"))
    venue.advance(START + MINUTE)
    venue.place(ask("SELL", "MARKET"))
    expected = {name: D(amount) for name, amount in totals.items()}
    found = venue.wallet.totals()
    assert all(abs(found[name] - amount) <= D("0.00011") for name, amount in expected.items()), found


def test_a_quote_quantity_buys_what_it_pays_for() -> None:
    venue = venue_of([(300.0, 300.0, 300.0, 300.0, 8.0)] * 2, FREE)
    order = venue.place(Ask("BTCUSDT", "BUY", "MARKET", quote_qty=D(1000)))
    assert (order.qty, order.spent) == (D("3.33333"), D("999.999"))


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (ask("BUY", "LIMIT", price="99.001"), (-1013, "Filter failure: PRICE_FILTER")),
        (ask("BUY", "MARKET", "0.000001"), (-1013, "Filter failure: LOT_SIZE")),
        (ask("BUY", "LIMIT", "0.01", price="99"), (-1013, "Filter failure: NOTIONAL")),
        (ask("BUY", "MARKET", "1000.5"), (-2010, "Account has insufficient balance for requested action.")),
        (ask("SELL", "LIMIT", "10.1", price="110"), (-2010, "Account has insufficient balance for requested action.")),
        (ask("BUY", "LIMIT_MAKER", price="100"), (-2010, "Order would immediately match and take.")),
        (ask("SELL", "STOP_LOSS", stop="100"), (-2010, "Stop price would trigger immediately.")),
        (ask("BUY", "LIMIT"), (-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed.")),
        (ask("BUY", "MARKET", price="1"), (-1106, "Parameter 'price' sent when not required.")),
        (ask("BUY", "MARKET", "0.123456789"), (-1111, "Parameter 'quantity' has too much precision.")),
        (ask("BUY", "LIMIT", price="99", tif="GTX"), (-1115, "Invalid timeInForce.")),
        (ask("BUY", "ICEBERG"), (-1116, "Invalid orderType.")),
        (ask("HOLD", "MARKET"), (-1117, "Invalid side.")),
        (Ask("DOGEUSDT", "BUY", "MARKET", D(1)), (-1121, "Invalid symbol.")),
    ],
)
def test_an_order_is_refused_in_the_words_of_the_real_exchange(wanted: Ask, answer: tuple[int, str]) -> None:
    venue = venue_of(CALM)
    assert refusal(venue, wanted) == answer
    assert venue.wallet.totals() == {"BTC": 10, "USDT": 100_000}


def test_a_client_order_id_is_refused_while_an_order_of_that_name_is_open_and_taken_after() -> None:
    venue = venue_of(CALM, FREE)
    first = venue.place(ask("BUY", "LIMIT", price="90", cid="mine"))
    assert refusal(venue, ask("BUY", "MARKET", cid="mine")) == (-2010, "Duplicate order sent.")
    venue.cancel(first)
    second = venue.place(ask("BUY", "MARKET", cid="mine"))
    assert second.status == "FILLED"
    assert venue.find("BTCUSDT", None, "mine") is second


def test_an_order_that_is_done_cannot_be_cancelled() -> None:
    venue = venue_of(CALM, FREE)
    with pytest.raises(RefusedError, match="-2011: Unknown order sent"):
        venue.cancel(venue.place(ask("BUY", "MARKET")))


def test_old_orders_are_forgotten_and_their_names_with_them() -> None:
    venue = venue_of(CALM, FREE)
    small = Venue(list(venue.tapes.values()), {"USDT": D(1000)}, FREE, start_ms=START, history=3)
    for number in range(10):
        small.place(ask("BUY", "MARKET", cid=f"n{number}"))
    assert [order.cid for order in small.orders.values()] == ["n7", "n8", "n9"]
    assert small.find("BTCUSDT", None, "n0") is None
