"""The paper engine and the practice exchange are two machines with one price model: here they are held equal."""

from __future__ import annotations

from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from itb.live.gateways.matching import MatchingEngine, PriceBar, VenueRefusal
from itb.live.gateways.port import OrderRequest
from itb.live.practice.orders import Ask
from itb.live.practice.refusals import RefusedError
from itb.live.practice.settlement import Terms
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from tests.live.practice.conftest import MINUTE, START

RULES = Instrument("BTC/USDT", tick=D("0.01"), step=D("0.001"), min_qty=D("0.001"), min_notional=D(5))
MONEY = {"BTC": D(1_000), "USDT": D(1_000_000)}
KINDS = {"market": "MARKET", "limit": "LIMIT", "stop": "STOP_LOSS"}
Asked = tuple[int, str, str, D, D]
Done = tuple[str, int, D, D, D, str]
prices = st.integers(9_500, 10_500).map(lambda ticks: D(ticks) / 100)


@st.composite
def bar_rows(draw: st.DrawFn) -> list[tuple[D, D, D, D]]:
    """Bars, with a jump between two of them now and then."""
    rows, last = [], D(100)
    for _ in range(draw(st.integers(2, 6))):
        opened = draw(prices) if draw(st.booleans()) else last
        high, low, last = draw(prices), draw(prices), draw(prices)
        rows.append((opened, max(opened, high, low, last), min(opened, high, low, last), last))
    return rows


def plain(rows: list[tuple[D, D, D, D]], asked: list[Asked]) -> list[Asked]:
    """Leave out what the two see differently by design: limits and stops that arrive at a jump.

    The practice exchange knows the open of a bar that begins at that very moment, paper the close of the one before.
    """
    closes = [D(100), *(row[3] for row in rows)]
    return [one for one in asked if one[0] < len(rows) and (one[1] == "market" or rows[one[0]][0] == closes[one[0]])]


orders = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(sorted(KINDS)), st.sampled_from(["buy", "sell"]), prices,
              st.integers(100, 5_000).map(lambda steps: D(steps) / 1_000)),
    min_size=1, max_size=8,
)  # fmt: skip


def on_paper(rows: list[tuple[D, D, D, D]], asked: list[Asked], fee_currency: str) -> tuple[set[Done], dict[str, D]]:
    """Send each order at the close of a bar to the engine, and pass the bars on."""
    costs = Costs(10, 20, fee_currency, 0.0)  # no fee has more than the 8 decimals of the exchange
    engine = MatchingEngine((RULES,), MONEY, costs, matching="next_open")
    done: set[Done] = set()
    for number, (opened, high, low, closed) in enumerate([(D(100),) * 4, *rows]):
        time = START + (number - 1) * MINUTE
        engine.now = time
        engine.bar("BTC/USDT", PriceBar(time, opened, high, low, closed))
        engine.now = time + MINUTE
        for place, (bar, kind, side, price, qty) in enumerate(asked):
            if bar == number:
                limit, stop = (price if kind == name else None for name in ("limit", "stop"))
                try:
                    engine.submit(OrderRequest(f"o{place}", "BTC/USDT", side, kind, qty, limit, stop, engine.now))  # type: ignore[arg-type]
                except VenueRefusal:
                    done.add((f"o{place}", -1, D(0), D(0), D(0), ""))
    names = {order.order_id: order.client_id for order in engine.orders.values()}
    done |= {
        (names[one.order_id], (one.time - START) // MINUTE, one.price, one.qty, one.fee, one.fee_currency)
        for one in engine.trades
    }
    return done, dict(engine.totals)


def in_practice(rows: list[tuple[D, D, D, D]], asked: list[Asked], fee_currency: str) -> tuple[set[Done], dict[str, D]]:
    """Send the same orders at the same closes to the practice exchange."""
    every = [(D(100),) * 4, *rows]
    columns = {
        name: [float(row[place]) for row in every] for place, name in enumerate(("open", "high", "low", "close"))
    }
    bars = Bars.of("BTC/USDT", "1m", [START + (i - 1) * MINUTE for i in range(len(every))], **columns,
                   volume=[1.0] * len(every))  # fmt: skip
    terms = Terms(D("0.001"), D("0.002"), fee_currency)
    venue = Venue([Tape(bars, RULES, START)], MONEY, terms, start_ms=START)
    done: set[Done] = set()
    for number in range(len(every)):
        venue.advance(START + number * MINUTE)
        for place, (bar, kind, side, price, qty) in enumerate(asked):
            if bar == number:
                limit, stop = (price if kind == name else D(0) for name in ("limit", "stop"))
                try:
                    venue.place(Ask("BTCUSDT", side.upper(), KINDS[kind], qty, limit, stop, cid=f"o{place}"))
                except RefusedError:
                    done.add((f"o{place}", -1, D(0), D(0), D(0), ""))
    names = {order.id: order.cid for order in venue.orders.values()}
    done |= {
        (names[one.order_id], (one.time - START) // MINUTE, one.price, one.qty, one.fee, one.fee_asset)
        for one in venue.fills("BTCUSDT")
    }
    return done, venue.wallet.totals()


@settings(max_examples=150)
@given(bar_rows(), orders, st.sampled_from(["quote", "base"]))
def test_paper_and_practice_execute_the_same_orders_alike(
    rows: list[tuple[D, D, D, D]], asked: list[Asked], fee_currency: str
) -> None:
    asked = plain(rows, asked)
    assert on_paper(rows, asked, fee_currency) == in_practice(rows, asked, fee_currency)
