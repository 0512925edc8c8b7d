"""Several labels by several models: names, who learns what, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import load_config
from itb.config.check import check
from itb.config.columns import columns
from itb.config.dump import config_hash, dump_toml
from itb.errors import ConfigError

Write = Callable[[str], Path]

TWO = """
[[labels]]
horizon = 6
threshold = 0.0
alias = "rise"

[[labels]]
kind = "future_return"
horizon = 6

[[models]]
algorithm = "logistic"
labels = ["rise"]

[[models]]
algorithm = "logistic"
labels = ["rise"]
c = 9.0
name = "loose"
seed = 3

[[models]]
algorithm = "linear"
"""


def names(*overrides: str) -> list[str]:
    return [column.name for column in columns(load_config(overrides=overrides))]


def complaint(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check(load_config(overrides=overrides))
    return str(caught.value)


def test_every_label_is_learned_by_every_model_that_is_not_told_otherwise(write: Write) -> None:
    write(TWO)
    assert names() == ["rise_logistic", "rise_loose", "rise_linear", "return_6_linear"]
    loose = columns(load_config())[1]
    assert (loose.seed, loose.algorithm.name, loose.score_ranges) == (3, "logistic", {loose.name: (0.0, 1.0)})


def test_one_label_and_one_model_make_the_column_they_always_made(project: Path) -> None:
    assert names() == ["up_12_0bps_lightgbm"]
    assert names("model.name=x", "label.alias=y") == ["y_x"]


def test_a_config_with_several_loads_back_from_what_is_dumped(write: Write) -> None:
    write(TWO)
    config = load_config()
    assert "[label]" not in dump_toml(config)
    write(dump_toml(config, origins=True))
    assert load_config().plain() == config.plain()
    assert config_hash(load_config()) == config_hash(config)


def test_one_item_is_set_by_its_number(write: Write) -> None:
    write(TWO)
    assert names("labels.1.horizon=3")[-1] == "return_3_linear"
    assert names("labels.1.kind=gradient", "labels.1.window=3", "labels.1.gain=0.1", "labels.1.loss=0.0")[-1].endswith(
        "_linear"
    )
    assert names("models.3.algorithm=svc", 'models.3.labels=["rise"]')[3] == "rise_svc"
    config = load_config(overrides=["labels.0.horizon=9"], environ={"ITB_MODELS__1__C": "4"})
    lines = dump_toml(config, origins=True).splitlines()
    assert "horizon = 9  # --set" in lines
    assert "c = 4  # ITB_MODELS__1__C" in lines
    assert "c = 4  # itb.toml" not in lines


def test_features_are_set_by_their_number_too(project: Path) -> None:
    config = load_config(overrides=["features.1.family=time"])
    assert [part.family for part in config.features] == ["default", "time"]
    named = load_config(overrides=["features.0.family=series", 'features.0.inputs=["body"]'])
    assert named.plain()["features"] == [{"family": "series", "inputs": ["body"]}]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["label.horizon=3"],
            "itb.toml: labels: is set beside label; keep [[labels]] alone and set one of its keys with --set lab",
        ),
        (
            ["labels.1.alias=rise"],
            'itb.toml: labels[2]: "rise" is there twice; each label needs a name of its own; give one of them an "ali',
        ),
        (
            ["models.1.name=logistic"],
            'itb.toml: models[2]: it makes the score column "rise_logistic", and so does another; give one of the mod',
        ),
        (["models.0.labels=['ris']"], '--set: models[1].labels: unknown label "ris"; did you mean "rise"?'),
        (
            ["models.0.labels=['return_6']"],
            "itb.toml: models[1].algorithm: algorithm 'logistic' needs a label of 0 and 1, but 'return_6' is a number",
        ),
        (["models.0.name='a/b'"], "--set: models[1].name: "),
        (["models.0.labels=[]"], "--set: models[1].labels: expected a list of 1 or more, was []"),
        (["labels.0.horizon=0"], "--set: labels[1].horizon: must be at least 1 bar, was 0"),
        (["labels.5.horizon=1"], "--set: labels.5: the last is labels.1, so expected at most labels.2"),
        (["labels.x.horizon=1"], "--set: labels.x.horizon: labels is a list; expected labels.0.KEY=VALUE"),
        (["labels.0=1"], "--set: labels.0: labels is a list; expected labels.0.KEY=VALUE"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_place(write: Write, overrides: list[str], expected: str) -> None:
    write(TWO)
    message = complaint(*overrides)
    assert message[: len(expected)] == expected
    assert "\n" not in message


def test_all_labels_that_are_wrong_are_told_at_once(write: Write) -> None:
    write(TWO)
    told = complaint("labels.0.horizon=0", "labels.1.horizn=1", "models.1.c=-1").splitlines()
    assert [line.split(": ")[1] for line in told] == ["labels[1].horizon", "labels[2].horizn", "models[2].c"]


def test_classes_have_columns_of_their_own_beside_the_difference(project: Path) -> None:
    (column,) = columns(load_config(overrides=["label.kind=first_hit", "model.algorithm=logistic"]))
    assert column.score_ranges == {
        "first_hit_10up5low30_logistic": (-1.0, 1.0),
        "first_hit_10up5low30_logistic_hold": (0.0, 1.0),
        "first_hit_10up5low30_logistic_buy": (0.0, 1.0),
        "first_hit_10up5low30_logistic_sell": (0.0, 1.0),
    }
    assert 'give the label view = "buy" or "sell"' in complaint("label.kind=first_hit", "model.algorithm=svc")


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ('training.class_balance="rows"', "training.class_balance"),
        ('training.weights=["uniqueness", "class_balance"]', "training.weights"),
    ],
)
def test_a_label_without_classes_is_not_balanced(settings, where):
    number = ["label={kind='future_return', horizon=6, alias='top'}", "model.algorithm=linear", settings]
    with pytest.raises(ConfigError, match=f"{where}: top is a number and has no classes to balance"):
        check(load_config(overrides=number, environ={}))
    check(load_config(overrides=["model.algorithm=logistic", settings], environ={}))
