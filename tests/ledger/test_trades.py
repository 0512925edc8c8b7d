from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.ledger.equity import replay
from itb.ledger.trades import OpenTrade, Trade, TradeBook, TradeHistory, round_trips
from itb.market.bars import Bars
from itb.market.fills import Fill, FillReason

Tape = Callable[..., tuple[Bars, list[Fill]]]
Stopwatch = Callable[[Callable[[], object]], float]


def fill(
    bar: int,
    qty: float,
    price: float,
    fee: float = 0.0,
    currency: str = "quote",
    *,
    reason: FillReason = "signal",
    worth: float | None = None,
) -> Fill:
    worth = fee if worth is None else worth
    return Fill(bar, bar * 60_000, bar + 1, "BTC/USDT", qty, price, fee, worth, currency, reason)


def book_of(*fills: Fill, dust: float = 0.0) -> TradeBook:
    book = TradeBook("BTC/USDT", dust)
    for one in fills:
        book.add(one)
    return book


def standing(history: TradeHistory) -> OpenTrade:
    assert history.open is not None
    return history.open


def test_a_round_trip_carries_its_prices_fees_times_and_reasons() -> None:
    trade = book_of(fill(2, 2.0, 100.0, 0.25, reason="entry"), fill(5, -2.0, 110.0, 0.75, reason="stop")).closed[0]
    assert trade == Trade(
        "BTC/USDT",
        "long",
        2,
        120_000,
        5,
        300_000,
        2.0,
        100.0,
        110.0,
        1.0,
        19.0,
        19 / 200,
        3,
        "entry",
        "stop",
        0.0,
        False,
    )


def test_scale_ins_and_partial_exits_average_the_prices_of_one_trade() -> None:
    book = book_of(fill(0, 1, 100.0), fill(1, 3, 120.0), fill(2, -2, 130.0), fill(3, -2, 110.0, reason="time"))
    (trade,) = book.closed
    assert (trade.qty, trade.entry_price, trade.exit_price, trade.pnl) == (4, 115.0, 120.0, 20.0)
    assert (trade.entry_reason, trade.exit_reason, trade.return_) == ("signal", "time", 20 / 460)


def test_a_short_gains_when_the_price_falls() -> None:
    (trade,) = book_of(fill(0, -2, 100.0, 1.0), fill(1, 2, 90.0, 1.0)).closed
    assert (trade.side, trade.direction, trade.pnl, trade.qty) == ("short", -1, 18.0, 2)


def test_a_reversing_fill_ends_one_trade_and_begins_the_next_with_its_share_of_the_fee() -> None:
    book = book_of(fill(0, 1, 100.0, 1.0), fill(1, -4, 110.0, 4.0, reason="reverse"), fill(2, 3, 100.0, 3.0))
    long, short = book.closed
    assert (long.pnl, long.fees_quote, long.exit_reason) == (8.0, 2.0, "reverse")
    assert (short.pnl, short.fees_quote, short.qty, short.entry_bar) == (24.0, 6.0, 3, 1)


def test_a_fee_taken_in_base_makes_the_trade_smaller_and_counts_once() -> None:
    book = book_of(fill(0, 10.0, 100.0, 0.01, "base", worth=1.0), fill(1, -9.99, 110.0, 1.0989))
    (trade,) = book.closed
    assert trade.qty == 9.99
    assert trade.entry_price == 100.0
    assert trade.pnl == pytest.approx(9.99 * 110 - 1.0989 - 1000)
    assert trade.fees_quote == pytest.approx(2.0989)


def test_a_fee_in_a_third_currency_counts_at_its_worth_in_quote() -> None:
    (trade,) = book_of(fill(0, 1, 100.0, 0.002, "BNB", worth=1.0), fill(1, -1, 110.0, 0.003, "BNB", worth=1.1)).closed
    assert (trade.pnl, trade.fees_quote) == pytest.approx((7.9, 2.1))


