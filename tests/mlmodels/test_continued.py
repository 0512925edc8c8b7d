"""Live retraining is the walk-forward that goes on: it must end with the files that one run over all bars gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from itb.errors import ModelError
from itb.market.timeframe import Timeframe
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.continued import continue_walk, due_blocks
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.promotion import SkillGate
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.timeline import ModelTimeline
from itb.mlmodels.walkforward import WalkForward

FRAME = Timeframe.parse("1h")


def table(bars: int, whole: int = 900, seed: int = 1) -> TrainingTable:
    """The first bars of one market, with the labels that are known by their end."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(whole, 4)).astype(np.float32)
    labels = (features[:, 0] + random.normal(size=whole) > 0).astype(np.float64)
    horizon = 5
    values = labels[:bars].copy()
    values[bars - horizon :] = np.nan
    return TrainingTable(
        features=features[:bars],
        feature_names=("a", "b", "c", "d"),
        label=LabelColumn.after(values, horizon),
        label_name="up",
        is_binary=True,
        open_time=np.arange(bars, dtype=np.int64) * FRAME.ms,
        timeframe=FRAME,
    )


@pytest.mark.parametrize("promotion", [None, SkillGate(60)])
@pytest.mark.parametrize("mode", ["sliding", "expanding"])
@pytest.mark.parametrize("stops", [(420, 900), (401, 499, 500, 501, 650, 900)])
def test_a_continued_walk_forward_is_the_one_over_all_bars(
    tmp_path: Path, stops: tuple[int, ...], mode: str, promotion: SkillGate | None
) -> None:
    walk = WalkForward(mode=mode, train_bars=300, refit_every=100, min_train_rows=50, refit_delay_bars=2)  # type: ignore[arg-type]  # a parameter of the test
    if promotion is not None:
        walk = replace(walk, promotion=promotion)
    model = LightGbm(rounds=5)
    first, *later = stops
    home = walk.run(table(first), model, tmp_path / "live", seed=3).folder
    for bars in later:
        continue_walk(walk, table(bars), model, home, seed=3)
    whole = walk.run(table(stops[-1]), model, tmp_path / "whole", seed=3)
    continued = ModelTimeline.load(home / "timeline.json")
    assert len(whole.timeline.entries) > 4
    assert continued.entries[: len(whole.timeline.entries)] == whole.timeline.entries
    assert len(continued.entries) - len(whole.timeline.entries) <= 1  # one may speak from a bar that is still to come
    for entry in whole.timeline.entries:
        files = [(folder / entry.file).read_bytes() for folder in (home, whole.folder)]
        assert files[0] == files[1]


def test_a_refit_is_due_at_the_close_of_its_bar_and_not_before(tmp_path: Path) -> None:
    walk = WalkForward(train_bars=300, refit_every=100, min_train_rows=50)
    home = walk.run(table(350), LightGbm(rounds=2), tmp_path).folder
    timeline = ModelTimeline.load(home / "timeline.json")
    assert len(timeline.entries) == 1
    assert due_blocks(walk, table(399), timeline) == ()
    (block,) = due_blocks(walk, table(400), timeline)
    assert block.fit_bar == 399
    (entry,) = continue_walk(walk, table(400), LightGbm(rounds=2), home)
    assert (entry.known_at, entry.speaks_from) == (399 * FRAME.ms, 400 * FRAME.ms)
    assert continue_walk(walk, table(400), LightGbm(rounds=2), home) == ()


def test_other_bars_are_refused(tmp_path: Path) -> None:
    walk = WalkForward(train_bars=300, refit_every=100, min_train_rows=50)
    home = walk.run(table(500), LightGbm(rounds=2), tmp_path).folder
    with pytest.raises(ModelError, match="refit 0 was fitted at"):
        continue_walk(replace(walk, train_bars=310), table(700), LightGbm(rounds=2), home)
    with pytest.raises(ModelError, match="2 refits are there, these bars reach to 1"):
        continue_walk(walk, table(350), LightGbm(rounds=2), home)
