from collections.abc import Callable

import numpy as np
import pytest

from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.splits import walk_forward_blocks
from itb.mlmodels.stages.column import ScoreColumn

HOUR_MS = 3_600_000


def scored(rows: int = 400, seed: int = 0, horizon: int = 7, embargo: int = 0, **more) -> ScoreColumn:
    """Overconfident probabilities of which some are missing, refitted every 60 rows."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logits / 2))).astype(float)
    scores = 1 / (1 + np.exp(-logits))
    scores[rng.random(rows) < 0.05] = np.nan
    blocks = walk_forward_blocks(rows, mode="expanding", train_bars=100, refit_every=60, embargo_bars=embargo)
    scores[: blocks[0].test_start] = np.nan
    known_at = np.arange(rows) + rng.integers(1, horizon + 1, rows)
    known_at[known_at >= rows] = NEVER
    label = LabelColumn(np.where(known_at == NEVER, np.nan, labels), known_at)
    fields = {
        "name": "up_logistic",
        "scores": scores,
        "low": 0.0,
        "high": 1.0,
        "is_probability": True,
        "label": label,
        "label_name": "up",
        "blocks": blocks,
        "open_time": np.arange(rows) * HOUR_MS,
        "embargo_bars": embargo,
    }
    return ScoreColumn(**{**fields, **more})


@pytest.fixture
def make_column() -> Callable[..., ScoreColumn]:
    return scored


@pytest.fixture
def column() -> ScoreColumn:
    return scored()
