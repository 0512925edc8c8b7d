from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.ledger.equity import replay
from itb.ledger.metrics import Metrics, compute, formulas, freqtrade_ratios, units
from itb.ledger.trades import Trade, round_trips
from itb.market.bars import OHLCV, Bars, FloatArray
from itb.market.fills import Fill

Tape = Callable[..., tuple[Bars, list[Fill]]]
Stopwatch = Callable[[Callable[[], object]], float]
START = 5_000.0
DAY = 86_400_000


def measure(bars: Bars, fills: list[Fill], start_bar: int = 0) -> Metrics:
    account = replay(fills, bars, START)
    trades = round_trips(fills, bars)
    return compute(bars, account.equity, account.position, fills, trades, start_cash=START, start_bar=start_bar)


def curve(
    values: list[float], start_cash: float = 100.0, timeframe: str = "1d", days: list[int] | None = None
) -> Metrics:
    times = [day * DAY for day in (days or range(len(values)))]
    prices = {name: [1.0] * len(values) for name in OHLCV}
    bars = Bars.of("BTC/USDT", timeframe, times, **prices)
    return compute(bars, np.array(values), np.zeros(len(values)), [], [], start_cash=start_cash)


def trades_of(*gains: float) -> list[Trade]:
    return [
        Trade("BTC/USDT", "long", i, i, i + 2, i, 1.0, 200.0, 200.0 + gain, 0.0, gain, gain / 200, 2, "entry", "signal")
        for i, gain in enumerate(gains)
    ]


def judge(*gains: float) -> Metrics:
    prices = {name: [1.0, 1.0] for name in OHLCV}
    bars = Bars.of("BTC/USDT", "1h", [0, 3_600_000], **prices)
    flat: FloatArray = np.full(2, 100.0)
    return compute(bars, flat, np.zeros(2), [], trades_of(*gains), start_cash=100.0)


def slow_drawdown(times: list[int], equity: list[float]) -> tuple[float, float, float]:
    """The oracle: depth, days of the deepest and days of the longest drawdown, bar by bar."""
    peak, since, deepest, deepest_days, longest = equity[0], times[0], 0.0, 0.0, 0.0
    depth = 0.0
    is_deepest = False
    for time, value in zip(times, equity, strict=True):
        if value >= peak:
            if depth:
                longest = max(longest, time - since)
                deepest_days = time - since if is_deepest else deepest_days
            peak, since, depth, is_deepest = value, time, 0.0, False
        else:
            depth = max(depth, 1 - value / peak)
            if depth > deepest:
                deepest, is_deepest = depth, True
    if depth:
        longest = max(longest, times[-1] - since)
        deepest_days = times[-1] - since if is_deepest else deepest_days
    return deepest, deepest_days / DAY, longest / DAY


@pytest.mark.parametrize("timeframe", ["1m", "1h", "1d"])
@pytest.mark.parametrize("seed", range(4))
def test_figures_of_the_curve_agree_with_pandas(tape: Tape, seed: int, timeframe: str) -> None:
    bars, fills = tape(seed, bars=3_000, fills=200, timeframe=timeframe, gaps=True)
    result = measure(bars, fills)
    equity = pd.Series(replay(fills, bars, START).equity, index=bars.index)
    days = pd.concat([pd.Series([START]), equity.resample("D").last().ffill()]).pct_change().iloc[1:]
    steps = pd.concat([pd.Series([START]), equity]).pct_change().iloc[1:]
    years = (bars.close_time[-1] - bars.open_time[0]) / DAY / 365
    depth, deepest_days, longest_days = slow_drawdown(
        [int(bars.open_time[0]), *bars.close_time.tolist()], [START, *equity.tolist()]
    )
    below = 1 - equity / equity.cummax().clip(lower=START)
    annual = (equity.iloc[-1] / START) ** (1 / years) - 1
    expected = {
        "total_return": equity.iloc[-1] / START - 1,
        "annual_return": annual,
        "volatility": days.std() * math.sqrt(365),
        "sharpe": days.mean() / days.std() * math.sqrt(365),
        "sortino": days.mean() / math.sqrt((days.clip(upper=0) ** 2).mean()) * math.sqrt(365),
        "calmar": annual / depth,
        "max_drawdown": depth,
        "max_drawdown_days": deepest_days,
        "longest_drawdown_days": longest_days,
        "ulcer_index": math.sqrt((below**2).mean()),
        "bar_volatility": steps.std() * math.sqrt(365 * DAY / bars.timeframe.ms),
        "bar_sharpe": steps.mean() / steps.std() * math.sqrt(365 * DAY / bars.timeframe.ms),
        "duration_days": years * 365,
        "turnover": sum(abs(fill.qty) * fill.price for fill in fills) / equity.mean() / years,
        "fees": sum(fill.fee_quote for fill in fills),
        "exposure": (replay(fills, bars, START).position != 0).mean(),
    }
    assert {name: getattr(result, name) for name in expected} == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.sampled_from([80.0, 90.0, 95.0, 100.0, 105.0, 110.0]), min_size=1, max_size=30))
