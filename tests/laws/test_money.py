from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.waves import sinus
from itb.engine.venue import Venue
from itb.laws.money import check_money
from itb.ledger.equity import Account, replay
from itb.ledger.trades import round_trips
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.fills import Fill
from itb.market.instrument import Instrument

START = 10_000.0


def tape(seed: int, currency: str) -> tuple[Bars, list[Fill]]:
    rng = np.random.default_rng(seed)
    bars = sinus(bars=200)
    return bars, list(_fills(rng, bars, currency))


def _fills(rng: np.random.Generator, bars: Bars, currency: str) -> Iterator[Fill]:
    for number, bar in enumerate(np.sort(rng.integers(0, len(bars), 40)).tolist()):
        qty, price = float(rng.choice([-2.0, -1.0, 1.0, 2.0])), float(bars.open[bar])
        worth = abs(qty) * price * 0.001
        in_base = currency == "base" and qty > 0
        name = "quote" if currency == "base" and not in_base else currency
        fee = qty * 0.001 if in_base else worth
        yield Fill(bar, int(bars.open_time[bar]), number + 1, bars.symbol, qty, price, fee, worth, name)


def what_is_checked(bars: Bars, fills: list[Fill], account: Account) -> dict[str, Any]:
    trades = round_trips(fills, bars)
    return {
        "start_cash": START,
        "equity": account.equity.copy(),
        "cash": account.cash.copy(),
        "position": account.position.copy(),
        "trades": trades,
    }


@pytest.mark.parametrize("currency", ["quote", "base", "BNB"])
@pytest.mark.parametrize("seed", range(5))
def test_an_honest_account_passes(seed: int, currency: str) -> None:
    bars, fills = tape(seed, currency)
    result = check_money(bars, fills, **what_is_checked(bars, fills, replay(fills, bars, START)))
    assert result.passed, result.evidence
    assert "40 fills explain every one of 200 bars" in result.evidence


@pytest.mark.parametrize("name", ["cash", "position", "equity"])
def test_a_cent_that_comes_from_nowhere_is_found_with_its_bar(name: str) -> None:
    bars, fills = tape(1, "quote")
    run = what_is_checked(bars, fills, replay(fills, bars, START))
    run[name][123:] += 0.01
    result = check_money(bars, fills, **run)
    assert not result
    assert result.evidence.startswith(f"{name} at bar 123 (")
    assert result.figures["difference"] == pytest.approx(0.01)


def test_equity_that_is_not_a_number_breaks_the_law() -> None:
    bars, fills = tape(1, "quote")
    run = what_is_checked(bars, fills, replay(fills, bars, START))
    run["equity"][7] = np.nan
    assert "equity at bar 7" in check_money(bars, fills, **run).evidence


def test_a_fee_that_was_forgotten_is_found() -> None:
    bars, fills = tape(2, "quote")
    free = [replace(fill, fee=0.0, fee_quote=0.0) for fill in fills]
    run = what_is_checked(bars, free, replay(free, bars, START))
    assert not check_money(bars, fills, **run)


def test_a_trade_that_is_missing_is_found() -> None:
    bars, fills = tape(3, "quote")
    run = what_is_checked(bars, fills, replay(fills, bars, START))
    run["trades"] = run["trades"][1:]
    result = check_money(bars, fills, **run)
    assert "its" in result.evidence
    assert "trades explain" in result.evidence


def test_a_fill_outside_the_bars_breaks_the_law() -> None:
    bars, fills = tape(3, "quote")
    late = replace(fills[-1], bar=999)
    run = what_is_checked(bars, fills, replay(fills, bars, START))
    assert "expected a bar from" in check_money(bars, [*fills[:-1], late], **run).evidence


class CoinFlipper(bt.Strategy):
    """Buys, sells, reverses and closes at random."""

    params: Any = (("seed", 0),)

    def __init__(self) -> None:
        self.rng = np.random.default_rng(self.p.seed)

    def next(self) -> None:
        action, size = self.rng.integers(0, 12), float(self.rng.choice([0.5, 1.0, 1.5]))
        if action == 0:
            self.buy(size=size)
        elif action == 1:
            self.sell(size=size)
        elif action == 2:
            self.close()


@pytest.mark.parametrize("funding", [{}, dict.fromkeys(range(0, 600, 8), 0.0001)], ids=["spot", "perpetual"])
@pytest.mark.parametrize("currency", ["quote", "base", "BNB"])
def test_the_engine_keeps_the_law_whatever_a_strategy_does(currency: str, funding: dict[int, float]) -> None:
    bars = sinus(bars=600)
    instrument = Instrument(bars.symbol, step=Decimal("0.01"))
    venue = Venue(costs=Costs(fee_currency=currency, impact_bps=3), instrument=instrument, funding=funding)
    result = Backtest(CoinFlipper, {"seed": 1}, 20 * float(bars.close[0]), venue).run(bars)
    checked = check_money(
        bars,
        result.fills,
        start_cash=result.starting_cash,
        equity=result.equity,
        cash=result.cash,
        position=result.position,
        trades=result.trades,
        dust=result.dust,
    )
    assert len(result.trades) > 20
    assert checked.passed, checked.evidence
