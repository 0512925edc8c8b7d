import json
import math
import random
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.config.foreign.convert import convert
from itb.config.foreign.jsonc import read_jsonc

SAMPLES = {
    path.stem: read_jsonc(path.read_text()) for path in sorted((Path(__file__).parent / "foreign").glob("*.jsonc"))
}
SECRETS = {"api_key", "api_secret", "telegram_bot_token"}
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def numbers(value):
    """Every number of a config, at any depth; what is inside a text or a secret is none."""
    if isinstance(value, dict):
        return [number for key, item in value.items() if key not in SECRETS for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def told(text):
    return {float(found) for found in NUMBER.findall(text)}


def spoiled(value, rng, counter):
    """The same config with a number of its own at each place, and now and then something else, or nothing, there."""
    odd = rng.random()
    if odd < 0.03:
        return rng.choice(
            ["text", None, True, [], {}, [3e5 + next(counter)], {"deep": {"x": 4e5 + next(counter)}}, "1 + 1"]
        )
    if isinstance(value, dict):
        kept = {key: spoiled(item, rng, counter) for key, item in value.items() if rng.random() > 0.04}
        return kept | ({"unheard_of": 5e5 + next(counter)} if rng.random() < 0.05 else {})
    if isinstance(value, list):
        kept = [spoiled(item, rng, counter) for item in value if rng.random() > 0.05]
        return kept + ([kept[-1]] if kept and rng.random() < 0.1 else [])
    if isinstance(value, int | float) and not isinstance(value, bool):
        fresh = 1000 + next(counter)
        return rng.choice([fresh, fresh, -fresh, fresh + 0.125, fresh / 65536, 0, float(fresh)])
    return value


@given(name=st.sampled_from(sorted(SAMPLES)), seed=st.integers(0, 10**9))
def test_every_number_is_in_the_result_or_in_the_list(name, seed):
    rng = random.Random(seed)
    values = spoiled(SAMPLES[name], rng, iter(range(100_000)))
    if not isinstance(values, dict):
        return
    made = convert(json.loads(json.dumps(values)))
    text = made.toml("config.json")
    assert set(numbers(values)) - told(text) == set()
    tomllib.loads(text)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_invented_but_what_the_libraries_take_by_themselves(name):
    made = convert(SAMPLES[name])
    by_itself = {31.0, 0.1, 20.0, 1.0, 0.0, 255.0, 100.0, -1.0}  # LightGBM's and scikit-learn's defaults
    by_name = {0.02, 0.0025, 1.5, 2.0}  # high_15, high_20, top2_025
    assert set(numbers(made.tables)) - set(numbers(SAMPLES[name])) <= by_itself | by_name


def test_the_hourly_sample_becomes_what_it_says():
    tables = convert(SAMPLES["hourly"]).tables
    assert tables["data"] == {
        "exchange": "binance",
        "symbols": ["BTC/USDT"],
        "timeframe": "1h",
        "from": "2020-02-01",
    }
    assert tables["walkforward"] == {
        "mode": "sliding",
        "train": 8760,
        "refit_every": 720,
        "workers": 8,
        "every_nth_row": 8,
    }
    assert [label["alias"] for label in tables["labels"]] == ["high_20", "low_20"]
    assert [(model["name"], model["algorithm"]) for model in tables["models"]] == [
        ("svc", "svc"),
        ("gb", "lightgbm"),
        ("lc", "logistic"),
        ("nn", "mlp"),
    ]
    assert tables["features"][0] == {
        "family": "talib",
        "functions": ["SMA"],
        "inputs": ["close"],
        "windows": [1, 5, 10, 15, 60],
        "rel_base": "prev",
        "rel_func": "rel",
        "percentage": True,
    }
    assert tables["signals"][-1] == {
        "kind": "threshold_rule",
        "columns": "trade_score",
        "names": ["buy_signal_column", "sell_signal_column"],
        "buy_signal_threshold": 0.015,
        "sell_signal_threshold": -0.015,
    }
    assert tables["strategy"] == {
        "name": "SignalStrategy",
        "buy_column": "buy_signal_column",
        "sell_column": "sell_signal_column",
    }
    assert tables["simulate"]["grid"] == {"buy_signal_threshold": [0.005, 0.01, 0.02]}


def test_an_old_signal_model_becomes_signals_over_the_scores_of_its_labels():
    signals = convert(SAMPLES["old_labels"]).tables["signals"]
    assert [signal["kind"] for signal in signals] == ["smoothen", "smoothen", "combine", "threshold_rule"]
    assert signals[0] == {
        "kind": "smoothen",
        "columns": ["high_15_lc", "high_15_gb", "high_20_lc", "high_20_gb"],
        "names": "buy_score",
        "point_threshold": 0.1,
        "window": 3,
    }
    assert (signals[2]["coefficient"], signals[2]["constant"]) == (1.5, 0.25)


@pytest.mark.parametrize(
    ("name", "level", "tolerance"),
    [("top1_025", 0.01, 0.0025), ("bot3_05", 0.03, 0.005), ("top5_1", 0.05, 0.01), ("bot2_125", 0.02, 0.0125)],
)
def test_old_names_of_turns_say_level_and_tolerance(name, level, tolerance):
    (label,) = convert({"labels": [name]}).tables["labels"]
    assert (label["level"], label["tolerance"], label["alias"]) == (level, pytest.approx(tolerance), name)


def test_models_learn_the_labels_that_their_entry_names():
    models = convert(SAMPLES["turning"]).tables["models"]
    assert [(model["name"], model["labels"]) for model in models] == [
        ("lc", ["top2_1", "bot2_1"]),
        ("gb2", ["top2_1", "bot2_1"]),
        ("net", ["high_20"]),
    ]
    assert (models[1]["algorithm"], models[1]["loss"], models[1]["rounds"]) == ("lightgbm_regression", "l1", 40)


def test_an_expression_is_listed_and_not_evaluated():
    made = convert({"simulate_model": {"grid": {"buy_signal_threshold": "[x for x in (1).__class__.__bases__]"}}})
    assert "simulate" not in made.tables
    (loss,) = made.losses
    assert loss.path == "simulate_model.grid.buy_signal_threshold"
    assert "not evaluated" in loss.line


def test_secrets_are_named_without_their_values():
    secret = {"api_key": "k-1234", "client_args": {"apiKey": "k-5678", "timeout": 30}, "telegram_bot_token": "t-9"}
    text = convert(secret).toml("config.json")
    assert "timeout" in text
    assert not any(part in text for part in ("k-1234", "k-5678", "t-9"))


def test_comments_in_a_value_cannot_become_settings():
    text = convert({"description": "x\n[data]\nsymbols = []", "odd\nkey": 1}).toml("a\nb.json")
    assert tomllib.loads(text) == {}


# -- JSON with comments


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_plain_json_is_read_as_json_reads_it(value):
    assert read_jsonc(json.dumps(value)) == value
    assert read_jsonc(json.dumps(value, ensure_ascii=False, indent=1)) == value


def test_comments_and_trailing_commas_are_left_out():
    text = '// a\n{"a": "x // \\" y", /* , } */ "b": [1, 2, // end\n ], "c": {"d": ",]",},}\n// z'
    assert read_jsonc(text) == {"a": 'x // " y', "b": [1, 2], "c": {"d": ",]"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1\n "b": 2}', "line 2, column 2: Expecting ',' delimiter"),
        ('{"a": 1e999}', "1e999 is no finite number"),
        ('{"a": NaN}', "NaN is no finite number"),
        ('{"a": 1, "a": 2}', "'a' is there twice in one table"),
        ("[" * 100_000, "nested too deeply"),
        ("{'a': 1}", "line 1, column 2"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_jsonc(text)


def test_numbers_keep_their_kind():
    found = read_jsonc('{"a": 10, "b": 10.0}')
    assert (type(found["a"]), type(found["b"])) == (int, float)
    assert math.isclose(found["b"], 10)


def gb(name, **params):
    return {"name": name, "algo": "gb", "params": params, "train": {"max_depth": 6, "lambda_l1": 0.5}}


def test_depth_penalty_and_a_length_that_all_models_share_have_counterparts():
    made = convert({"algorithms": [gb("a", length=5000), gb("b", length=5000)]})
    assert made.tables["training"] == {"train_rows_max": 5000}
    assert {(model["max_depth"], model["lambda_l1"]) for model in made.tables["models"]} == {(6, 0.5)}
    assert made.losses == ()


@pytest.mark.parametrize("other", [gb("b"), gb("b", length=0), gb("b", length=300)])
def test_a_length_of_some_models_only_is_listed_and_never_given_to_all(other):
    made = convert({"algorithms": [gb("a", length=5000), other]})
    assert "training" not in made.tables
    assert [loss.line.split("  ")[0].split(" = ")[0] for loss in made.losses] == ["length"]
