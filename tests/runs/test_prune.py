"""What `itb runs prune` gives back, and what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.config import load_config
from itb.errors import ConfigError
from itb.runs.prune import prune
from itb.runs.steps import walk_forward
from itb.runs.train import train
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=600",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "model.algorithm=logistic",
    "walkforward={train=300, refit_every=100, min_train_rows=50, workers=1}",
)
DAY_S = 86_400


@pytest.fixture
def place(tmp_path):
    def make(*settings):
        return Workspace(load_config(overrides=[*SMALL, *settings], folder=tmp_path, environ={}))

    return make


def grow_old(folder, days, now_ms):
    for file in folder.rglob("*"):
        os.utime(file, (now_ms / 1000 - days * DAY_S,) * 2)


def test_what_was_not_used_for_long_goes_and_comes_again_when_it_is_asked_for(place):
    work, other = place(), place("model.c=0.5")
    (old, *_) = walk_forward(work).data["walkforward"]
    (new, *_) = walk_forward(other).data["walkforward"]
    grow_old(work.cache, 40, work.clock())
    walk_forward(other)  # used again
    said = prune(work, 30).data
    assert (said["removed"], said["kept"]) == (1, 1)
    folders = [path.name for path in (work.cache / "walkforward").iterdir()]
    assert folders == [Path(new["timeline"]).parent.name]
    (again, *_) = walk_forward(work).data["walkforward"]
    assert (again["fitted_now"], again["timeline"], again["pooled"]) == (3, old["timeline"], old["pooled"])


def test_models_scores_and_the_register_stay(place):
    work = place()
    walk_forward(work)
    train(work)
    kept = {path: path.read_bytes() for path in work.runs.rglob("*") if path.is_file() and ".cache" not in path.parts}
    grow_old(work.runs, 400, work.clock())
    assert prune(work, 1).data["kept"] == 0
    assert list((work.cache / "walkforward").iterdir()) == []
    assert {path: path.read_bytes() for path in kept} == kept
    assert {path.suffix for path in kept} >= {".skops", ".parquet", ".sqlite"}


def test_there_is_nothing_to_remove_before_anything_was_run(place):
    assert prune(place(), 30).lines[0].startswith("0 of 0 cached results removed, 0.0 MiB")


def test_a_day_is_the_least(place):
    with pytest.raises(ConfigError, match="--days: expected at least 1 day, was 0"):
        prune(place(), 0)