def test_drawdowns_agree_with_a_loop(values: list[float]) -> None:
    result = curve(values)
    times = [day * DAY for day in range(len(values) + 1)]
    assert (result.max_drawdown, result.max_drawdown_days, result.longest_drawdown_days) == pytest.approx(
        slow_drawdown(times, [100.0, *values])
    )


@pytest.mark.parametrize("seed", range(6))
def test_figures_of_trades_agree_with_pandas(tape: Tape, seed: int) -> None:
    bars, fills = tape(seed, fills=150, funding=True)
    result = measure(bars, fills)
    frame = pd.DataFrame(round_trips(fills, bars)).query("not is_open")
    wins, losses = frame.pnl[frame.pnl > 0], frame.pnl[frame.pnl < 0]
    runs = frame.groupby((frame.pnl >= 0).cumsum()).pnl.apply(lambda part: (part < 0).sum())
    expected = {
        "trades": len(frame),
        "win_rate": len(wins) / len(frame),
        "profit_factor": wins.sum() / -losses.sum(),
        "expectancy": frame.pnl.mean(),
        "expectancy_ratio": (1 + wins.mean() / -losses.mean()) * len(wins) / len(frame) - 1,
        "average_trade": frame.return_.mean(),
        "average_win": wins.mean(),
        "average_loss": losses.mean(),
        "best_trade": frame.return_.max(),
        "worst_trade": frame.return_.min(),
        "average_bars_held": frame.bars_held.mean(),
        "longest_losing_streak": runs.max(),
        "sqn": math.sqrt(len(frame)) * frame.pnl.mean() / frame.pnl.std(),
        "funding": sum(fill.fee_quote for fill in fills if fill.reason == "funding"),
        "fees": sum(fill.fee_quote for fill in fills if fill.reason != "funding"),
        "fills": sum(fill.reason != "funding" for fill in fills),
    }
    assert {name: getattr(result, name) for name in expected} == pytest.approx(expected)


def test_a_year_that_doubles_returns_one_a_year() -> None:
    assert curve([100.0] * 364 + [200.0]).annual_return == pytest.approx(1.0)


def test_known_gains_give_the_known_expectancy_of_freqtrade() -> None:
    result = judge(50, -20, 30, -10, 40)
    assert (result.expectancy, result.expectancy_ratio) == pytest.approx((18, 1.2))
    assert (result.win_rate, result.profit_factor, result.average_loss) == pytest.approx((0.6, 4.0, -15))


def test_freqtrade_ratios_without_a_spread_are_not_numbers() -> None:
    sharpe, sortino = freqtrade_ratios(np.array([10.0, 10.0]), 1_000.0, 5)
    assert math.isnan(sharpe)
    assert math.isnan(sortino)


def test_without_trades_figures_of_trades_are_not_numbers_and_counts_are_zero() -> None:
    result = judge()
    figures = ("win_rate", "profit_factor", "expectancy", "average_trade", "best_trade", "sqn", "average_bars_held")
    assert all(math.isnan(getattr(result, name)) for name in figures)
    assert (result.trades, result.open_trades, result.longest_losing_streak, result.fees) == (0, 0, 0, 0.0)


def test_without_a_loss_there_is_no_profit_factor() -> None:
    result = judge(10, 20)
    assert math.isnan(result.profit_factor)
    assert math.isnan(result.expectancy_ratio)
    assert result.win_rate == 1.0


def test_a_single_trade_has_no_quality_number() -> None:
    assert math.isnan(judge(10).sqn)


def test_a_trade_that_made_nothing_is_neither_won_nor_lost() -> None:
    result = judge(10, 0, -5, -5)
    assert (result.win_rate, result.longest_losing_streak, result.average_loss) == (0.25, 2, -5)


def test_an_open_trade_is_counted_but_in_no_figure_of_trades(tape: Tape) -> None:
    bars, _ = tape(0, bars=50, fills=0)
    bought = Fill(3, int(bars.open_time[3]), 1, "BTC/USDT", 1.0, 100.0, 0.1, 0.1)
    result = measure(bars, [bought])
    assert (result.trades, result.open_trades) == (0, 1)
    assert math.isnan(result.win_rate)
    assert result.total_return != 0


