from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.optimize.candidate import BacktestCandidate, ScoredCandidate, search_days, stop_bar
from itb.optimize.desk import Record
from itb.optimize.nested import carried, choices, choose, drift, first_choice, joined, replay
from itb.optimize.objectives import OBJECTIVES, Constraints, Windows
from itb.optimize.performance import Performance
from itb.optimize.reoptimise import reoptimise
from itb.optimize.search import Search
from itb.optimize.space import FloatRange, Space
from itb.optimize.sweep import Sweep
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings
from itb.strategies.protections import Cooldown, MaxDrawdown

START = 30
SPACE = Space(
    trade=(FloatRange("strategy.buy_threshold", 0.5, 0.7), FloatRange("strategy.sell_threshold", 0.3, 0.49)),
)


def search(days=60, windows=6, name="sharpe", **changed):
    return Search(SPACE, (OBJECTIVES[name],), Windows(days, windows), sampler="random", trade_sides=8, **changed)


def record(slot, daily, trades=3):
    exits = np.linspace(0, len(daily) - 1, trades).astype(np.int64)
    made = Performance(np.array(daily), np.zeros(len(daily)), exits, np.full(trades, 0.01))
    return Record(slot, 0, {"strategy.buy_threshold": 0.6}, "complete", (0.0,), made)


@pytest.fixture(scope="module")
def candidate():
    bars = SyntheticMarket(bars=24 * 40).bars()["BTC/USDT"]
    rng = np.random.default_rng(1)
    score = 0.5 + 0.2 * np.sin(np.arange(len(bars)) / 7) + rng.normal(0, 0.03, len(bars))
    sweep = Sweep(bars, score, START, Venue(), 10_000.0, (0.0, 1.0))
    return ScoredCandidate({"s": sweep}, ThresholdSettings(buy_threshold=0.55, sell_threshold=0.45))


@given(data=st.data(), window=st.integers(2, 5))
def test_what_comes_later_changes_no_earlier_choice(data, window):
    searched = search()
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    made = [record(slot, rng.normal(0, 0.02, 60)) for slot in range(8)]
    first = searched.windows.bounds[window][0]
    poisoned = []
    for one in made:
        daily = one.performance.daily.copy()
        daily[first:] = rng.normal(0, 0.5, len(daily) - first)
        poisoned.append(replace(one, performance=replace(one.performance, daily=daily)))

    assert choose(made, searched, window).slot == choose(poisoned, searched, window).slot


def test_best_of_the_windows_before_is_chosen():
    good_early = record(0, [0.02, 0.01] * 10 + [-0.02, -0.01] * 20)
    good_late = record(1, [-0.02, -0.01] * 10 + [0.02, 0.01] * 20)

    made = choices([good_early, good_late], search())

    assert [choice.window for choice in made] == [2, 3, 4, 5]
    assert made[0].record is good_early
    assert made[-1].record is good_late


def test_joined_days_are_those_of_whoever_was_chosen():
    early, late = record(0, [0.02, 0.01] * 10 + [-0.02, -0.01] * 20), record(1, [-0.02, -0.01] * 10 + [0.02, 0.01] * 20)
    made = choices([early, late], search())

    nested = joined(made)

    expected = [choice.record.performance.daily[choice.first_day : choice.last_day] for choice in made]
    assert nested.daily.tolist() == np.concatenate(expected).tolist()
    assert nested.window.tolist() == [2] * 10 + [3] * 10 + [4] * 10 + [5] * 10
    assert not nested.is_carried


def test_window_without_a_choice_is_flat():
    made = choices([record(0, np.full(60, 0.01), trades=0)], search(constraints=Constraints(min_trades=1)))

    assert [choice.record for choice in made] == [None] * 4
    assert joined(made).daily.tolist() == [0.0] * 40
    assert drift(made)[0] == {"window": 2}
    with pytest.raises(ValueError, match="nobody could be chosen for any window"):
        carried(made, lambda _: None)


@pytest.mark.parametrize("windows", range(2, 30))
def test_a_third_is_kept_to_choose_from(windows):
    assert 1 <= first_choice(windows) <= windows / 2


@pytest.mark.parametrize("rules", [(), (Cooldown(4), MaxDrawdown(100, 2, 30, 0.01))], ids=["free", "protected"])
def test_carried_account_of_one_choice_is_that_trial(candidate, rules):
    """Whoever is chosen throughout earns what the trial earns when it starts at the first chosen window."""
    sweeps = {name: replace(sweep, protections=rules) for name, sweep in candidate.sweeps.items()}
    candidate = ScoredCandidate(sweeps, candidate.base)
    days = search_days(candidate.sweep(candidate.base).bars, START)
    searched = search(days)
    parameters = {"strategy.buy_threshold": 0.56, "strategy.sell_threshold": 0.44}
    only = searched.judge(0, 0, parameters, candidate.trade(parameters))
    made = choices([only], searched)

    nested = carried(made, lambda _: candidate)

    sweep = candidate.sweep(candidate.base)
    later = replace(sweep, start=stop_bar(sweep.bars, START, made[0].first_day))
    alone = later.confirm(candidate.settings(parameters))
    assert nested.is_carried
    assert nested.daily == pytest.approx(alone.daily_returns[-len(nested.daily) :], rel=1e-12, abs=1e-15)
    assert np.count_nonzero(nested.daily) > 10
    assert bool(replay(made, lambda _: candidate).blocked) == bool(rules)


