import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, ttest_ind
from sklearn.linear_model import LinearRegression, MultiTaskElasticNet

from itb.errors import ModelError
from itb.mlmodels.thresholds import (
    POLICIES,
    GaussianRatio,
    MeanGap,
    Recalibrated,
    RollingQuantile,
    SideThresholds,
    Sweep,
)
from itb.mlmodels.thresholds.kept import load_rule, rule_bytes
from itb.mlmodels.thresholds.mean_gap import two_sided_p

NAN = math.nan


def block(seed, rows=120, skill=0.3, holes=0.1):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, rows)
    scores = np.round(skill * returns + rng.normal(0, 0.005, rows), 4)
    scores[rng.random(rows) < holes] = NAN
    returns[rng.random(rows) < holes] = NAN
    return scores, returns


def slow_sweep(scores, returns, policy):
    rows = [(s, y) for s, y in zip(scores, returns, strict=True) if not math.isnan(s + y)]
    outer = np.quantile([s for s, _ in rows], [policy.tail, 1 - policy.tail])
    figure = sum if policy.objective == "sum" else np.mean
    hold = max(0.0, figure([y for _, y in rows]))
    best = {1: (hold, NAN), -1: (hold, NAN)}
    for threshold in np.linspace(*outer, policy.points):
        for side in best:
            gains = [side * y - policy.cost for s, y in rows if side * s > side * threshold]
            if len(gains) >= policy.least_rows and figure(gains) > best[side][0] + 1e-13:
                best[side] = (figure(gains), threshold)
    return best[1][1], best[-1][1]


@given(
    seed=st.integers(0, 10_000),
    objective=st.sampled_from(["sum", "mean"]),
    skill=st.floats(-0.3, 1),
    least=st.integers(1, 20),
)
def test_the_sweep_finds_what_trying_every_threshold_finds(seed, objective, skill, least):
    policy = Sweep(objective, points=25, tail=0.01, least_rows=least)
    scores, returns = block(seed, 60, skill)
    fitted = policy.fit(scores, returns)
    np.testing.assert_allclose((fitted.buy, fitted.sell), slow_sweep(scores, returns, policy), atol=1e-12)


def test_the_sweep_leaves_a_coin_alone_that_holding_served_better():
    scores = np.linspace(-1, 1, 100)
    fitted = Sweep(least_rows=1).fit(scores, np.full(100, 0.01))
    assert math.isnan(fitted.buy)
    assert math.isnan(fitted.sell)


def test_the_sweep_tells_rows_and_means_beyond_every_threshold():
    long, short = Sweep(cost=0.0, points=3, tail=0.0).curves(np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.4]))
    assert long.thresholds.tolist() == [0, 1, 2]
    assert (long.rows.tolist(), short.rows.tolist()) == ([2, 1, 0], [0, 1, 2])
    np.testing.assert_allclose(long.means, [0.3, 0.4, NAN])
    np.testing.assert_allclose(short.means, [NAN, -0.1, -0.15])


@given(seed=st.integers(0, 10_000), window=st.integers(2, 12), cut=st.integers(0, 60))
def test_rolling_quantiles_are_those_of_the_last_known_scores(seed, window, cut):
    scores, returns = block(seed, 60)
    sides = RollingQuantile(window, 0.8, 0.3).fit(scores[:cut], returns[:cut]).sides(scores[cut:])
    slow = []
    for row in range(cut, 60):
        past = scores[: row + 1]
        last = past[~np.isnan(past)][-window:]
        if math.isnan(scores[row]) or len(last) < window:
            slow.append(0)
            continue
        low, high = np.quantile(last, [0.3, 0.8])
        slow.append(int(scores[row] > high + 1e-12) - int(scores[row] < low - 1e-12))
    assert sides.tolist() == slow


@given(seed=st.integers(0, 10_000), equal=st.booleans(), skill=st.floats(-1, 1))
def test_the_mean_gap_is_traded_where_the_test_of_scipy_says_so(seed, equal, skill):
    scores, returns = block(seed, 80, skill, holes=0.05)
    known = ~np.isnan(scores + returns)
    rises, falls = scores[known & (returns > 0.005)], scores[known & (returns < -0.005)]
    chance = ttest_ind(rises, falls, equal_var=equal).pvalue
    assert two_sided_p(rises, falls, equal_variance=equal) == pytest.approx(chance, rel=1e-9)
    fitted = MeanGap(equal_variance=equal).fit(scores, returns)
    wanted = (rises.mean(), falls.mean()) if chance < 0.2 and rises.mean() > falls.mean() else (NAN, NAN)
    np.testing.assert_allclose((fitted.buy, fitted.sell), wanted)


def test_the_mean_gap_needs_two_rises_and_two_falls():
    fitted = MeanGap().fit(np.array([1.0, 2.0, -1.0]), np.array([0.1, 0.1, -0.1]))
    assert fitted.sides(np.array([9.0, -9.0])).tolist() == [0, 0]


def test_scores_without_spread_are_apart_if_they_differ():
    assert two_sided_p(np.ones(3), np.zeros(3), equal_variance=False) == 0
    assert two_sided_p(np.ones(3), np.ones(3), equal_variance=True) == 1