def test_dust_below_the_step_ends_with_the_trade_and_is_carried() -> None:
    first = (fill(0, 0.01, 100.0, 0.00001, "base", worth=0.001), fill(1, -0.009, 110.0))
    book = book_of(*first, dust=0.001)
    assert book.open is None
    assert book.position == pytest.approx(0.00099)
    assert book.closed[0].pnl == pytest.approx(0.009 * 110 + 0.00099 * 110 - 1.0)
    assert book.adrift(110.0) == pytest.approx(0.0)
    assert book.adrift(120.0) == pytest.approx(0.0099)
    book.add(fill(2, 0.01, 120.0))
    assert (standing(book).qty, standing(book).entry_price) == pytest.approx((0.01099, 120.0))
    book.add(fill(3, -0.01, 130.0))
    assert len(book.closed) == 2
    assert book.closed[1].pnl == pytest.approx(0.01 * 10 + 0.00099 * 20)


def test_without_dust_a_residue_keeps_the_trade_open() -> None:
    assert standing(book_of(fill(0, 0.01, 100.0), fill(1, -0.009, 110.0))).qty == pytest.approx(0.001)


def test_what_floating_point_leaves_of_a_position_is_no_position() -> None:
    book = book_of(fill(0, 0.1, 100.0), fill(1, 0.2, 100.0), fill(2, -0.3, 100.0))
    assert (book.open, len(book.closed)) == (None, 1)
    other = book_of(fill(0, 0.3, 100.0), fill(1, -0.1, 100.0), fill(2, -0.2, 100.0), fill(3, -1, 100.0))
    assert [trade.side for trade in other.closed] == ["long"]
    assert standing(other).side == "short"


def test_selling_dust_alone_opens_no_trade_and_loses_no_cent() -> None:
    book = book_of(fill(0, 0.01, 100.0), fill(1, -0.0095, 110.0), fill(2, -0.0004, 120.0), dust=0.001)
    assert book.open is None
    assert book.closed[0].pnl + book.adrift(130.0) == pytest.approx(-1 + 0.0095 * 110 + 0.0004 * 120 + 0.0001 * 130)


def test_funding_is_part_of_the_trade_but_no_fee() -> None:
    paid = fill(1, 0.0, 105.0, 0.3, reason="funding")
    (trade,) = book_of(fill(0, 1, 100.0, 0.1), paid, fill(2, -1, 110.0, 0.1)).closed
    assert (trade.funding, trade.fees_quote, trade.pnl) == pytest.approx((0.3, 0.2, 9.5))


def test_an_open_trade_is_marked_to_the_last_close(tape: Tape) -> None:
    bars, _ = tape(1, bars=5, fills=0)
    bought = Fill(1, int(bars.open_time[1]), 1, "BTC/USDT", 2.0, 90.0, 1.0, 1.0, reason="entry")
    sold = Fill(2, int(bars.open_time[2]), 2, "BTC/USDT", -1.0, 95.0, 1.0, 1.0)
    (trade,) = round_trips([bought, sold], bars)
    close = float(bars.close[-1])
    assert (trade.is_open, trade.exit_reason, trade.exit_bar, trade.bars_held) == (True, "open", 4, 3)
    assert trade.exit_time == bars.open_time[-1]
    assert trade.pnl == pytest.approx(-180 - 2 + 95 + close)
    assert trade.exit_price == pytest.approx((95 + close) / 2)


def test_history_can_be_asked_while_running() -> None:
    book = TradeBook("BTC/USDT")
    history: TradeHistory = book
    assert (history.open, history.last_exit_time, list(history.closed)) == (None, None, [])
    book.add(fill(3, -2.0, 100.0, 0.2, reason="entry"))
    opened = standing(history)
    assert (opened.side, opened.direction, opened.qty, opened.entry_bar, opened.entry_time) == (
        "short",
        -1,
        2,
        3,
        180_000,
    )
    book.add(fill(4, 1.0, 90.0))
    assert (standing(book).qty, standing(book).entry_price) == (1.0, 100.0)
    book.add(fill(5, 1.0, 90.0))
    assert (book.last_exit_time, len(book.closed)) == (300_000, 1)


