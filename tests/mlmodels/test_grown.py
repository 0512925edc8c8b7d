"""A walk-forward over bars that only grew: earlier refits are taken over, and everything is as if made anew."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.grown import as_it_was
from itb.mlmodels.linear import Logistic
from itb.mlmodels.pooled import Pool
from itb.mlmodels.promotion import SkillGate
from itb.mlmodels.training import Training
from itb.mlmodels.walkforward import WalkForward

WALK = WalkForward(train_bars=200, refit_every=60, min_train_rows=50)
TREES = LightGbm(rounds=5, num_leaves=7, min_data_in_leaf=20)


def files_of(result):
    return {
        path.relative_to(result.folder): path.read_bytes()
        for path in result.folder.rglob("*")
        if path.suffix != ".draft" and path.is_file()
    }


@pytest.mark.parametrize(
    "walk",
    [
        WALK,
        dataclasses.replace(WALK, mode="expanding", embargo_bars=3, refit_delay_bars=2),
        dataclasses.replace(WALK, promotion=SkillGate(bars=30)),
        dataclasses.replace(WALK, training=Training(weights=(), class_balance="rows")),
    ],
    ids=["sliding", "expanding", "gate", "drawn"],
)
@pytest.mark.parametrize("algorithm", [TREES, Logistic()], ids=lambda part: part.name)
def test_only_refits_that_are_new_or_score_new_bars_are_made_and_all_is_as_if_made_anew(
    walk, algorithm, table, tmp_path
):
    before = walk.run(as_it_was(table, 490), algorithm, tmp_path / "grown")
    grown = walk.run(table, algorithm, tmp_path / "grown")
    anew = walk.run(table, algorithm, tmp_path / "anew")
    assert grown.fitted == len(grown.folds) - len(before.folds) + 1  # the last block of then is longer now
    np.testing.assert_array_equal(grown.scores, anew.scores)
    assert grown.timeline == anew.timeline
    assert files_of(grown) == files_of(anew)


def test_a_table_as_it_was_is_the_one_that_was_made_then(make_table):
    whole, part = make_table(600), make_table(600)
    part = dataclasses.replace(
        part,
        features=part.features[:400],
        label=type(part.label).after(np.nan_to_num(part.label.values[:400]), 4),
        open_time=part.open_time[:400],
    )
    assert as_it_was(whole, 400).fingerprint == part.fingerprint


@pytest.mark.parametrize("row", [0, 250, 489])
def test_nothing_is_taken_over_where_an_earlier_row_is_another(table, tmp_path, row):
    features = table.features.copy()
    features[row] = 7
    WALK.run(as_it_was(dataclasses.replace(table, features=features), 490), Logistic(), tmp_path)
    found = WALK.run(table, Logistic(), tmp_path)
    assert found.fitted == len(found.folds)


def test_nothing_is_taken_over_from_other_settings_or_another_seed(table, tmp_path):
    early = as_it_was(table, 490)
    WALK.run(early, Logistic(c=0.5), tmp_path)
    WALK.run(early, Logistic(), tmp_path, seed=2)
    dataclasses.replace(WALK, embargo_bars=1).run(early, Logistic(), tmp_path)
    found = WALK.run(table, Logistic(), tmp_path)
    assert found.fitted == len(found.folds)


def test_an_altered_model_and_a_torn_plan_are_not_taken_over(table, tmp_path):
    before = WALK.run(as_it_was(table, 490), Logistic(), tmp_path)
    model = before.folder / before.folds[1].entry.file
    (model.with_name(json.loads(model.read_text())["file"])).write_bytes(b"altered")
    (tmp_path / "up_logistic-torn").mkdir()
    (tmp_path / "up_logistic-torn" / "plan.json").write_text("{")
    found = WALK.run(table, Logistic(), tmp_path)
    assert found.fitted == len(found.folds) - len(before.folds) + 2


def test_a_pool_scaled_by_coin_grows_too(make_table, tmp_path):
    walk = dataclasses.replace(WALK, training=Training(coin_scaling="standard"))
    tables = {"BTC/USDT": make_table(600, seed=3), "ETH/USDT": make_table(600, seed=4)}

    def run(rows, folder):
        pool = Pool({coin: as_it_was(table, rows) for coin, table in tables.items()})
        return pool.walk(walk).run(pool.table, Logistic(), folder)

    before, grown, anew = run(490, tmp_path), run(600, tmp_path), run(600, tmp_path / "anew")
    assert grown.fitted == len(grown.folds) - len(before.folds) + 1
    assert files_of(grown) == files_of(anew)