@given(seed=st.integers(0, 10_000), coins=st.integers(1, 4), penalty=st.sampled_from([0.0, 1e-5]))
def test_recalibration_is_the_regression_of_every_coin_on_all_scores(seed, coins, penalty):
    rng = np.random.default_rng(seed)
    scores, returns = rng.normal(0, 0.01, (2, 60, coins))
    returns += scores
    model = LinearRegression() if not penalty else MultiTaskElasticNet(alpha=penalty, max_iter=10_000)
    later = rng.normal(0, 0.01, (20, coins))
    expected = model.fit(scores, returns).predict(later).reshape(20, coins)
    scores[3, 0] = returns[5, -1] = NAN
    full = np.delete(np.arange(60), [3, 5])
    expected = model.fit(scores[full], returns[full]).predict(later).reshape(20, coins)
    rule = Recalibrated(0.002, -0.001, penalty).fit(scores, returns)
    np.testing.assert_allclose(rule.expected(later), expected, rtol=1e-6, atol=1e-9)
    assert rule.sides(later).tolist() == (np.where(expected > 0.002, 1, 0) - np.where(expected < -0.001, 1, 0)).tolist()


def test_both_thresholds_crossed_is_no_side_and_nan_is_none():
    assert SideThresholds(-1, 1).sides(np.array([0.0, 2.0, -2.0, NAN])).tolist() == [0, 1, -1, 0]


@pytest.mark.parametrize("policy", [Sweep(), RollingQuantile(), MeanGap(), Recalibrated(0.1, -0.1)])
def test_without_rows_nothing_is_traded(policy):
    empty = np.empty(0)
    assert not policy.fit(empty, empty).sides(np.array([9.0, -9.0])).any()
    assert type(policy) in POLICIES.values()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sweep(cast("Any", "most")), "objective must be"),
        (lambda: Sweep(cost=-0.1), "cost must be"),
        (lambda: Sweep(points=1), "points must be"),
        (lambda: Sweep(tail=0.5), "tail must be"),
        (lambda: Sweep(least_rows=0), "least_rows must be"),
        (lambda: RollingQuantile(1), "window must be"),
        (lambda: RollingQuantile(high=0.1, low=0.2), "low and high must be"),
        (lambda: MeanGap(move=-1), "move must be"),
        (lambda: MeanGap(p_value=0), "p_value must be"),
        (lambda: Recalibrated(-1, 1), "buy must be at least sell"),
        (lambda: Recalibrated(1, -1, penalty=-1), "penalty must be"),
        (lambda: Recalibrated(1, -1, l1_ratio=2), "l1_ratio must"),
        (lambda: Recalibrated(1, -1, least_rows=1), "least_rows must be"),
        (lambda: Sweep().fit(np.ones(2), np.ones(3)), r"were \(2,\) and \(3,\)"),
        (lambda: Recalibrated(1, -1).fit(np.ones(2), np.ones(3)), r"were \(2,\) and \(3,\)"),
    ],
)
def test_wrong_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@given(seed=st.integers(0, 10_000), skill=st.floats(-1, 1), ratio=st.floats(0.2, 9))
def test_gaussian_ratios_are_those_of_scipys_densities(seed, skill, ratio):
    scores, returns = block(seed, 150, skill)
    known = ~np.isnan(scores + returns)
    policy = GaussianRatio(move=0.01, ratio=ratio, least_rows=10)
    expected = np.zeros(len(scores), dtype=int)
    for side in (1, -1):
        moved = known & (side * returns > 0.01)
        other = known & ~moved
        bells = [norm(scores[rows].mean(), scores[rows].std()) for rows in (moved, other)]
        if min(moved.sum(), other.sum()) < 10 or side * (bells[0].mean() - bells[1].mean()) <= 0:
            continue
        is_beyond = side * (scores - bells[1].mean()) > 0
        expected += side * (is_beyond & (bells[0].pdf(scores) > ratio * (1 + 1e-12) * bells[1].pdf(scores)))
    assert policy.fit(scores, returns).sides(scores).tolist() == expected.tolist()


def test_a_gaussian_ratio_does_not_buy_the_lowest_scores_because_rises_score_more_widely():
    rng = np.random.default_rng(1)
    returns = np.where(np.arange(400) < 200, 0.02, 0.0)
    scores = np.where(returns > 0, rng.normal(0.2, 3, 400), rng.normal(0, 1, 400))
    fitted = GaussianRatio(move=0.01, ratio=1.5).fit(scores, returns)
    assert fitted.long is not None
    assert fitted.long.log_ratio(np.array([-8.0]))[0] > math.log(1.5)
    assert fitted.sides(np.array([-8.0, 8.0])).tolist() == [0, 1]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_coin_without_any_known_return_is_never_traded_or_says_so(policy):
    settings = {"buy": 0.01, "sell": -0.01} if policy == "recalibrated" else {}
    fitted = POLICIES[policy](**settings).fit(np.linspace(0, 1, 50), np.full(50, np.nan))
    assert fitted.never_trades == (policy != "rolling_quantile")


@given(seed=st.integers(0, 10_000), skill=st.floats(0, 1))
@pytest.mark.parametrize("policy", POLICIES)
def test_a_rule_read_back_from_its_file_takes_the_same_sides(policy, seed, skill):
    settings = {
        "recalibrated": {"buy": 0.001, "sell": -0.001},
        "rolling_quantile": {"window": 20},
        "gaussian_ratio": {"ratio": 1.1, "least_rows": 10},
    }.get(policy, {})
    scores, returns = block(seed, 150, skill)
    fitted = POLICIES[policy](**settings).fit(scores[:100], returns[:100])
    again = load_rule(rule_bytes(fitted))
    assert type(again) is type(fitted)
    assert again.never_trades == fitted.never_trades
    assert again.sides(scores[100:]).tolist() == fitted.sides(scores[100:]).tolist()
    assert rule_bytes(again) == rule_bytes(fitted)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"kind": "eval"}', b'{"kind": "thresholds"}', b"\xff"])
def test_a_file_that_holds_no_rule_is_refused(content):
    with pytest.raises(ModelError, match="not a threshold rule"):
        load_rule(content)
