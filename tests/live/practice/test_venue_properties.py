"""Laws of the venue for any market and any orders: money is conserved, and a slow matcher finds the same fills."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal as D
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from itb.live.practice.orders import Ask
from itb.live.practice.refusals import RefusedError
from itb.live.practice.settlement import Terms
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue
from itb.market.bars import Bars
from itb.market.instrument import Instrument
from tests.live.practice.conftest import MINUTE, START, Rows, bars_of

KINDS = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
OPENING = {"BTC": D(30), "USDT": D(3000), "BNB": D("0.01")}


@st.composite
def bar_rows(draw: Callable[..., Any], count: int = 6) -> Rows:
    """Bars of whole prices around 100."""
    rows: Rows = []
    for _ in range(count):
        opened, closed = draw(st.integers(92, 108)), draw(st.integers(92, 108))
        high, low = max(opened, closed) + draw(st.integers(0, 4)), min(opened, closed) - draw(st.integers(0, 4))
        rows.append((float(opened), float(high), float(low), float(closed), float(draw(st.integers(0, 9)))))
    return rows


@st.composite
def asks(draw: Callable[..., Any], kinds: tuple[str, ...] = KINDS, fraction: int = 100_000) -> Ask:
    kind = draw(st.sampled_from(kinds))
    level = st.integers(88, 112).map(D)
    return Ask(
        "BTCUSDT",
        draw(st.sampled_from(("BUY", "SELL"))),
        kind,
        D(draw(st.integers(1, 900_000))) / fraction,
        price=draw(level) if "LIMIT" in kind else D(0),
        stop=draw(level) if kind.startswith(("STOP", "TAKE")) else D(0),
        tif=draw(st.sampled_from(("GTC", "GTC", "IOC", "FOK"))) if kind == "LIMIT" else "GTC",
    )


terms = st.builds(
    Terms,
    taker_fee=st.sampled_from([D(0), D("0.001"), D("0.0123")]),
    maker_fee=st.sampled_from([D(0), D("0.00075")]),
    fee_currency=st.sampled_from(["quote", "base", "BNB"]),
    slippage=st.sampled_from([D(0), D("0.000123456")]),
    volume_share=st.sampled_from([None, D(1), D("0.37")]),
)
steps = st.lists(
    st.one_of(
        asks(),
        st.tuples(st.just("pair"), asks(("LIMIT_MAKER",)), asks(("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT"))),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("go"), st.integers(1, 2 * MINUTE)),
    ),
    min_size=1,
    max_size=25,
)


def tapes(rows: Rows, coin: Rows, tick: D = D("0.01")) -> list[Tape]:
    coins: Bars = bars_of(coin, "BNB/USDT")
    return [
        Tape(bars_of(rows), Instrument("BTC/USDT", tick=tick, step=D("0.00001"), min_notional=D(0)), START),
        Tape(coins, Instrument("BNB/USDT"), START),
    ]


@settings(max_examples=150)
@given(rows=bar_rows(), coin=bar_rows(), terms=terms, steps=steps, pieces=st.sampled_from([None, D("0.3")]))
def test_every_coin_is_where_the_fills_put_it_and_no_balance_is_negative(
    rows: Rows, coin: Rows, terms: Terms, steps: list[Any], pieces: D | None
) -> None:
    venue = Venue(tapes(rows, coin), OPENING, terms, start_ms=START)
    venue.matching.slice_of = None if pieces is None else lambda _order, qty: qty * pieces
    heard: list[dict[str, Any]] = []
    for step in steps:
        with contextlib.suppress(RefusedError):
            take(venue, step)
        heard += venue.events
        venue.events.clear()
        check_money(venue)
    check_events(venue, heard)


def take(venue: Venue, step: Any) -> None:
    if isinstance(step, Ask):
        venue.place(step)
    elif step[0] == "pair":
        first, second = step[1], step[2]
        venue.place_pair(first, Ask(second.symbol, first.side, second.kind, first.qty, second.price, second.stop))
    elif step[0] == "cancel":
        if (order := venue.orders.get(step[1])) is not None:
            venue.cancel(order)
    else:
        venue.advance(venue.now + step[1])


def check_money(venue: Venue) -> None:
    expected = defaultdict(D, OPENING)
    for fill in [*venue.fills("BTCUSDT"), *venue.fills("BNBUSDT")]:
        sign = 1 if fill.side == "BUY" else -1
        expected["BTC"] += sign * fill.qty
        expected["USDT"] -= sign * fill.notional
        expected[fill.fee_asset] -= fill.fee
        assert 0 <= fill.price * fill.qty - fill.notional < D("1e-8")
    wallet = venue.wallet
    assert {name: amount for name, amount in expected.items() if amount} == {
        name: amount for name, amount in wallet.totals().items() if amount
    }
    assert min(*map(wallet.free, wallet.assets()), *map(wallet.locked, wallet.assets())) >= 0
    held: dict[str, D] = defaultdict(D)
    for order in venue.orders.values():
        held["USDT" if order.is_buy else "BTC"] += order.reserved
        assert order.is_open or order.reserved == 0
        assert order.filled == sum(fill.qty for fill in order.fills) <= order.qty
        assert (order.status == "FILLED") == (order.rest == 0)
        for fill in order.fills:
            if order.is_limit:
                assert fill.price <= order.ask.price if order.is_buy else fill.price >= order.ask.price
    assert all(wallet.locked(name) == amount for name, amount in held.items())


def check_events(venue: Venue, heard: list[dict[str, Any]]) -> None:
    reports = [event for event in heard if event["e"] == "executionReport"]
    traded = [event["t"] for event in reports if event["x"] == "TRADE"]
    assert traded == sorted(fill.id for fill in venue.fills("BTCUSDT"))  # each once, in order
    last = {event["i"]: event["X"] for event in reports}
    assert last == {number: order.status for number, order in venue.orders.items()}


class Seen(NamedTuple):
    order: int
    price: int
    qty: D


class SlowMatcher:
    """The rules again, one whole price at a time: no levels are computed, nothing is skipped."""

    def __init__(self, rows: Rows, wanted: list[Ask], share: D | None) -> None:
        self.rows, self.share = rows, share
        self.orders: list[dict[str, Any]] = []
        self.seen: list[Seen] = []
        self.budget = self._volume(rows[1])
        opened = int(rows[1][0])
        for ask in wanted:
            is_limit = ask.kind in {"LIMIT", "LIMIT_MAKER"}
            acts = self._limit_acts(ask, opened) if is_limit else self._trigger_acts(ask, opened)
            if acts and ask.kind != "LIMIT":
                continue  # refused
            order = {"id": len(self.orders), "ask": ask, "rest": ask.qty, "is_limit": is_limit, "is_done": False}
            self.orders.append(order)
            if acts:
                self._trade(order, opened)

    def run(self) -> list[Seen]:
        for number, (opened, high, low, closed, _) in enumerate(self.rows[1:]):
            if number:
                self.budget = self._volume(self.rows[number + 1])
            self._jump(int(opened))
            price = int(opened)
            for target in (int(low), int(high), int(closed)):
                while price != target:
                    price += 1 if target > price else -1
                    self._visit(price)
        return self.seen

    def _volume(self, row: tuple[float, ...]) -> D:
        return D(10**9) if self.share is None else D(str(row[4])) * self.share

    def _jump(self, price: int) -> None:
        crossed = [(-abs(self._level(o) - price), o["id"], o) for o in self.orders if self._acts(o, price)]
        for *_, order in sorted(crossed, key=lambda one: one[:2]):
            self._turn(order, price)

    def _visit(self, price: int) -> None:
        for order in self.orders:
            if self._acts(order, price):
                self._turn(order, price)

    def _turn(self, order: dict[str, Any], price: int) -> None:
        if order["is_limit"]:
            self._trade(order, price)
            return
        order["is_limit"] = "LIMIT" in order["ask"].kind
        if not order["is_limit"]:
            self._trade(order, price)
            order["is_done"] = True
        elif self._limit_acts(order["ask"], price):
            self._trade(order, price)

    def _trade(self, order: dict[str, Any], price: int) -> None:
        qty = min(order["rest"], self.budget)
        if qty > 0:
            order["rest"] -= qty
            self.budget -= qty
            order["is_done"] = order["rest"] == 0
            self.seen.append(Seen(order["id"], price, qty))

    def _level(self, order: dict[str, Any]) -> D:
        level: D = order["ask"].price if order["is_limit"] else order["ask"].stop
        return level

    def _acts(self, order: dict[str, Any], price: int) -> bool:
        if order["is_done"]:
            return False
        return self._limit_acts(order["ask"], price) if order["is_limit"] else self._trigger_acts(order["ask"], price)

    @staticmethod
    def _limit_acts(ask: Ask, price: int) -> bool:
        return price <= ask.price if ask.side == "BUY" else price >= ask.price

    @staticmethod
    def _trigger_acts(ask: Ask, price: int) -> bool:
        is_target = ask.kind.startswith("TAKE")
        return price <= ask.stop if (ask.side == "BUY") == is_target else price >= ask.stop


@settings(max_examples=300)
@given(
    rows=bar_rows(),
    wanted=st.lists(
        asks(("LIMIT", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")).map(
            lambda ask: Ask(ask.symbol, ask.side, ask.kind, ask.qty, ask.price, ask.stop)
        ),
        max_size=8,
    ),
    share=st.sampled_from([None, D(1), D("0.5")]),
)
def test_a_slow_matcher_that_visits_every_price_finds_the_same_fills(
    rows: Rows, wanted: list[Ask], share: D | None
) -> None:
    venue = Venue(
        tapes(rows, rows, tick=D(1)),
        {"BTC": D(10**6), "USDT": D(10**8)},
        Terms(D(0), D(0), volume_share=share),
        start_ms=START,
    )
    numbers = []
    for ask in wanted:
        try:
            numbers.append(venue.place(ask).id)
        except RefusedError:
            continue
    venue.advance(START + len(rows) * MINUTE)
    found = [Seen(numbers.index(fill.order_id), int(fill.price), fill.qty) for fill in venue.fills("BTCUSDT")]
    assert found == SlowMatcher(rows, wanted, share).run()
