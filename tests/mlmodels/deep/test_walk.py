"""The walk-forward of a network: laws, the same bits again, going on where it was stopped."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from itb.errors import ModelError
from itb.laws.causal import poison_after
from itb.laws.leak import check_purged, check_walk_forward
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.deep.resnet import Resnet1d
from itb.mlmodels.deep.walk import PanelWalk
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.promotion import SkillGate
from itb.mlmodels.registry import check_model
from itb.mlmodels.timeline import ModelTimeline
from itb.mlmodels.walkforward import WalkForward

pytestmark = pytest.mark.torch

LABEL = FutureReturn(4)
WALK = WalkForward(mode="expanding", train_bars=300, refit_every=150, min_train_rows=50, refit_delay_bars=2)
PART = Resnet1d(steps=8, blocks=1, filters=4, epochs=2, batch_rows=32)


def walking(bars, part=PART, walk=WALK, seed=0):
    panel = Panel.of(bars, part.reading)
    targets = panel.targets(bars, {symbol: LABEL(one) for symbol, one in bars.items()})
    return PanelWalk(walk, panel, targets, part, LABEL.name, f"{LABEL.name}_{part.name}", seed)


def apart(result, bars):
    return result.apart(bars, LABEL, {symbol: LABEL(one) for symbol, one in bars.items()})


@pytest.fixture(scope="module")
def run(gappy, tmp_path_factory):
    return walking(gappy).run(tmp_path_factory.mktemp("deep"))


def test_every_coin_has_a_score_wherever_it_has_a_bar_and_a_model_speaks(run):
    first = run.folds[0].block.test_start
    np.testing.assert_array_equal(np.isfinite(run.scores[first:]), run.panel.there[first:])
    assert np.isnan(run.scores[:first]).all()


def test_the_law_of_no_leak_holds_for_each_coin(run, gappy):
    for one in apart(run, gappy).values():
        assert check_walk_forward(one).passed
        splits = [(fold.learned_rows, np.arange(fold.block.test_start, fold.block.test_stop)) for fold in one.folds]
        assert check_purged(splits, one.table.label.known_at).passed
        assert all(len(rows) for rows, _ in splits)


def test_each_coin_has_its_own_scores_at_its_own_bars(run, gappy):
    found = apart(run, gappy)
    for coin, (symbol, one) in enumerate(sorted(found.items())):
        place = run.panel.place(gappy[symbol].open_time)
        np.testing.assert_array_equal(one.source.batch(), run.scores[place, coin])
        assert one.class_sources == ()


def test_a_window_scores_the_same_alone_and_among_others(run):
    for fold in run.folds:
        model = run.model_at(fold.block.test_start)
        for row in range(fold.block.test_start, fold.block.test_stop, 13):
            np.testing.assert_array_equal(model.scores(run.panel, range(row, row + 1))[0], run.scores[row])


def test_a_window_of_bars_alone_gives_the_score_of_the_whole_history(run, gappy):
    row = run.folds[-1].block.test_start + 20
    start, stop = (int(run.panel.open_time[at]) for at in (row - PART.warmup, row))
    short = {symbol: bars.between(start, stop + 1) for symbol, bars in gappy.items()}
    panel = Panel.of(short, PART.reading)
    model = run.model_at(row)
    np.testing.assert_array_equal(model.scores(panel, range(len(panel) - 1, len(panel)))[0], run.scores[row])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(run, gappy, tmp_path):
    again, other = walking(gappy).run(tmp_path), walking(gappy, seed=1).run(tmp_path)
    np.testing.assert_array_equal(again.scores, run.scores)
    assert again.timeline == run.timeline
    assert not np.array_equal(other.scores, run.scores, equal_nan=True)


def test_noise_after_a_bar_changes_no_earlier_score(run, gappy, tmp_path):
    cut = run.folds[1].block.test_start + 3
    time = int(run.panel.open_time[cut])
    rng = np.random.default_rng(3)
    changed = {
        symbol: poison_after(bars, int(np.searchsorted(bars.open_time, time, side="right")) - 1, rng)
        for symbol, bars in gappy.items()
    }
    again = walking(changed).run(tmp_path)
    np.testing.assert_array_equal(again.scores[: cut + 1], run.scores[: cut + 1])
    assert not np.array_equal(again.scores[cut + 1 :], run.scores[cut + 1 :], equal_nan=True)


def test_what_is_kept_is_taken_up_again(run, gappy):
    again = walking(gappy).run(run.folder.parent)
    assert (run.fitted, again.fitted) == (len(run.folds), 0)
    np.testing.assert_array_equal(again.scores, run.scores)
    assert ModelTimeline.load(run.folder / "timeline.json") == run.timeline


class Stop(Exception):
    pass


def test_training_that_was_stopped_within_a_refit_goes_on_with_the_same_bits(run, gappy, tmp_path):
    stops = {1, 3, 4}

    def stopping(done, total, what):
        assert what == "training return_4_resnet1d"
        if done in stops:
            stops.discard(done)
            raise Stop

    for _ in range(3):
        with pytest.raises(Stop):
            walking(gappy).run(tmp_path, stopping)
    assert list(tmp_path.rglob("*.training"))
    found = walking(gappy).run(tmp_path, stopping)
    np.testing.assert_array_equal(found.scores, run.scores)
    assert not list(tmp_path.rglob("*.training"))


def test_a_coin_that_is_listed_later_is_learned_by_fine_tuning_too(coins, tmp_path):
    late = {**coins, "SOL/USDT": coins["SOL/USDT"].slice(330, None)}
    part = dataclasses.replace(PART, fine_tune_epochs=1)
    found = walking(late, part=part).run(tmp_path)
    blocks = [fold.block for fold in found.folds]
    assert np.isnan(found.scores[: blocks[1].test_start, 2]).all()
    assert np.isfinite(found.scores[blocks[1].test_start :, 2]).all()
    first, second = (found.model_at(block.test_start) for block in blocks[:2])
    close = found.panel.channels.index("SOL/USDT close")
    assert (first.state["centre"][close, 0], first.state["scale"][close, 0]) == (0, 1)
    assert second.state["scale"][close, 0] < 0.5
    other = found.panel.channels.index("BTC/USDT close")
    assert second.state["scale"][other, 0] == first.state["scale"][other, 0]


def test_model_files_are_safetensors_that_load_back(run):
    for fold in run.folds:
        manifest, content = check_model(run.folder / fold.entry.file)
        assert manifest.file.endswith(".safetensors")
        assert manifest.feature_names == run.panel.channels
        assert b"pickle" not in content
        assert manifest.trained_until < manifest.known_at


def test_too_little_to_learn_from_is_said(gappy, tmp_path):
    with pytest.raises(ModelError, match="700 bars are too few: a window has 8"):
        walking(gappy, walk=WalkForward(train_bars=700)).run(tmp_path)


def test_a_refit_that_had_too_few_rows_promotes_nothing(gappy, tmp_path):
    walk = WalkForward(mode="expanding", train_bars=300, refit_every=150, min_train_rows=250)
    found = walking(gappy, walk=walk).run(tmp_path)
    assert "only 2" in found.folds[0].entry.reason
    assert [fold.entry.promoted for fold in found.folds] == [False, True, True]
    assert np.isnan(found.scores[: found.folds[1].block.test_start]).all()


def test_a_skill_gate_holds_rows_back_and_judges(gappy, tmp_path):
    walk = WalkForward(
        mode="expanding", train_bars=300, refit_every=150, min_train_rows=50, promotion=SkillGate(bars=60)
    )
    found = walking(gappy, walk=walk).run(tmp_path)
    assert all("row" in fold.entry.reason for fold in found.folds[1:])
    assert all(fold.learned[-1] < fold.block.fit_bar - 60 for fold in found.folds)


def test_every_network_is_listed_under_its_name():
    assert {name: part.name for name, part in DEEP.items()} == {name: name for name in DEEP}
