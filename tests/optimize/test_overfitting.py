from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import rankdata

from itb.optimize.overfitting import overfitting


def table(trials: int) -> npt.NDArray[np.float64]:
    """The test matrix of the oracles: no random number in it."""
    day, trial = np.arange(48)[:, None], np.arange(1, trials + 1)
    return np.asarray(np.sin(0.7 * (day + 1) * trial) + 0.3 * np.cos(1.3 * (day + 1) + trial) + 0.02 * trial)


@pytest.mark.parametrize(
    ("blocks", "probability", "loss", "slope", "intercept"),
    [(4, 5 / 6, 1 / 6, -1.435455, 0.325608), (6, 15 / 20, 0.0, -0.716750, 0.213841)],
)
def test_an_even_number_of_trials_gives_the_published_figures(
    blocks: int, probability: float, loss: float, slope: float, intercept: float
) -> None:
    found = overfitting(table(6), blocks)
    assert found.probability == pytest.approx(probability)
    assert found.loss == pytest.approx(loss)
    assert found.slope == pytest.approx(slope, abs=5e-7)
    assert found.intercept == pytest.approx(intercept, abs=5e-7)


@pytest.mark.parametrize(
    ("blocks", "paper", "rank_over_n"), [(4, 0.833333, 0.666667), (6, 0.55, 0.45), (8, 0.685714, 0.542857)]
)
def test_the_middle_rank_of_an_odd_number_of_trials_is_overfit_by_the_paper_only(
    blocks: int, paper: float, rank_over_n: float
) -> None:
    assert overfitting(table(7), blocks).probability == pytest.approx(paper, abs=5e-7)
    assert overfitting(table(7), blocks, ties_overfit=False).probability == pytest.approx(rank_over_n, abs=5e-7)


@pytest.mark.parametrize("trials", [6, 7, 12])
def test_purgedcv_gives_the_same(trials: int, rng: np.random.Generator) -> None:
    purgedcv = pytest.importorskip("purgedcv")
    returns = rng.normal(0.01, 0.1, (83, trials))  # 83 days: blocks of unequal length
    found = overfitting(returns, 6, ties_overfit=False)
    theirs = purgedcv.probability_of_backtest_overfitting(returns.T, n_splits=6)
    assert found.probability == theirs.pbo
    assert found.slope == pytest.approx(theirs.slope)
    assert np.sort(found.logits) == pytest.approx(np.sort(theirs.logits))


def test_a_slow_loop_gives_the_same(rng: np.random.Generator) -> None:
    returns = rng.normal(0, 0.1, (60, 5))
    returns[:, 4] = returns[:, 3]  # equal ranks
    returns[:, 0] = 0.0  # never traded
    blocks = np.split(np.arange(60), 6)
    logits = []
    for half in combinations(range(6), 3):
        rows = np.concatenate([blocks[i] for i in half])
        inside, outside = returns[rows], np.delete(returns, rows, axis=0)
        ratios = [
            np.divide(part.mean(0), part.std(0, ddof=1), out=np.zeros(5), where=part.std(0) > 0)
            for part in (inside, outside)
        ]
        omega = rankdata(ratios[1].round(12))[ratios[0].round(12).argmax()] / 6
        logits.append(np.log(omega / (1 - omega)))
    assert overfitting(returns, 6).logits == pytest.approx(np.array(logits))


def test_columns_without_a_mean_are_always_overfit(rng: np.random.Generator) -> None:
    returns = rng.normal(0, 0.1, (160, 30))
    found = overfitting(returns - returns.mean(axis=0), 8)
    assert found.probability == 1.0
    assert found.slope == pytest.approx(-1.0, abs=0.15)


def test_a_planted_edge_is_never_overfit(rng: np.random.Generator) -> None:
    returns = rng.normal(0, 0.1, (400, 50))
    returns[:, 9] += 0.05
    found = overfitting(returns, 8)
    assert found.probability == 0.0
    assert found.loss == 0.0


def test_luck_alone_is_overfit_half_the_time(rng: np.random.Generator) -> None:
    found = [overfitting(rng.normal(0, 0.02, (320, 40)), 8).probability for _ in range(80)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_memory_is_bounded_without_changing_the_result(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns = rng.normal(0, 0.02, (100, 9))
    whole = overfitting(returns, 8)
    monkeypatch.setattr("itb.optimize.overfitting._CHUNK", 50)
    assert overfitting(returns, 8).logits.tolist() == whole.logits.tolist()


@pytest.mark.parametrize(
    ("shape", "blocks", "message"),
    [((48, 5), 5, "blocks must be even"), ((20, 5), 16, "of 20 days"), ((48, 1), 4, "at least 2 trials, was 1")],
)
def test_what_cannot_be_split_is_refused(shape: tuple[int, int], blocks: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overfitting(np.zeros(shape), blocks)


def test_a_missing_return_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        overfitting(np.full((48, 3), np.nan), 4)
