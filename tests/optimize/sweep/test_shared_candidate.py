"""Trials, prefixes and schedules of a shared account against loops written here."""

import math
from dataclasses import replace

import numpy as np
import pytest

from itb.backtest.run import Backtest, TradedMarket
from itb.indicators.score import ArrayScores
from itb.optimize.candidate import search_days, stop_bar
from itb.optimize.desk import Record
from itb.optimize.nested import Choice, carried, replay
from itb.optimize.objectives import OBJECTIVES, Windows
from itb.optimize.search import Search
from itb.optimize.shared_candidate import SharedBacktestCandidate, SharedCandidate
from itb.optimize.space import FloatRange, Space
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.protections import StopLossGuard
from tests.optimize.sweep.test_shared_sweep import draw

DAY = 86_400_000
SPACE = Space(trade=(FloatRange("strategy.buy_threshold", 0.5, 0.7),))


def candidate(seed, **changed):
    sweep, settings = draw(seed)
    return SharedCandidate({"s": replace(sweep, **changed)}, settings)


def slow_days(result, prices):
    """Daily returns, costs and closed trades of a shared backtest, fill by fill and step by step."""
    hour = 3_600_000
    start = int(result.clock.open_time[result.start])
    first, worth, daily, paid, ended = (start + hour - 1) // DAY, result.starting_cash, [], [], []
    last = (int(result.clock.open_time[-1]) + hour - 1) // DAY
    for day in range(first, last + 1):
        inside = [step for step, time in enumerate(result.clock.open_time) if (time + hour - 1) // DAY <= day]
        now = float(result.equity[inside[-1]])
        cost = sum(
            fill.fee_quote + fill.qty * (fill.price - price)
            for fill, price in zip(result.fills, prices, strict=True)
            if (fill.open_time + hour - 1) // DAY == day
        )
        daily.append(now / worth - 1)
        paid.append(cost / worth)
        gains = [t.pnl for t in result.trades if not t.is_open and (t.exit_time + hour - 1) // DAY == day]
        ended += [(day - first, gain / result.starting_cash) for gain in gains]
        worth = now
    return daily, paid, ended


@pytest.mark.parametrize("seed", range(14))
def test_a_trial_earns_day_by_day_what_a_slow_loop_over_the_backtest_finds(seed):
    one = candidate(seed)
    found, result = one.trade({}), one.backtest({})
    daily, paid, ended = slow_days(result, result.market_prices.tolist())
    np.testing.assert_allclose(found.daily, daily, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.daily_cost, paid, rtol=1e-8, atol=1e-12)
    assert found.exit_day.tolist() == [day for day, _ in ended]
    np.testing.assert_allclose(np.sort(found.trade_return), sorted(gain for _, gain in ended), rtol=1e-7, atol=1e-12)


def test_the_cases_are_evaluated_by_both():
    engines = [candidate(seed).trade({}).engine for seed in range(14)]
    assert min(engines.count("vectorbt"), engines.count("backtrader")) >= 3


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("days", [1, 2, 5])
def test_days_of_a_prefix_are_the_days_of_the_whole_though_symbols_begin_later(seed, days):
    one = candidate(seed)
    whole, part = one.trade({}), one.trade({}, until_day=days)
    assert len(part.daily) == days
    np.testing.assert_allclose(part.daily, whole.daily[:days], rtol=1e-9, atol=1e-12)


def test_a_symbol_that_begins_later_takes_no_share_of_those_that_are_there():
    sweep, settings = draw(0)
    first, *others = sweep.sweeps
    late = replace(others[0], bars=others[0].bars.slice(120, None), score=others[0].score[120:], start=0)
    one = SharedCandidate({"s": replace(sweep, sweeps=(first, late))}, settings)
    part = one.sweep(settings).until(int(late.bars.open_time[0]))
    assert [sweep.bars.symbol for sweep in part.sweeps] == [first.bars.symbol]
    alone = part.backtest(settings)
    whole = one.sweep(settings).backtest(settings)
    assert alone.fills
    assert alone.fills == whole.fills[: len(alone.fills)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("until_day", [None, 3])
def test_any_strategy_is_traded_as_the_threshold_strategy(seed, until_day):
    one = candidate(seed)
    sweep = one.sweep(one.base)
    markets = tuple(
        TradedMarket(own.bars, {"s": ArrayScores("s", own.bars.open_time, own.score, 0.0, 1.0)}, own.venue)
        for own in sweep.sweeps
    )
    settings = {**vars(one.base), "score": "s", "allocation": sweep.allocation.among(len(markets))}
    start_ms = int(sweep.raster.times[sweep.start])
    other = SharedBacktestCandidate(MLThreshold, settings, markets, start_ms, sweep.cash)
    found, expected = other.trade({}, until_day=until_day), one.trade({}, until_day=until_day)
    np.testing.assert_allclose(found.daily, expected.daily, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.daily_cost, expected.daily_cost, rtol=1e-9, atol=1e-12)
    assert sorted(found.exit_day) == sorted(expected.exit_day)


# -- the nested replay


def choice(window, days, parameters):
    record = None if parameters is None else Record(window, 0, parameters, "complete", (0.0,))
    return Choice(window, *days, record)


def windows(one, count=4):
    return Search(
        SPACE, (OBJECTIVES["sharpe"],), Windows(search_days(one.clock, one.start), count), sampler="random"
    ).windows.bounds


@pytest.mark.parametrize("rules", [(), (StopLossGuard(40, 1, 20),)], ids=["free", "protected"])
@pytest.mark.parametrize("seed", range(4))
def test_carried_account_of_one_choice_is_that_trial_from_the_first_window_on(seed, rules):
    one = candidate(seed)
    sweep = one.sweep(one.base)
    one = replace(one, sweeps={"s": replace(sweep, sweeps=tuple(replace(s, protections=rules) for s in sweep.sweeps))})
    bounds = windows(one)
    made = [choice(place, days, {}) for place, days in enumerate(bounds)][1:]
    nested = carried(made, lambda _: one)
    from_ms = int(one.clock.open_time[stop_bar(one.clock, one.start, made[0].first_day)])
    later = [replace(s, start=min(int(np.searchsorted(s.bars.open_time, from_ms)), len(s.bars) - 1))
             for s in one.sweep(one.base).sweeps]  # fmt: skip
    alone = replace(one.sweep(one.base), sweeps=tuple(later)).backtest(one.base)
    assert alone.start == int(np.searchsorted(one.clock.open_time, from_ms))
    replayed = replay(made, lambda _: one)
    assert replayed.fills == alone.fills
    np.testing.assert_array_equal(replayed.equity, alone.equity)
    assert len(nested.daily) == made[-1].last_day - made[0].first_day
    assert math.prod(1 + nested.daily) == pytest.approx(alone.end_value / alone.starting_cash, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_settings_change_on_schedule_and_positions_are_carried_over(seed):
    """A schedule against a strategy that is told at each step which thresholds hold, stepped plainly."""
    one = candidate(seed)
    bounds = windows(one)
    told = [{"strategy.buy_threshold": buy} for buy in (0.85, 0.6, 0.75)]
    made = [choice(place, days, own) for place, (days, own) in enumerate(zip(bounds, told, strict=False))]
    made[1] = choice(1, bounds[1], None) if seed % 3 == 0 else made[1]
    found = replay(made, lambda _: one)
    starts = [int(one.clock.open_time[stop_bar(one.clock, one.start, done.first_day)]) for done in made]
    ends = [int(one.clock.open_time[stop_bar(one.clock, one.start, done.last_day) - 1]) for done in made]

    class Told(MLThreshold):
        def flags(self, coin):
            bullish = bearish = False
            for done, start, end in zip(made, starts, ends, strict=True):
                if done.record is not None and start <= coin.now <= end:
                    score = self.scores[coin.place][0]
                    bullish = score >= done.record.parameters["strategy.buy_threshold"]
                    bearish = score <= one.base.sell_threshold
            return bullish, bearish

    sweep = one.sweep(one.base)
    markets = [
        TradedMarket(own.bars, {"s": ArrayScores("s", own.bars.open_time, own.score)}, own.venue)
        for own in sweep.sweeps
    ]
    settings = {**vars(one.base), "score": "s", "buy_threshold": 0.9, "allocation": sweep.allocation}
    slow = Backtest(Told, settings, sweep.cash, markets[0].venue, "plain").run_shared(markets, starts[0])
    assert found.stepped == "sparse"
    assert [(f.symbol, f.bar, f.qty, f.price) for f in found.fills] == [
        (f.symbol, f.bar, f.qty, f.price) for f in slow.fills
    ]
    np.testing.assert_array_equal(found.equity, slow.equity)
    assert len(found.fills) > 3
