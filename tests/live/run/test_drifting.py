"""Drift in the running bot: told once when features leave their ground, over when they are back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from itb.errors import ModelError
from itb.live.run.drifting import WINDOW, Drift, Ground
from itb.live.run.health import HealthBoard

NAMES = ("fast", "slow")


def rows(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise, and a random walk that is far from its whole in any stretch."""
    random = np.random.default_rng(seed)
    return np.column_stack((random.normal(size=count), random.normal(size=count).cumsum())).astype(np.float32)


class Desk:
    """The part of a score desk that is looked at."""

    feature_names = NAMES
    newest = rows(0)


def feed(drift: Drift, desk: Desk, told: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    for row in told:
        desk.newest = row[None, :]
        drift.tick(cast("Any", SimpleNamespace(step=SimpleNamespace(bars={"A": None}))))


def test_only_what_left_its_usual_range_is_told_once_and_ends(tmp_path: Path) -> None:
    learned = rows(3000)
    Ground.of(NAMES, learned).save(tmp_path / "ground")
    told: list[tuple[str, bool]] = []
    board = HealthBoard(lambda: 0, lambda change: told.append((change.trouble.text, change.is_over)))
    desk = Desk()
    drift = Drift(cast("Any", {"A": desk}), {"A": tmp_path / "ground"}, board)
    feed(drift, desk, learned[WINDOW : 3 * WINDOW])
    assert told == []
    feed(drift, desk, learned[: WINDOW + 100] + np.array([3, 0], dtype=np.float32))
    ((text, is_over),) = told
    assert text.startswith("A: 1 of 2 features have left what the models learned from: fast ")
    assert not is_over
    feed(drift, desk, learned[: 2 * WINDOW])
    assert [is_over for _, is_over in told] == [False, True]


def test_a_ground_is_read_back_and_another_file_is_refused(tmp_path: Path) -> None:
    ground = Ground.of(NAMES, rows(1200))
    ground.save(tmp_path / "ground")
    again = Ground.load(tmp_path / "ground")
    assert again.usual == ground.usual
    live = rows(300, seed=1)[:, 0].astype(np.float64)
    assert again.quantiles.index("fast", live) == ground.quantiles.index("fast", live)
    (tmp_path / "ground").write_text("[]")
    with pytest.raises(ModelError, match="train again"):
        Ground.load(tmp_path / "ground")