def test_there_is_nothing_to_mark_while_flat() -> None:
    assert book_of(fill(0, 1, 100.0), fill(1, -1, 100.0)).mark(2, 120_000, 100.0) is None


def test_a_fill_of_another_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="fill of BTC/USDT in the book of ETH/USDT"):
        TradeBook("ETH/USDT").add(fill(0, 1, 1.0))
    with pytest.raises(ValueError, match="dust must be a quantity of at least 0, was -1"):
        TradeBook("ETH/USDT", dust=-1)


def trades_unit_by_unit(fills: list[Fill]) -> list[tuple[str, int, int, float]]:
    """The oracle: every fill cut into single coins, each with its share of the fee; a trade runs from flat to flat."""
    trades, held, pnl, began = [], 0, 0.0, 0
    for one in fills:
        units = round(abs(one.qty))
        for _ in range(units):
            sign = 1 if one.qty > 0 else -1
            if held == 0:
                pnl, began = 0.0, one.bar
            held += sign
            pnl -= sign * one.price + one.fee_quote / units
            if held == 0:
                trades.append(("long" if sign < 0 else "short", began, one.bar, pnl))
    return trades


@pytest.mark.parametrize("seed", range(20))
def test_trades_equal_those_of_fills_cut_into_single_coins(tape: Tape, seed: int) -> None:
    _, fills = tape(seed, fills=120)
    trades = book_of(*fills).closed
    slow = trades_unit_by_unit(fills)
    assert [(trade.side, trade.entry_bar, trade.exit_bar) for trade in trades] == [entry[:3] for entry in slow]
    assert [trade.pnl for trade in trades] == pytest.approx([entry[3] for entry in slow], abs=1e-9)


@given(
    seed=st.integers(0, 2**32 - 1),
    currency=st.sampled_from(["quote", "base", "BNB"]),
    funding=st.booleans(),
    dust=st.sampled_from([0.0, 0.05]),
)
def test_trades_explain_every_cent_of_the_account(
    tape: Tape, seed: int, currency: str, funding: bool, dust: float
) -> None:
    bars, fills = tape(seed, currency=currency, funding=funding)
    gained = replay(fills, bars, 1_000.0).equity[-1] - 1_000.0
    book = book_of(*fills, dust=dust)
    open_pnl = sum(trade.pnl for trade in round_trips(fills, bars, dust=dust) if trade.is_open)
    explained = sum(trade.pnl for trade in book.closed) + open_pnl + book.adrift(float(bars.close[-1]))
    assert explained == pytest.approx(gained, abs=1e-7)


@given(seed=st.integers(0, 2**32 - 1))
def test_pnl_is_the_move_of_the_average_price_less_costs(tape: Tape, seed: int) -> None:
    _, fills = tape(seed, funding=True)
    for trade in book_of(*fills).closed:
        move = trade.direction * (trade.exit_price - trade.entry_price) * trade.qty
        assert trade.pnl == pytest.approx(move - trade.fees_quote - trade.funding, abs=1e-8)


def test_five_thousand_fills_are_gathered_in_milliseconds(cpu_ms: Stopwatch) -> None:
    prices = {name: [100.0] * 5_000 for name in ("open", "high", "low", "close")}
    bars = Bars.of("BTC/USDT", "1m", [60_000 * bar for bar in range(5_000)], **prices, volume=[1.0] * 5_000)
    fills = [fill(bar, 1.0 if bar % 2 == 0 else -1.0, 100.0, 0.1) for bar in range(5_000)]
    assert cpu_ms(lambda: round_trips(fills, bars)) < 15
