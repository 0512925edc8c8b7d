"""What a verdict says of chance: trades and labels at random, for every strategy a search can have."""

import math
from dataclasses import replace

import numpy as np
import pytest

from itb.config import load_config
from itb.optimize.search import best_of
from itb.runs.optimize import Asked, search_account
from itb.runs.search_chance import chance_of_labels
from itb.runs.workspace import Workspace

SETTINGS = [
    "synthetic.bars=2500",
    "walkforward.train=40d",
    "walkforward.refit_every=20d",
    "walkforward.workers=1",
    "search.windows=4",
    "search.trade_sides=3",
    "search.confirm=1",
    "search.permuted_labels=4",
]
THRESHOLDS = [
    "search.space.strategy.buy_threshold={low=0.5, high=0.55}",
    "search.space.strategy.sell_threshold={low=0.45, high=0.49}",
]
EDGE = ["synthetic.information_coefficient=0.8", "costs.taker_fee_bps=1", "model.rounds=20"]
SEVERAL = [
    "models=[{algorithm='logistic'}, {algorithm='logistic', c=0.01, name='tight'}]",
    "strategy.score=up_12_0bps_tight",
]
CALIBRATED = ["calibration.method=platt", "calibration.min_rows=100", "strategy.score=up_12_0bps_lightgbm"]
STACKED = ["stack.algorithm=logistic", "stack.train=20d", "stack.min_train_rows=100"]
POOLED = ["data.symbols=['BTC/USDT', 'ETH/USDT']", "training.pooled=true"]
FLAG = "{kind='threshold_rule', columns='up_12_0bps_lightgbm', names=['in', 'out'], "
FLAGS = [
    "strategy.name=SignalStrategy",
    f"signals=[{FLAG}buy_signal_threshold=0.52, sell_signal_threshold=0.48}}]",
    "strategy.buy_column=in",
    "strategy.sell_column=out",
    "search.space.strategy.stop_loss={low=0.0, high=0.05}",
]


def workspace(folder, *settings):
    return Workspace(load_config(overrides=[f"runs.root={folder / 'runs'}", *settings], environ={}))


def searched(folder, *settings):
    return search_account(workspace(folder, *SETTINGS, *settings), "BTC/USDT", Asked(trials=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("chance")


@pytest.fixture(scope="module")
def planted(folder):
    return searched(folder, *EDGE, *THRESHOLDS)


def chance(done, record=None, times=4, seed=0, report=lambda *_: None, stop=lambda: False):
    best = done.judged.best if record is None else record
    return chance_of_labels(done.study.sides, best, times=times, seed=seed, report=report, stop=stop)


def test_models_taught_permuted_labels_lose_a_planted_edge(planted):
    verdict, found = planted.judged.verdict, chance(planted)

    assert verdict.label_permutations == 4
    assert verdict.label_permutation_p == found.p_value == 1 / 5
    assert found.claimed == pytest.approx(verdict.sharpe)
    assert found.claimed > 5
    assert found.random.max() < found.claimed / 2


def test_permuted_labels_are_learned_once_and_the_same_by_the_same_seed(planted):
    cache = planted.study.workspace.cache / "walkforward"
    kept = {file: file.stat().st_mtime_ns for file in cache.rglob("*.npz")}
    told = []

    first, again, other = (
        chance(planted, times=times, seed=seed, report=lambda *one: told.append(one))
        for times, seed in ((4, 0), (2, 0), (1, 9))
    )

    assert again.random.tolist() == first.random[:2].tolist()
    assert other.random[0] != first.random[0]
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert told[:2] == [(0, 4, "training on permuted labels"), (1, 4, "training on permuted labels")]
    assert len(set(cache.iterdir())) == 1 + 4 + 1


def test_a_model_that_cannot_be_trained_counts_for_chance(planted):
    record = planted.judged.best
    short = {**record.parameters, "strategy.buy_threshold": 2.0}  # no score reaches it

    found = chance(planted, replace(record, parameters=short), times=2)

    assert np.isnan(found.random).all()
    assert found.p_value == 1.0


def test_a_trial_that_never_trades_has_earned_nothing(planted):
    record = planted.judged.best
    shy = {**record.parameters, "strategy.buy_threshold": 1.0}

    found = chance(planted, replace(record, parameters=shy), times=2)

    assert found.random.tolist() == [0.0, 0.0]


def test_time_that_is_over_leaves_as_many_as_there_are(planted):
    asked = iter([False, False, True])

    found = chance(planted, stop=lambda: next(asked))

    assert found.random.tolist() == chance(planted, times=2).random.tolist()
    assert found.p_value == 1 / 3


@pytest.mark.parametrize(
    "settings",
    [
        [*SEVERAL, "search.space.strategy.score=['up_12_0bps_logistic', 'up_12_0bps_tight']"],
        [*CALIBRATED, "model.rounds=10"],
        POOLED,
        [*SEVERAL, *STACKED, "search.space.strategy.score=['up_12_0bps_stack', 'up_12_0bps_tight']"],
    ],
    ids=["models", "calibration", "pooled", "stack"],
)
def test_labels_are_permuted_whatever_is_made_of_scores(settings, folder):
    done = searched(folder, *THRESHOLDS, *settings, "search.permuted_labels=1")

    assert done.judged.verdict.label_permutation_p in (0.5, 1.0)
    assert not done.study.sides.config_of({}).models or len(done.study.sides(done.judged.best.parameters).sweeps) >= 2


def test_strategy_that_backtrader_trades_is_compared_with_chance_as_well(folder):
    done = searched(folder, *EDGE, *FLAGS)
    verdict = done.judged.verdict

    assert not done.judged.confirmations
    assert verdict.charged_bps == 6.0
    assert verdict.break_even_bps > 6
    assert verdict.random_entry_p < 0.05
    assert verdict.permutation_p < 0.05
    assert verdict.label_permutation_p == 1 / 5


def test_baseline_may_be_left_out(folder):
    done = searched(folder, *THRESHOLDS, "search.permuted_labels=0")

    assert math.isnan(done.judged.verdict.label_permutation_p)
    assert best_of(done.records, done.study.search.objectives[0]) is done.judged.best
