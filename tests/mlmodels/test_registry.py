import json
import os
import pickle

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.files import sweep_drafts, write_whole
from itb.mlmodels.linear import Logistic
from itb.mlmodels.registry import Manifest, check_features, library_versions, load_model, save_model

MANIFEST = Manifest(
    column="up_logistic",
    label="up",
    algorithm="logistic",
    settings={"c": 1.0},
    feature_names=("a", "b"),
    rows=300,
    seed=1,
    trained_from=0,
    trained_until=60_000,
    known_at=120_000,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(7)
    features = rng.normal(size=(300, 2)).astype(np.float32)
    return features, (features[:, 0] > 0) + 0.0


@pytest.fixture
def path(rows, tmp_path):
    algorithm = Logistic()
    return tmp_path / save_model(algorithm.fit(rows[0], rows[1], 1), algorithm, MANIFEST, tmp_path)


def test_a_model_comes_back_with_its_manifest_and_scores(path, rows):
    stored = load_model(path)
    assert (stored.manifest.trained_until, stored.manifest.feature_names) == (60_000, ("a", "b"))
    assert stored.manifest.versions == library_versions()
    np.testing.assert_array_equal(stored.scores(rows[0]), Logistic().fit(rows[0], rows[1], 1).predict(rows[0]))


def test_saving_the_same_model_twice_gives_the_same_name(path, rows):
    assert save_model(Logistic().fit(rows[0], rows[1], 1), Logistic(), MANIFEST, path.parent) == path.name


def test_another_model_never_overwrites_an_earlier_one(path, rows):
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    save_model(Logistic(c=0.1).fit(rows[0], rows[1], 1), Logistic(c=0.1), MANIFEST, path.parent)
    assert len(list(path.parent.iterdir())) == 4
    assert {name: (path.parent / name).read_bytes() for name in before} == before


def test_a_missing_manifest_names_the_next_step(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json: cannot be read .* Run `itb walkforward`"):
        load_model(tmp_path / "none.json")


def test_a_missing_model_is_an_error(path):
    next(path.parent.glob("*.skops")).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(path)


@pytest.mark.parametrize("place", range(0, 9000, 977))
def test_a_model_with_one_altered_byte_is_refused(path, place):
    model = next(path.parent.glob("*.skops"))
    content = bytearray(model.read_bytes())
    content[place] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelError, match="was altered"):
        load_model(path)


def test_an_altered_manifest_is_refused(path):
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"trained_until": 1}))
    with pytest.raises(ModelError, match="manifest was altered"):
        load_model(path)


def test_a_pickle_in_the_place_of_a_model_is_never_executed(path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    next(path.parent.glob("*.skops")).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError):
        load_model(path)
    with pytest.raises(ModelError):
        Logistic().load(pickle.dumps(Bomb()))
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "another version of itb"),
        ({"algorithm": "oracle"}, "algorithm 'oracle', which is none of lightgbm"),
        ({"file": "../else.skops"}, "expected a file beside it"),
        ({"scales": "../else.npz"}, "expected a file beside it"),
        ({"surprise": 1}, "not a model manifest"),
        ({"feature_names": ["a"]}, "takes 2 features, its manifest names 1"),
    ],
)
def test_a_foreign_manifest_is_refused(path, tmp_path, change, message):
    import hashlib

    text = json.dumps(json.loads(path.read_text()) | change).encode()
    foreign = tmp_path / f"{hashlib.sha256(text).hexdigest()[:16]}.json"
    foreign.write_bytes(text)
    with pytest.raises(ModelError, match=message):
        load_model(foreign)


def test_other_features_than_those_learned_from_are_refused(path):
    manifest = load_model(path).manifest
    check_features(manifest, ("a", "b"))
    with pytest.raises(ModelError, match="feature 2 is 'c', expected 'b'"):
        check_features(manifest, ("a", "c"))
    with pytest.raises(ModelError, match="3 features, expected 2"):
        check_features(manifest, ("a", "b", "c"))


def test_rows_of_another_width_are_refused(path):
    with pytest.raises(ModelError, match="expected 2 columns"):
        load_model(path).scores(np.zeros((4, 3), dtype=np.float32))


def test_lightgbm_models_are_kept_as_text(rows, tmp_path):
    algorithm = LightGbm(rounds=3)
    name = save_model(algorithm.fit(rows[0], rows[1], 1), algorithm, MANIFEST, tmp_path)
    assert next(tmp_path.glob("*.txt")).read_text().startswith("tree\n")
    with pytest.raises(ModelError, match="not a skops file"):
        load_model(tmp_path / name)  # its manifest claims to be logistic


def test_drafts_of_killed_processes_are_swept_after_an_hour(tmp_path):
    (tmp_path / "models.1.draft").mkdir()
    (tmp_path / "models.1.draft" / "x").write_text("x")
    (tmp_path / "a.json.1.draft").write_text("x")
    (tmp_path / "gone.draft").symlink_to(tmp_path / "nothing")  # listed, and away when it is looked at
    assert sweep_drafts(tmp_path) == 0
    (tmp_path / "gone.draft").unlink()
    later = (tmp_path / "a.json.1.draft").stat().st_mtime + 4000
    assert sweep_drafts(tmp_path, now=later) == 2
    assert list(tmp_path.iterdir()) == []


def test_writing_replaces_a_file_whole(tmp_path):
    write_whole(tmp_path / "new" / "a.json", b"1")
    write_whole(tmp_path / "new" / "a.json", b"2")
    assert (tmp_path / "new" / "a.json").read_bytes() == b"2"
    assert len(list((tmp_path / "new").iterdir())) == 1
