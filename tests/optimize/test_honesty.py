"""The honesty benchmark on its first seeds: noise is not trusted, a planted edge is."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from itb.optimize.judging import judge

ROOT = Path(__file__).parents[2]
SEEDS = 5


@pytest.fixture(scope="module")
def module() -> Callable[[str], ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        importlib.import_module("benchmarks")
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_searches_on_noise_are_hardly_ever_trusted(module: Callable[[str], ModuleType]) -> None:
    markets, searches = module("honesty.markets"), module("honesty.searches")
    words = []
    for seed in range(SEEDS):
        for name in ("Gaussian", "GARCH", "bull"):
            rng = np.random.default_rng([seed, list(markets.MARKETS).index(name)])
            trials = searches.random_rules(markets.MARKETS[name](rng), 20, rng)
            words += [judge(searches.evidence(trials, cost), resamples=300).word for cost in (0.0, 0.001)]
    # Six or more of 30 have a probability below 1 % if each comes with 5 %.
    assert words.count("trust") < 6


def test_a_planted_edge_is_trusted_where_the_rule_has_the_power(module: Callable[[str], ModuleType]) -> None:
    power = module("honesty.power")
    assert power.closed_form(4.0, 100) >= 0.95
    words = [judge(power.planted(4.0, 100, np.random.default_rng([seed, 1])), resamples=300).word for seed in range(8)]
    assert words.count("trust") >= 6


def test_the_power_of_no_edge_is_nothing_and_grows_with_the_edge(module: Callable[[str], ModuleType]) -> None:
    closed_form = module("honesty.power").closed_form
    shares = [closed_form(annual, 500) for annual in (0.0, 2.0, 3.0, 4.0, 8.0)]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0, abs=1e-4)


def test_the_replay_chooses_by_the_past_and_pays_for_a_change(module: Callable[[str], ModuleType]) -> None:
    searches = module("honesty.searches")
    days, first, window = 300, searches.TRAIN_DAYS, searches.WINDOW_DAYS
    wave = np.where(np.arange(days) % 2 == 0, 0.01, -0.01)
    table = np.column_stack([wave + 0.001, wave])
    table[first : first + window, 1] += 0.1  # first seen when the second window is chosen
    closing = np.tile(np.array([1, -1], dtype=np.int8), (days, 1))
    nested, windows = searches.replay(table, closing, cost=0.001)
    assert windows.tolist() == [day // window for day in range(days - first)]
    assert nested[1:window] == pytest.approx(table[first + 1 : first + window, 0])
    assert nested[window + 1 :] == pytest.approx(table[first + window + 1 :, 1])
    assert nested[0] == pytest.approx((1 + table[first, 0]) * 0.999 - 1)  # from flat into a position of 1
    assert nested[window] == pytest.approx((1 + table[first + window, 1]) * 0.998 - 1)  # from 1 to -1


def test_no_rule_knows_the_hour_it_trades(module: Callable[[str], ModuleType]) -> None:
    markets, searches = module("honesty.markets"), module("honesty.searches")
    returns = markets.gaussian(np.random.default_rng(1))
    changed = returns.copy()
    changed[20_000:] = -changed[20_000:]
    before, after = (searches.random_rules(path, 12, np.random.default_rng(2)).positions for path in (returns, changed))
    assert (before[:20_001] == after[:20_001]).all()
    assert (before[20_001:] != after[20_001:]).any()


def test_a_stopped_benchmark_goes_on(
    module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = module("bench_honesty")
    monkeypatch.setattr(bench, "QUICK_SEEDS", {"noise": 0, "columns": 3, "power": 0})
    file = tmp_path / "rows.jsonl"
    whole = bench.collect(file, full=False, workers=1)
    lines = file.read_text().strip().splitlines()
    file.write_text("\n".join(lines[:2]) + '\n{"part": "colu')
    assert bench.collect(file, full=False, workers=1) == whole
    assert len(whole) == 3


def test_the_binomial_test_is_that_of_scipy(module: Callable[[str], ModuleType]) -> None:
    from scipy.stats import binomtest

    for count, of in ((30, 400), (1, 1_600), (0, 5)):
        expected = binomtest(count, of, 0.05, alternative="greater").pvalue
        assert module("bench_honesty").at_least(count, of, 0.05) == pytest.approx(expected)
