"""A payment between holders falls to strategies by what each held when it was settled, whenever it is heard of."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from itb.live.gateways.port import Funding, VenueOrder, VenueTrade
from itb.live.orders import events as ev
from itb.live.orders.book import Book
from itb.live.orders.funding import held_at, share_of
from itb.live.orders.intent import Intent

PERP, HOUR = "BTC/USDT:USDT", 3_600_000
TRADES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(-5, 5).filter(bool), st.integers(0, 9)), max_size=12)


def book_of(trades: list[tuple[str, int, int]]) -> Book:
    """Book executions of two strategies: who, signed quantity, hour."""
    book = Book()
    for number, (name, qty, hour) in enumerate(trades):
        side = "buy" if qty > 0 else "sell"
        intent = Intent(name, PERP, number, side, "market", Decimal(abs(qty)), reference_price=Decimal(1))  # type: ignore[arg-type]
        order = VenueOrder(f"c{number}", f"v{number}", PERP, side, "market", intent.qty, intent.qty, "filled")  # type: ignore[arg-type]
        trade = VenueTrade(
            str(number), order.order_id, PERP, order.side, intent.qty, Decimal(1), Decimal(0), "USDT", hour * HOUR
        )
        sending = ev.Sending(0, intent.key, order.client_id, 0, 5_000)
        book.replay([ev.Asked(0, intent), sending, ev.Saw(0, order), ev.Traded(0, trade)])
    return book


@given(TRADES, st.integers(0, 10))
def test_what_was_held_is_the_sum_of_what_was_traded_before(trades: list[tuple[str, int, int]], hour: int) -> None:
    slow: dict[str, int] = {}
    for name, qty, at in trades:
        slow[name] = slow.get(name, 0) + (qty if at < hour else 0)
    expected = tuple(sorted((name, Decimal(qty)) for name, qty in slow.items() if qty))
    assert held_at(book_of(trades), PERP, hour * HOUR) == expected


@given(TRADES, st.integers(-100, 100))
def test_shares_add_up_to_the_payment_whoever_is_short(trades: list[tuple[str, int, int]], amount: int) -> None:
    paid = Funding("f", PERP, "USDT", Decimal(amount), 5 * HOUR)
    event = ev.Funded(9 * HOUR, paid, held_at(book_of(trades), PERP, paid.time))
    whole = sum((share_of(event, name) for name in "ab"), Decimal(0))
    is_paid = bool(sum(qty for _, qty in event.held))
    assert abs(whole - int(is_paid)) < Decimal("1e-20")