def test_cash_has_no_return_no_drawdown_and_no_ratios() -> None:
    result = curve([100.0] * 10)
    assert (result.total_return, result.annual_return, result.volatility, result.max_drawdown) == (0, 0, 0, 0)
    assert (result.max_drawdown_days, result.ulcer_index, result.exposure, result.turnover) == (0, 0, 0, 0)
    assert all(math.isnan(ratio) for ratio in (result.sharpe, result.sortino, result.calmar, result.bar_sharpe))


def test_a_constant_daily_gain_has_no_sharpe_rather_than_a_huge_one() -> None:
    result = curve([100 * 1.01 ** (day + 1) for day in range(50)])
    assert math.isnan(result.sharpe)
    assert math.isnan(result.sortino)


def test_an_account_that_reached_zero_has_no_annual_figures() -> None:
    result = curve([100.0, 50.0, -10.0])
    assert (result.total_return, result.max_drawdown) == pytest.approx((-1.1, 1.1))
    for name in ("annual_return", "volatility", "sharpe", "sortino", "calmar", "bar_sharpe"):
        assert math.isnan(getattr(result, name))


def test_less_than_a_day_is_not_annualised() -> None:
    assert math.isnan(judge().annual_return)


def test_growth_beyond_all_bounds_is_not_a_number() -> None:
    assert math.isnan(curve([1_000.0]).annual_return)


def test_a_drawdown_that_never_recovers_lasts_to_the_end() -> None:
    result = curve([120.0, 110.0, 90.0, 100.0])
    assert (result.max_drawdown, result.max_drawdown_days) == (0.25, 3.0)


def test_the_deepest_drawdown_need_not_be_the_longest() -> None:
    result = curve([99.0, 98.0, 99.0, 100.0, 50.0, 100.0])
    assert (result.max_drawdown_days, result.longest_drawdown_days) == (2.0, 4.0)


def test_bars_before_the_first_decision_do_not_dilute_the_figures(tape: Tape) -> None:
    bars, _ = tape(5, bars=200, fills=0, timeframe="1d")
    fills = [
        Fill(bar, int(bars.open_time[bar]), 1, "BTC/USDT", qty, float(bars.open[bar]), 0.0, 0.0)
        for bar, qty in ((120, 10.0), (180, -10.0))
    ]
    whole, part = measure(bars, fills), measure(bars, fills, start_bar=100)
    assert (part.bars, part.duration_days, part.total_return) == (100, 100.0, whole.total_return)
    assert part.exposure == pytest.approx(2 * whole.exposure)
    assert part.volatility > whole.volatility


def test_dust_is_no_exposure() -> None:
    prices = {name: [1.0, 1.0] for name in OHLCV}
    bars = Bars.of("BTC/USDT", "1h", [0, 3_600_000], **prices)
    held = np.array([0.0001, 1.0])
    assert compute(bars, np.ones(2), held, [], [], start_cash=1.0, dust=0.001).exposure == 0.5


def test_arrays_of_another_length_and_a_start_after_the_end_are_refused(tape: Tape) -> None:
    bars, _ = tape(0, bars=10, fills=0)
    with pytest.raises(ValueError, match=r"expected equity and position for 10 bars .* were 9, 10"):
        compute(bars, np.ones(9), np.ones(10), [], [], start_cash=1.0)
    with pytest.raises(ValueError, match="start_bar 10"):
        compute(bars, np.ones(10), np.ones(10), [], [], start_cash=1.0, start_bar=10)


def test_every_figure_has_a_formula_and_a_unit() -> None:
    names = [figure.name for figure in fields(Metrics)]
    assert list(formulas()) == names == list(units())
    assert all(len(text) > 5 for text in formulas().values())


def test_figures_turn_into_json_without_nan() -> None:
    assert json.loads(json.dumps(judge(1.0).to_dict(), allow_nan=False))["sqn"] is None


def test_a_year_of_minutes_is_measured_in_milliseconds(cpu_ms: Stopwatch) -> None:
    count = 525_600
    rng = np.random.default_rng(0)
    close = np.exp(rng.normal(0, 1e-4, count).cumsum())
    prices = dict.fromkeys(OHLCV, close)
    bars = Bars.of("BTC/USDT", "1m", np.arange(count) * 60_000, **prices)
    position = (rng.random(count) > 0.5).astype(float)
    trades = trades_of(*rng.normal(0, 1, 2_500).tolist())
    assert cpu_ms(lambda: compute(bars, close, position, [], trades, start_cash=1.0)) < 35
