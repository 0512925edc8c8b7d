import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.splits import purge, walk_forward_blocks


@st.composite
def plans(draw):
    settings = {
        "mode": draw(st.sampled_from(["sliding", "expanding"])),
        "train_bars": draw(st.integers(2, 40)),
        "refit_every": draw(st.integers(1, 30)),
        "embargo_bars": draw(st.integers(0, 10)),
        "refit_delay_bars": draw(st.integers(1, 5)),
        "holdback_bars": draw(st.integers(0, 10)),
        "first_bar": draw(st.integers(0, 20)),
    }
    bars = draw(st.integers(0, 200))
    reach = draw(st.lists(st.integers(1, 20), min_size=bars, max_size=bars))
    known_at = np.arange(bars) + np.array(reach, dtype=np.int64)
    known_at[known_at >= bars] = -1
    return bars, settings, known_at


@given(plans())
def test_no_training_label_reaches_past_the_fit_and_the_embargo(plan):
    bars, settings, known_at = plan
    for block in walk_forward_blocks(bars, **settings):
        rows = block.training_rows(known_at)
        assert (known_at[rows] >= 0).all()
        assert (known_at[rows] + settings["embargo_bars"] + settings["holdback_bars"] <= block.fit_bar).all()
        assert settings["first_bar"] <= block.train_start <= block.fit_bar < block.test_start


@given(plans())
def test_every_row_that_was_known_and_in_the_window_is_learned_from(plan):
    bars, settings, known_at = plan
    for block in walk_forward_blocks(bars, **settings):
        allowed = [t for t in range(block.train_start, bars) if 0 <= known_at[t] <= block.known_until]
        assert block.training_rows(known_at).tolist() == allowed


@given(plans())
def test_test_blocks_follow_each_other_without_gap_or_overlap(plan):
    bars, settings, _ = plan
    blocks = walk_forward_blocks(bars, **settings)
    scored = [t for block in blocks for t in range(block.test_start, block.test_stop)]
    assert scored == list(
        range(settings["first_bar"] + settings["train_bars"] - 1 + settings["refit_delay_bars"], bars)
    )


@given(plans())
def test_held_back_rows_are_known_at_the_fit_and_learned_by_no_model_so_far(plan):
    bars, settings, known_at = plan
    learned = set()
    for block in walk_forward_blocks(bars, **settings):
        learned |= set(block.training_rows(known_at).tolist())
        held = block.holdback_rows(known_at, settings["holdback_bars"])
        assert (known_at[held] <= block.fit_bar).all()
        assert not learned & set(held.tolist())


@given(bars=st.integers(5, 60), horizon=st.integers(1, 10))
def test_purging_by_known_at_equals_purging_by_horizon(bars, horizon):
    known_at = np.arange(bars) + horizon
    for block in walk_forward_blocks(bars, mode="expanding", train_bars=4, refit_every=3):
        train = np.arange(block.fit_bar + 1)
        test = np.arange(block.test_start, block.test_stop)
        assert block.training_rows(known_at).tolist() == purge(train, test, horizon).tolist()


def test_the_first_refit_happens_as_soon_as_the_training_window_is_complete():
    blocks = walk_forward_blocks(100, mode="sliding", train_bars=60, refit_every=20)
    assert [block.fit_bar for block in blocks] == [59, 79]
    assert [(block.test_start, block.test_stop) for block in blocks] == [(60, 80), (80, 100)]


@pytest.mark.parametrize("bars", [0, 59, 60])
def test_too_few_bars_give_no_refit(bars):
    assert walk_forward_blocks(bars, mode="sliding", train_bars=60, refit_every=20) == ()
