import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import MinMaxScaler

from itb.errors import ModelError
from itb.mlmodels.dissimilarity import Dissimilarity, KnownGround


def normal(rows, columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 50))
def test_the_index_is_that_of_freqai(rows, columns, seed):
    train, new = normal(rows, columns, seed), normal(15, columns, seed + 100) * 2
    scaler = MinMaxScaler((-1, 1)).fit(train.astype(np.float64))
    points = scaler.transform(train.astype(np.float64))
    pairs = pairwise_distances(points)
    np.fill_diagonal(pairs, np.nan)
    nearest = pairwise_distances(scaler.transform(new.astype(np.float64)), points).min(axis=1)
    assert Dissimilarity().fit(train).index(new) == pytest.approx(nearest / np.nanmean(pairs), rel=1e-6)


def test_a_row_that_was_learned_from_has_index_zero():
    train = normal(50)
    assert Dissimilarity().fit(train).index(train) == pytest.approx(np.zeros(50))


def test_a_row_alone_has_the_same_bits_as_among_many():
    ground = Dissimilarity().fit(normal(300))
    rows = normal(2_000, seed=1)
    together = ground.index(rows)
    assert all(ground.index(rows[i : i + 1])[0] == together[i] for i in (0, 7, 1_999))


def test_a_model_is_silent_on_strange_rows_only():
    ground = Dissimilarity(threshold=0.5).fit(normal(400))
    rows = np.vstack([normal(50, seed=1) / 2, 10 + normal(50, seed=2)])
    scores = ground.abstain(np.full(100, 0.7), rows)
    assert (scores[:50] == 0.7).all()
    assert np.isnan(scores[50:]).all()


def test_rows_without_all_features_stay_without_a_score():
    rows = normal(3)
    rows[1, 2] = np.nan
    ground = Dissimilarity().fit(normal(50))
    assert np.isnan(ground.index(rows)).tolist() == [False, True, False]


def test_incomplete_training_rows_do_not_count():
    train = normal(30)
    with_holes = np.vstack([train, np.full((3, 4), np.nan, dtype=np.float32)])
    rows = normal(5, seed=4)
    assert (Dissimilarity().fit(with_holes).index(rows) == Dissimilarity().fit(train).index(rows)).all()


def test_drawn_rows_stand_for_many():
    train, rows = normal(4_000), normal(200, seed=8)
    some, every = (Dissimilarity(most_rows=most).fit(train) for most in (1_000, 4_000))
    assert len(some.points) == 1_000
    assert some.mean_distance == pytest.approx(every.mean_distance, rel=0.02)
    assert (some.index(rows) >= every.index(rows) - 0.02).all()


def test_a_constant_feature_counts_once_it_changes():
    train = normal(40)
    train[:, 0] = 3.0
    rows = train[:2].copy()
    rows[1, 0] = 9.0
    found = Dissimilarity().fit(train).index(rows)
    assert found[0] == pytest.approx(0)
    assert found[1] > 1


@pytest.mark.parametrize("rows", [np.zeros((0, 2)), np.ones((1, 2)), np.ones((5, 2))])
def test_too_little_ground_is_refused(rows):
    with pytest.raises(ValueError, match="two different complete rows are needed"):
        Dissimilarity().fit(rows.astype(np.float32))


@pytest.mark.parametrize("settings", [{"threshold": 0.0}, {"most_rows": 1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        Dissimilarity(**settings)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 50))
def test_a_ground_read_back_from_its_file_gives_the_same_bits(rows, columns, seed):
    ground = Dissimilarity(most_rows=20).fit(normal(rows, columns, seed))
    again = KnownGround.load(ground.to_bytes())
    new = normal(15, columns, seed + 100) * 2
    assert again.index(new).tobytes() == ground.index(new).tobytes()
    assert again.threshold == ground.threshold
    assert again.to_bytes() == ground.to_bytes()


def test_the_seed_draws_the_rows():
    train = normal(500)
    first, same, other = (Dissimilarity(most_rows=50, seed=seed).fit(train) for seed in (1, 1, 2))
    assert first.to_bytes() == same.to_bytes()
    assert (first.points != other.points).any()


def saved(**arrays):
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        saved(points=np.zeros((2, 2))),
        saved(points=np.array([{}]), lowest=np.zeros(1), width=np.ones(1), mean_distance=1.0, threshold=1.0),
        saved(points=np.zeros((2, 2)), lowest=np.zeros(3), width=np.ones(3), mean_distance=1.0, threshold=1.0),
    ],
)
def test_a_file_that_holds_no_ground_is_refused(content):
    with pytest.raises(ModelError, match="ground that was learned from"):
        KnownGround.load(content)
