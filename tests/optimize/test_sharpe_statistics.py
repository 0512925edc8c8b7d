from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.optimize.sharpe_statistics import (
    Moments,
    backtest_years_bound,
    deflated_sharpe,
    expected_maximum,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe,
    trial_variance,
)

PAPER = {"sharpe": 2.5 / 250**0.5, "days": 1_250}


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "expected"),
    [(100, -3.0, 10.0, 0.900397), (46, -3.0, 10.0, 0.950502), (88, 0.0, 3.0, 0.950491)],
)
def test_the_deflated_sharpe_ratio_is_that_of_the_paper(
    trials: int, skewness: float, kurtosis: float, expected: float
) -> None:
    record = Moments(**PAPER, skewness=skewness, kurtosis=kurtosis)
    assert deflated_sharpe(record, trials, 0.5 / 250) == pytest.approx(expected, abs=5e-7)


def test_the_benchmark_of_a_hundred_trials_is_that_of_the_paper() -> None:
    assert math.sqrt(0.5 / 250) * expected_maximum(100) == pytest.approx(0.113172, abs=5e-7)


@pytest.mark.parametrize(("skewness", "kurtosis", "expected"), [(0.0, 3.0, 0.98167), (-2.448, 10.164, 0.91336)])
def test_the_probabilistic_sharpe_ratio_is_that_of_the_paper(skewness: float, kurtosis: float, expected: float) -> None:
    assert probabilistic_sharpe(Moments(0.458, 24, skewness, kurtosis)) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(
    ("a_year", "skewness", "kurtosis", "expected"),
    [(250, 0.0, 3.0, 2.7312), (52, 0.0, 3.0, 2.8288), (12, 0.0, 3.0, 3.2398), (12, -0.72, 5.78, 4.9913)],
)
def test_the_minimum_track_record_is_that_of_the_paper(
    a_year: int, skewness: float, kurtosis: float, expected: float
) -> None:
    record = Moments(2 / a_year**0.5, 2, skewness, kurtosis)
    assert minimum_track_record(record, 1 / a_year**0.5) / a_year == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "expected"), [(10, 1.574598), (45, 2.235640), (100, 2.530603), (1_000, 3.255122), (1, 0.0)]
)
def test_the_expected_maximum_is_that_of_the_paper(trials: int, expected: float) -> None:
    assert expected_maximum(trials) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(("trials", "years"), [(7, 1.923143), (45, 4.998087), (46, 5.036303), (1, 0.0)])
def test_the_minimum_backtest_length_is_that_of_the_paper(trials: int, years: float) -> None:
    assert minimum_backtest_years(trials) == pytest.approx(years, abs=5e-7)
    assert minimum_backtest_years(trials, 2.0) == pytest.approx(years / 4, abs=5e-7)


@given(st.integers(2, 100_000), st.floats(0.1, 10))
def test_the_bound_of_the_backtest_length_is_above_it(trials: int, target: float) -> None:
    assert minimum_backtest_years(trials, target) <= backtest_years_bound(trials, target)


def test_no_length_suffices_for_a_claim_that_is_not_above_its_benchmark() -> None:
    assert minimum_track_record(Moments(0.1, 100), benchmark=0.1) == math.inf
    assert minimum_backtest_years(10, 0.0) == backtest_years_bound(10, -1.0) == math.inf


def test_a_formula_fed_with_real_returns_agrees_with_purgedcv(rng: np.random.Generator) -> None:
    purgedcv = pytest.importorskip("purgedcv")
    returns = rng.gamma(2, 0.01, 300) - 0.019  # skewed, so that every moment counts
    record = Moments.of(returns)
    # purgedcv takes the moments' Sharpe ratio with n - 1 as well, and raw kurtosis
    assert probabilistic_sharpe(record, 0.02) == pytest.approx(
        purgedcv.probabilistic_sharpe_ratio(returns, benchmark_skill=0.02), abs=1e-4
    )
    assert deflated_sharpe(record, 25, 0.002) == pytest.approx(
        purgedcv.deflated_sharpe_ratio(returns, 25, 0.002), abs=1e-4
    )


def test_a_record_that_lasts_as_long_as_the_minimum_is_just_believed() -> None:
    record = Moments(0.08, 2, -0.5, 6.0)
    needed = minimum_track_record(record, 0.02)
    lasted = Moments(0.08, math.ceil(needed), -0.5, 6.0)
    assert 0.95 <= probabilistic_sharpe(lasted, 0.02) < 0.9505


def test_moments_are_those_of_scipy(rng: np.random.Generator) -> None:
    from scipy import stats

    returns = rng.standard_t(5, 500) * 0.01 + 0.001
    record = Moments.of(returns)
    assert record.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert record.skewness == pytest.approx(stats.skew(returns))
    assert record.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))


def test_the_standard_error_is_the_spread_of_simulated_records(rng: np.random.Generator) -> None:
    ratios = sharpe(rng.exponential(1, (250, 4_000)) - 0.9)  # true Sharpe 0.1, skewness 2, kurtosis 9
    assert Moments(0.1, 250, 2.0, 9.0).sharpe_error == pytest.approx(ratios.std(), rel=0.04)


def test_a_trial_that_never_trades_has_a_sharpe_ratio_of_0() -> None:
    assert sharpe(np.zeros((5, 2))).tolist() == [0.0, 0.0]
    assert Moments.of(np.zeros(50)) == Moments(0.0, 50)
    assert probabilistic_sharpe(Moments.of(np.zeros(50))) == 0.5


def test_one_day_is_no_track_record() -> None:
    with pytest.raises(ValueError, match="at least 2 days, was 1"):
        Moments.of(np.array([0.1]))


def test_fewer_than_one_trial_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1, was 0\.5"):
        expected_maximum(0.5)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_more_trials_never_mean_less_luck(few: float, many: float) -> None:
    low, high = sorted([expected_maximum(few), expected_maximum(many)])
    assert (expected_maximum(max(few, many)), expected_maximum(min(few, many))) == (high, low)


def test_trials_alike_vary_at_least_as_much_as_luck() -> None:
    assert trial_variance(np.full(20, 0.05), days=500) == 1 / 500
    assert trial_variance(np.array([0.0, 1.0]), days=500) == 0.5
    assert trial_variance(np.array([0.3]), days=500) == 1 / 500
