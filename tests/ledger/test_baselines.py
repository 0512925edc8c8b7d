from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from itb.ledger.baselines import buy_and_hold, cash
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.fills import Fill

Tape = Callable[..., tuple[Bars, list[Fill]]]
START = 1_000.0


def test_holding_buys_all_it_can_at_the_first_open_after_a_decision(tape: Tape) -> None:
    bars, _ = tape(1, bars=100, fills=0)
    held = buy_and_hold(bars, Costs(), start_cash=START, start_bar=20)
    (bought,) = held.fills
    price = bars.open[21] * 1.0005
    assert bought.bar == 21
    assert bought.price == pytest.approx(price)
    assert held.account.cash[-1] == pytest.approx(0.0, abs=1e-9)
    assert held.metrics.final_equity == pytest.approx(START / (price * 1.001) * bars.close[-1])
    assert held.metrics.bars == 80
    assert held.metrics.fees == pytest.approx(START - START / 1.001)
    assert held.metrics.slippage == pytest.approx(bought.qty * (price - bars.open[21]))


def test_a_fee_in_base_leaves_fewer_coins(tape: Tape) -> None:
    bars, _ = tape(1, bars=10, fills=0)
    held = buy_and_hold(bars, Costs(fee_currency="base", slippage_bps=0), start_cash=START)
    assert held.account.position[-1] == pytest.approx(START / bars.open[1] * 0.999)
    assert held.account.cash[-1] == pytest.approx(0.0, abs=1e-9)


def test_a_fee_in_a_third_currency_is_owed_beside_the_coins(tape: Tape) -> None:
    bars, _ = tape(1, bars=10, fills=0)
    held = buy_and_hold(bars, Costs(fee_currency="BNB", slippage_bps=0), start_cash=START)
    assert held.account.position[-1] == pytest.approx(START / bars.open[1])
    assert held.account.fee_account[-1] == pytest.approx(-1.0)


def test_holding_a_perpetual_pays_funding(tape: Tape) -> None:
    bars, _ = tape(1, bars=10, fills=0)
    rates = {0: 0.5, 1: 0.5, 4: 0.001, 6: -0.0005, 99: 0.5}
    held = buy_and_hold(bars, Costs(), start_cash=START, funding=rates)
    qty = held.fills[0].qty
    assert held.metrics.funding == pytest.approx(qty * (0.001 * bars.open[4] - 0.0005 * bars.open[6]))
    assert len(held.fills) == 3


def test_the_impact_of_a_large_order_is_paid(tape: Tape) -> None:
    bars, _ = tape(1, bars=10, fills=0)
    costs = Costs(slippage_bps=0, impact_bps=100)
    share = START / bars.open[1] / bars.volume[1]
    (bought,) = buy_and_hold(bars, costs, start_cash=START).fills
    assert bought.price == pytest.approx(bars.open[1] * (1 + 0.01 * min(1.0, share)))


def test_a_single_bar_leaves_nothing_to_buy_at(tape: Tape) -> None:
    bars, _ = tape(1, bars=10, fills=0)
    assert buy_and_hold(bars, Costs(), start_cash=START, start_bar=9).fills == ()


def test_cash_earns_nothing(tape: Tape) -> None:
    bars, _ = tape(1, bars=100, fills=0)
    kept = cash(bars, Costs(), start_cash=START)
    assert (kept.metrics.total_return, kept.metrics.exposure, kept.metrics.fees) == (0.0, 0.0, 0.0)
    assert math.isnan(kept.metrics.sharpe)
