import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.thresholds import MeanGap, Recalibrated, RollingQuantile, Sweep
from itb.mlmodels.thresholds.walk import judge, walk_policy

POLICIES = [
    Sweep(points=50, least_rows=5),
    Sweep("mean", points=50, least_rows=5),
    RollingQuantile(20, 0.8, 0.2),
    MeanGap(),
    Recalibrated(0.001, -0.001, least_rows=10),
]


def market(seed, rows=200, horizon=7):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, rows)
    scores = returns + rng.normal(0, 0.01, rows)
    known_at = np.arange(rows) + horizon
    unknown = (known_at >= rows) | (rng.random(rows) < 0.05)
    return scores, np.where(unknown, np.nan, returns), np.where(unknown, -1, known_at)


@given(
    seed=st.integers(0, 1_000),
    policy=st.sampled_from(POLICIES),
    block=st.integers(10, 60),
    lookback=st.sampled_from([0, 40]),
    now=st.integers(1, 199),
)
def test_what_becomes_known_later_changes_no_earlier_side(seed, policy, block, lookback, now):
    scores, returns, known_at = market(seed)
    whole = walk_policy(policy, scores, returns, known_at, block=block, lookback=lookback).sides
    noisy_scores = np.where(np.arange(200) >= now, 9 - scores, scores)
    noisy_returns = np.where(known_at >= now, 5 - 100 * returns, returns)
    noisy = walk_policy(policy, noisy_scores, noisy_returns, known_at, block=block, lookback=lookback).sides
    assert noisy[:now].tolist() == whole[:now].tolist()
    head = walk_policy(policy, scores[:now], returns[:now], known_at[:now], block=block, lookback=lookback).sides
    assert head.tolist() == whole[:now].tolist()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_block_is_judged_by_a_rule_of_the_rows_before_it(policy):
    scores, returns, known_at = market(3)
    walk = walk_policy(policy, scores, returns, known_at, block=80, lookback=100)
    assert [(fit.fitted_from, fit.start, fit.stop) for fit in walk.fits] == [(0, 0, 80), (0, 80, 160), (60, 160, 200)]
    seen = np.where(known_at[60:160] < 160, returns[60:160], np.nan)
    assert walk.sides[160:].tolist() == policy.fit(scores[60:160], seen).sides(scores[160:]).tolist()


def test_several_coins_walk_together():
    scores, returns, known_at = (np.stack(one, axis=1) for one in zip(market(1), market(2), strict=True))
    walk = walk_policy(Recalibrated(0.001, -0.001), scores, returns, known_at, block=50)
    assert walk.sides.shape == (200, 2)
    assert not walk.sides[:50].any()
    assert walk.sides[50:].any(axis=0).all()


def test_skill_found_in_one_block_pays_in_the_next():
    scores, returns, known_at = market(5, rows=4_000)
    walk = walk_policy(Sweep(points=200), scores, returns, known_at, block=1_000)
    judged = judge(walk.sides[1_000:], returns[1_000:])
    assert judged.total > max(0, judged.held)


def test_a_judgement_counts_rows_with_a_side_and_a_return():
    sides = np.array([1, -1, 0, 1, 1], dtype=np.int8)
    judged = judge(sides, np.array([0.03, 0.01, 0.02, np.nan, -0.01]), cost=0.002)
    assert (judged.rows, judged.share) == (3, 0.75)
    assert (judged.total, judged.mean, judged.held) == pytest.approx((0.004, 0.004 / 3, 0.05))
    assert judge(sides[:0], np.empty(0)).mean == 0


@pytest.mark.parametrize(
    ("options", "message"), [({"block": 0}, "block must be"), ({"block": 1, "lookback": -1}, "lookback must be")]
)
def test_wrong_blocks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        walk_policy(MeanGap(), *market(1), **options)


def test_shapes_that_differ_are_refused():
    scores, returns, known_at = market(1)
    with pytest.raises(ValueError, match="must be of one shape"):
        walk_policy(MeanGap(), scores, returns, known_at[1:], block=5)
