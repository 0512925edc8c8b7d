from __future__ import annotations

import math

import numpy as np
import pytest

from itb.optimize.bootstrap import block_length, interval, stationary_weights
from itb.optimize.reality_check import long_run_variance


def test_every_resample_draws_as_many_days_as_there_are() -> None:
    weights = stationary_weights(90, 7.5, 40, seed=3)
    counts = weights * 90
    assert counts == pytest.approx(counts.round())
    assert weights.sum(axis=1) == pytest.approx(np.ones(40))


def test_the_same_seed_draws_the_same_days() -> None:
    assert (stationary_weights(50, 5, 20, seed=1) == stationary_weights(50, 5, 20, seed=1)).all()
    assert (stationary_weights(50, 5, 20, seed=1) != stationary_weights(50, 5, 20, seed=2)).any()


def test_blocks_have_the_length_that_was_asked_for() -> None:
    # A day's neighbour is drawn with it unless a block ends: the weights of neighbours tell the mean length.
    counts = stationary_weights(400, 8, 3_000, seed=0) * 400
    together = np.mean(counts * np.roll(counts, 1, axis=1)) - 1
    same = np.mean(counts**2) - 1
    assert together / same == pytest.approx(1 - 1 / 8, abs=0.03)


def test_the_variance_of_resampled_means_is_the_closed_form(rng: np.random.Generator) -> None:
    shocks = rng.normal(size=(302, 4))
    table = shocks[2:] + 0.6 * shocks[1:-1] + 0.3 * shocks[:-2]
    means = stationary_weights(300, 6, 20_000, seed=5) @ table
    assert 300 * means.var(axis=0) == pytest.approx(long_run_variance(table, 6), rel=0.05)


def test_memory_is_bounded_and_every_row_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("itb.optimize.bootstrap._CHUNK", 700)
    for block in (1, 3.5, 60, 1e6):
        weights = stationary_weights(100, block, 31, seed=4)
        assert weights.sum(axis=1) == pytest.approx(np.ones(31))
        assert weights.min() >= 0


def test_every_day_is_as_likely_as_any_other() -> None:
    assert stationary_weights(30, 7, 40_000, seed=2).mean(axis=0) == pytest.approx(np.full(30, 1 / 30), rel=0.04)


@pytest.mark.parametrize("memory", [0.0, 0.3, 0.7, -0.4])
def test_the_block_length_is_that_of_arch(memory: float, rng: np.random.Generator) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    shocks = rng.normal(size=900)
    series = np.empty(900)
    series[0] = shocks[0]
    for i in range(1, 900):
        series[i] = memory * series[i - 1] + shocks[i]
    theirs = float(arch.optimal_block_length(series)["stationary"].iloc[0])
    assert block_length(series) == pytest.approx(max(theirs, 1.0))


def test_returns_that_never_vary_have_blocks_of_a_day() -> None:
    assert block_length(np.zeros(100)) == 1.0
    assert block_length(np.arange(5.0)) == 1.0


def test_the_lower_bound_holds_as_often_as_it_promises(rng: np.random.Generator) -> None:
    truth = 0.05 * math.sqrt(365)
    weights = stationary_weights(200, 5, 300, seed=1)
    records = rng.standard_t(6, (1_500, 200)) * math.sqrt(4 / 6) + 0.05
    held = [interval(days, weights).sharpe_low < truth for days in records]
    assert np.mean(held) == pytest.approx(0.89, abs=0.025)  # a little below 0.9, as blocks of so few days must be


def test_the_bounds_are_those_of_arch(rng: np.random.Generator) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    days = rng.normal(0.1, 1, 250)
    found = interval(days / 100, stationary_weights(250, 5, 4_000, seed=1))

    def total(sample: np.ndarray) -> float:
        return float(np.log1p(sample / 100).sum())

    theirs = arch.StationaryBootstrap(5, days, seed=2).conf_int(total, reps=4_000, method="percentile", size=0.8)
    assert math.log1p(found.total_return_low) == pytest.approx(float(theirs[0, 0]), abs=0.012)
    assert math.log1p(found.total_return_high) == pytest.approx(float(theirs[1, 0]), abs=0.012)


def test_the_sharpe_bound_is_that_of_a_slow_loop(rng: np.random.Generator) -> None:
    from itb.optimize.sharpe_statistics import Moments

    days = rng.gamma(2, 0.01, 120) - 0.018
    weights = stationary_weights(120, 4, 150, seed=9)
    record, quotients = Moments.of(days), []
    for row in (weights * 120).round().astype(int):
        drawn = Moments.of(np.repeat(days, row))
        quotients.append((drawn.sharpe - record.sharpe) / drawn.sharpe_error)
    low = (record.sharpe - np.quantile(quotients, 0.9) * record.sharpe_error) * math.sqrt(365)
    assert interval(days, weights).sharpe_low == pytest.approx(low, rel=1e-9)


def test_a_record_that_never_varies_has_no_bounds() -> None:
    found = interval(np.zeros(50), stationary_weights(50, 3, 50, seed=0))
    assert (found.sharpe, found.total_return) == (0.0, 0.0)
    assert math.isnan(found.sharpe_low)


def test_a_block_shorter_than_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        stationary_weights(10, 0.5, 10, seed=0)
