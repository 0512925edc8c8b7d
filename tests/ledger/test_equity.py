from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.ledger.equity import daily, drawdown, monthly, replay
from itb.market.bars import Bars
from itb.market.fills import Fill

Tape = Callable[..., tuple[Bars, list[Fill]]]
HOUR = 3_600_000


def slow_account(fills: list[Fill], bars: Bars, cash: int) -> np.ndarray[Any, Any]:
    """The oracle: a loop over all bars in decimals, by what a fill says it moves."""
    balance, held, owed, rows = Decimal(cash), Decimal(0), Decimal(0), []
    for bar, close in enumerate(bars.close.tolist()):
        for one in (fill for fill in fills if fill.bar == bar):
            balance += Decimal(one.cash_change)
            held += Decimal(one.position_change)
            owed -= 0 if one.fee_currency in ("quote", "base") else Decimal(one.fee_quote)
        rows.append([float(x) for x in (balance, held, owed, balance + held * Decimal(close) + owed)])
    return np.array(rows).T


@pytest.mark.parametrize("currency", ["quote", "base", "BNB"])
@pytest.mark.parametrize("seed", range(5))
def test_replay_agrees_with_a_loop_over_every_bar(tape: Tape, seed: int, currency: str) -> None:
    bars, fills = tape(seed, currency=currency, funding=True)
    account = replay(fills, bars, 5_000.0)
    slow = slow_account(fills, bars, 5_000)
    for ours, theirs in zip((account.cash, account.position, account.fee_account, account.equity), slow, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-9)


def test_many_fills_leave_no_rounding_behind(tape: Tape) -> None:
    bars, _ = tape(0, bars=3, fills=0)
    at = int(bars.open_time[0])
    fills = [Fill(0, at, 1, "BTC/USDT", qty, 1.0, 0.0, 0.0) for qty in [0.1] * 10_000 + [-0.1] * 10_000]
    account = replay(fills, bars, 1_000.0)
    assert (account.cash[-1], account.position[-1]) == (1_000.0, 0.0)


def test_replay_of_no_fills_is_the_starting_cash(tape: Tape) -> None:
    bars, _ = tape(0, bars=4, fills=0)
    assert replay([], bars, 7.0).equity.tolist() == [7.0] * 4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"symbol": "ETH/USDT"}, "fill 1 of ETH/USDT, bar 3: the bars are of BTC/USDT"),
        ({"bar": 1}, "expected a bar from 2, that of the fill before, to 9"),
        ({"bar": 10}, "expected a bar from 2, that of the fill before, to 9"),
        ({"open_time": 5}, "opens at 5, but that bar opens at"),
        ({"reason": "funding"}, "funding moves quote only, was qty 1.0 and a fee in quote"),
    ],
)
def test_a_fill_that_does_not_fit_the_bars_is_named(tape: Tape, change: dict[str, Any], complaint: str) -> None:
    bars, _ = tape(0, bars=10, fills=0)
    first = Fill(2, int(bars.open_time[2]), 1, "BTC/USDT", 1.0, 100.0, 0.0, 0.0)
    good = {"bar": 3, "open_time": int(bars.open_time[3]), "order_id": 2, "symbol": "BTC/USDT", "qty": 1.0}
    second = Fill(**{**good, "price": 100.0, "fee": 0.0, "fee_quote": 0.0, **change})
    with pytest.raises(ValueError, match=complaint):
        replay([first, second], bars, 1_000.0)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=50), st.floats(1, 1e6))
def test_drawdown_is_the_distance_from_the_highest_value_so_far(values: list[float], start: float) -> None:
    below = drawdown(np.array(values), start)
    slow = [value / max([start, *values[: i + 1]]) - 1 for i, value in enumerate(values)]
    assert below.tolist() == slow


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d"])
@pytest.mark.parametrize("seed", range(3))
def test_days_agree_with_pandas_on_bars_with_gaps(tape: Tape, seed: int, timeframe: str) -> None:
    bars, _ = tape(seed, bars=2_000, fills=0, timeframe=timeframe, gaps=True)
    days = daily(bars.close_time, bars.close, 100.0)
    slow = pd.Series(bars.close, index=bars.index).resample("D").last().ffill()
    assert days.equity.tolist() == slow.tolist()
    assert (days.day == pd.DatetimeIndex(slow.index).as_unit("ms").asi8).all()
    returns = pd.concat([pd.Series([100.0]), slow]).pct_change().iloc[1:]
    np.testing.assert_allclose(days.returns, returns, atol=1e-14)


def test_a_day_without_bars_is_flat() -> None:
    days = daily(np.array([24, 96]) * HOUR, np.array([100.0, 110.0]), 100.0)
    assert days.returns.tolist() == pytest.approx([0.0, 0.0, 0.0, 0.1])


def test_the_return_after_an_empty_account_is_not_a_number() -> None:
    days = daily(np.array([24, 48, 72]) * HOUR, np.array([0.0, 10.0, 20.0]), 100.0)
    assert days.returns.tolist() == pytest.approx([-1.0, np.nan, 1.0], nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_months_agree_with_pandas(tape: Tape, seed: int) -> None:
    bars, _ = tape(seed, bars=700, fills=0, timeframe="1d")
    table = monthly(daily(bars.close_time, bars.close, 100.0))
    slow = pd.Series(bars.close, index=bars.index).resample("ME").last()
    returns = pd.concat([pd.Series([100.0]), slow]).pct_change().iloc[1:].to_numpy()
    ours = table.returns[~np.isnan(table.returns)]
    np.testing.assert_allclose(ours, returns, atol=1e-13)
    assert table.years == tuple(sorted(set(bars.index.year.tolist())))
    assert np.prod(1 + table.totals) == pytest.approx(bars.close[-1] / 100)
    assert np.isnan(table.returns[0, : bars.index[0].month - 1]).all()
