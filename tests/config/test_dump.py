import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.config import load_config
from itb.config.dump import config_hash, dump_toml
from itb.config.toml import to_toml, value
from itb.errors import ConfigError

Write = Callable[[str], Path]

FULL = """
[data]
exchange = "binance"
symbols = ["ETHUSDT"]
from = 2022-08-01
to = 2024-01-01T12:00:00Z
detail_timeframe = "1m"
[instrument]
step = 1e-8
[synthetic]
bars = 10
[[features]]
family = "talib"
parameters = { fastperiod = 3 }
functions = ["MACD"]
[label]
kind = "highlow2"
threshold_pct = 2.5
[walkforward]
train = 999
promotion = "sane"
[costs]
fee_currency = "BNB"
[strategy]
name = "my.module:Own"
quote = 'a "quoted" \\ word'
"""

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = st.one_of(WORDS, st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False))
ITEMS = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(WORDS, ITEMS, max_size=4))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_written_tables_read_back_as_they_were(tables: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(tables)) == tables


def test_infinity_can_be_written() -> None:
    assert math.isinf(tomllib.loads(to_toml({"a": math.inf}))["a"])


def test_a_dumped_config_loads_back_to_the_same(write: Write) -> None:
    write(FULL)
    config = load_config()
    write(dump_toml(config, origins=True))
    again = load_config()
    assert again.plain() == config.plain()
    assert dump_toml(again) == dump_toml(config)
    assert config_hash(again) == config_hash(config)


def test_the_origin_of_each_key_can_be_shown(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write('[data]\nexchange = "okx"')
    monkeypatch.setenv("ITB_DATA__GAPS", "flat")
    lines = dump_toml(load_config(overrides=["data.root=x"], options={"--timeframe": "4h"}), origins=True).splitlines()
    assert lines[1:6] == [
        'exchange = "okx"  # itb.toml',
        'symbols = ["BTC/USDT"]  # default',
        'timeframe = "4h"  # --timeframe',
        'root = "x"  # --set',
        'gaps = "flat"  # ITB_DATA__GAPS',
    ]


def test_the_hash_counts_what_changes_results_and_nothing_else(project: Path) -> None:
    def fingerprint(*overrides: str) -> str:
        return config_hash(load_config(overrides=overrides))

    plain = fingerprint()
    assert plain == fingerprint("runs.root=a", "data.root=b", "walkforward.workers=3", "backtest.cash=10000")
    others = {
        fingerprint(text) for text in ("backtest.cash=1", "label.horizon=3", "model.rounds=7", "data.to=2024-01-01")
    }
    assert len(others | {plain}) == 5


def test_the_hash_of_a_config_is_the_same_in_every_process(project: Path) -> None:
    probe = (
        "from itb.config import load_config; from itb.config.dump import config_hash; print(config_hash(load_config()))"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": "7"}
    told = subprocess.run([sys.executable, "-c", probe], env=environ, capture_output=True, text=True, check=True).stdout
    assert told.strip() == config_hash(load_config())


def test_text_that_only_looks_like_a_date_stays_text() -> None:
    tables = {"a": "2024-13-01", "b": "2024-01-01T25:00:00Z"}
    assert tomllib.loads(to_toml(tables)) == tables


VALUES = st.one_of(PLAIN, st.floats(), st.lists(PLAIN, max_size=2), st.dictionaries(WORDS, PLAIN, max_size=2))
KEYS = st.sampled_from(
    ["data", "data.from", "data.to", "data.symbols", "data.timeframe", "data.detail_timeframe", "data.gaps", "features",
     "instrument.tick", "walkforward.train", "walkforward.promotion", "costs.slippage_bps", "costs", "backtest.cash",
     "backtest.engine", "plugins.files", "strategy.name", "strategy.x", "label", "model.seed", "nothing.at.all", "runs"]
)  # fmt: skip


def complaints(overrides: list[str]) -> list[str]:
    try:
        dump_toml(load_config(overrides=overrides, environ={}))
    except ConfigError as error:
        return str(error).splitlines()
    return []


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_settings_are_taken_or_refused_in_lines_that_name_them(changes: dict[str, object]) -> None:
    told = complaints([f"{key}={value(item)}" for key, item in changes.items()])
    assert [line for line in told if not line.startswith("--set: ")] == []
