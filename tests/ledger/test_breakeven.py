from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.ledger.breakeven import BreakEven, break_even, cost_curve, gross_prices, slippage_paid
from itb.ledger.equity import replay
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.fills import Fill

Tape = Callable[..., tuple[Bars, list[Fill]]]
START = 5_000.0


def charged(fills: list[Fill], one_way: float) -> list[Fill]:
    """The same fills at their market's price, for a fee of ``one_way`` of the notional in quote."""
    fees = [abs(fill.qty) * fill.price * one_way for fill in fills]
    return [replace(fill, fee=fee, fee_quote=fee) for fill, fee in zip(fills, fees, strict=True)]


def slipped(fills: list[Fill], costs: Costs, bars: Bars) -> list[Fill]:
    shares = [abs(fill.qty) / float(bars.volume[fill.bar]) for fill in fills]
    slips = [math.copysign(costs.slippage(share), fill.qty) for fill, share in zip(fills, shares, strict=True)]
    return [replace(fill, price=fill.price * (1 + slip)) for fill, slip in zip(fills, slips, strict=True)]


def final(fills: list[Fill], bars: Bars) -> float:
    return float(replay(fills, bars, START).equity[-1])


@given(seed=st.integers(0, 2**32 - 1))
def test_charging_the_break_even_cost_leaves_exactly_the_starting_cash(tape: Tape, seed: int) -> None:
    bars, fills = tape(seed, fills=30)
    gross = np.array([fill.price for fill in fills])
    edge = break_even(fills, gross, start_cash=START, final_equity=final(fills, bars))
    at_zero = final(charged(fills, 0.0), bars) - START
    assert edge.gross_pnl == pytest.approx(at_zero, abs=1e-8)
    assert (edge.break_even_bps is None) == (at_zero <= 0)
    if edge.break_even_bps is not None:
        assert final(charged(fills, edge.break_even_bps / 1e4), bars) == pytest.approx(START)


@pytest.mark.parametrize("currency", ["quote", "base", "BNB"])
def test_what_fees_and_slippage_took_does_not_change_the_break_even_cost(tape: Tape, currency: str) -> None:
    bars, fills = tape(4, currency=currency)
    market = np.array([fill.price for fill in fills])
    free = charged([replace(fill, fee_currency="quote") for fill in fills], 0.0)
    costs = Costs(slippage_bps=7, spread_bps=3, impact_bps=20)
    dear = slipped(fills, costs, bars)
    paid = break_even(dear, gross_prices(dear, costs, bars), start_cash=START, final_equity=final(dear, bars))
    nothing = break_even(free, market, start_cash=START, final_equity=final(free, bars))
    # Coins paid as fees would have been held to the end: their move in price is all that may differ.
    coins = sum(fill.fee for fill in dear if fill.fee_currency == "base")
    assert paid.gross_pnl == pytest.approx(nothing.gross_pnl, abs=1e-6 + coins * float(np.ptp(market)) * 2)
    assert paid.notional == pytest.approx(nothing.notional)
    assert paid.charged_bps > 10


def test_slippage_is_taken_out_of_prices_to_the_last_digits(tape: Tape) -> None:
    bars, fills = tape(2)
    costs = Costs(slippage_bps=7, spread_bps=3, impact_bps=20)
    gross = gross_prices(slipped(fills, costs, bars), costs, bars)
    np.testing.assert_allclose(gross, [fill.price for fill in fills], rtol=1e-14)


def test_take_profits_and_funding_do_not_slip(tape: Tape) -> None:
    bars, _ = tape(2, bars=3, fills=0)
    target = Fill(1, int(bars.open_time[1]), 1, "BTC/USDT", -1.0, 101.0, 0.0, 0.0, reason="target")
    paid = replace(target, qty=0.0, reason="funding")
    assert gross_prices([target, paid], Costs(), bars).tolist() == [101.0, 101.0]


def test_a_bar_without_volume_has_the_whole_impact(tape: Tape) -> None:
    bars = Bars.of("BTC/USDT", "1m", [0], open=[100], high=[100], low=[100], close=[100], volume=[0])
    bought = Fill(0, 0, 1, "BTC/USDT", 1.0, 101.0, 0.0, 0.0)
    assert gross_prices([bought], Costs(slippage_bps=0, impact_bps=100), bars).tolist() == pytest.approx([100.0])


def test_slippage_paid_is_positive_on_both_sides_and_negative_for_better_prices() -> None:
    bought = Fill(0, 0, 1, "BTC/USDT", 2.0, 101.0, 0.0, 0.0)
    sold = replace(bought, qty=-2.0, price=99.0)
    assert slippage_paid([bought, sold], np.array([100.0, 100.0])) == 4.0
    assert slippage_paid([bought], np.array([102.0])) == -2.0


def test_funding_is_a_cash_flow_and_no_cost_of_trading(tape: Tape) -> None:
    bars, _ = tape(2, bars=5, fills=0)
    bought = Fill(1, int(bars.open_time[1]), 1, "BTC/USDT", 1.0, 100.0, 0.0, 0.0)
    paid = Fill(2, int(bars.open_time[2]), 0, "BTC/USDT", 0.0, 100.0, 3.0, 3.0, "quote", "funding")
    gross = np.array([100.0, 100.0])
    edge = break_even([bought, paid], gross, start_cash=START, final_equity=final([bought, paid], bars))
    assert edge.gross_pnl == pytest.approx(bars.close[-1] - 100 - 3)
    assert edge.notional == 100.0
    assert edge.charged_bps == 0.0


def test_without_fills_there_is_no_break_even() -> None:
    edge = break_even([], np.array([]), start_cash=START, final_equity=START)
    assert edge.break_even_bps is None
    assert str(edge) == "none"
    assert math.isnan(edge.charged_bps)


def test_without_a_gross_edge_there_is_no_break_even() -> None:
    assert BreakEven(0.0, 1_000.0, 15.0, START).break_even_bps is None
    assert BreakEven(-5.0, 1_000.0, 15.0, START).break_even_bps is None


def test_the_curve_passes_the_charged_and_the_break_even_cost() -> None:
    edge = BreakEven(100.0, 20_000.0, 15.0, 1_000.0)
    grid, returns = cost_curve(edge)
    assert (grid[0], grid[-1], returns[0]) == (0.0, 100.0, 0.1)
    assert np.interp(50.0, grid, returns) == pytest.approx(0.0)
    assert cost_curve(BreakEven(0.0, 0.0, math.nan, 1_000.0))[0][-1] == 10.0