def test_days_of_a_prefix_are_the_days_of_the_whole(candidate):
    parameters = {"strategy.buy_threshold": 0.56, "strategy.sell_threshold": 0.44}
    whole, part = candidate.trade(parameters), candidate.trade(parameters, until_day=17)

    assert len(part.daily) == 17
    assert part.daily.tolist() == whole.daily[:17].tolist()


def test_any_strategy_is_traded_as_the_sweep_trades_the_threshold_strategy(candidate):
    sweep = candidate.sweep(candidate.base)
    from itb.indicators.score import ArrayScores

    source = ArrayScores("s", sweep.bars.open_time, sweep.score, 0.0, 1.0)
    other = BacktestCandidate(
        MLThreshold, {"score": "s", "sell_threshold": 0.45}, sweep.bars, {"s": source}, START, sweep.venue, sweep.cash
    )
    parameters = {"strategy.buy_threshold": 0.56}

    one, two = candidate.trade(parameters), other.trade(parameters)

    assert two.engine == "backtrader"
    assert one.daily == pytest.approx(two.daily, rel=1e-9, abs=1e-12)
    assert one.daily_cost == pytest.approx(two.daily_cost, rel=1e-9, abs=1e-12)
    assert one.trade_return == pytest.approx(two.trade_return, rel=1e-9, abs=1e-12)
    assert one.exit_day.tolist() == two.exit_day.tolist()


def test_costs_of_a_day_explain_what_was_paid(candidate):
    sweep = candidate.sweep(candidate.base)
    result = sweep.run(candidate.base, ("fees", "slippage"))
    made = candidate.trade({})
    before = np.concatenate(([sweep.cash], result.days.equity[:-1]))

    paid = float((made.daily_cost * before).sum())

    assert paid == pytest.approx(result.metrics["fees"] + result.metrics["slippage"], rel=1e-9)


def test_days_of_an_unfinished_replay_are_those_of_its_own_windows(candidate):
    sweep = candidate.sweep(candidate.base)
    searched = search(search_days(sweep.bars, START))
    made = choices([replace(record(0, candidate.trade({}).daily), parameters={})], searched)

    whole, part = carried(made, lambda _: candidate), carried(made[:2], lambda _: candidate)

    assert len(part.daily) == made[1].last_day - made[0].first_day
    np.testing.assert_allclose(part.daily[:-1], whole.daily[: len(part.daily) - 1], rtol=1e-12)


def test_days_before_the_first_choice_are_flat(candidate):
    sweep = candidate.sweep(candidate.base)
    searched = search(search_days(sweep.bars, START))
    made = choices([replace(record(0, candidate.trade({}).daily), parameters={})], searched)
    waited = made[1].first_day - made[0].first_day

    late = carried((replace(made[0], record=None), *made[1:]), lambda _: candidate)

    assert len(late.daily) == len(late.window)
    assert not late.daily[:waited].any()
    np.testing.assert_allclose(late.daily[waited:], carried(made[1:], lambda _: candidate).daily, rtol=1e-12)


def test_trial_that_was_pruned_later_could_still_be_chosen_before():
    searched = search()
    shown = searched.windows.bounds[4][0]
    good = np.concatenate((np.full(30, 0.02) + np.resize([0.01, -0.01], 30), np.full(30, -0.05)))
    part = record(1, good).performance.between(0, shown)
    pruned = replace(record(1, good), state="pruned", values=None, performance=part)
    dull = record(0, np.resize([0.01, -0.009], 60))

    chosen = [choose([dull, pruned], searched, window).slot for window in (2, 3, 4, 5)]

    assert chosen == [1, 1, 0, 0]
    assert len(joined(choices([dull, pruned], searched)).daily) == 40


def test_reoptimised_windows_were_searched_on_the_days_before_alone(candidate, studies, tmp_path):
    days = search_days(candidate.sweep(candidate.base).bars, START)
    seen = []

    class Watched:
        def trade(self, parameters, *, until_day=None):
            seen.append(until_day)
            return candidate.trade(parameters, until_day=until_day)

    searched = search(days, constraints=Constraints(max_drawdown=0.99))
    made = reoptimise(
        searched,
        lambda _: Watched(),
        lambda window, part: studies.desk(tmp_path / str(window), part, f"w{window}"),
        trials=8,
    )

    bounds = searched.windows.bounds
    assert [choice.window for choice in made] == [2, 3, 4, 5]
    assert {until for until in seen if until is not None} == {bounds[window][0] for window in (2, 3, 4, 5)}
    assert all(len(choice.record.performance.daily) == days for choice in made if choice.record)
