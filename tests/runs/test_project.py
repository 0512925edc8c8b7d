"""`itb init` and `itb config`: what is written, checked and shown."""

from __future__ import annotations

import json

import pytest

from itb.config import load_config
from itb.config.in_force import in_force
from itb.errors import ConfigError, StrategyError
from itb.ledger.register import Register
from itb.runs.project import check_config, init, schema, show_config
from itb.runs.workspace import Workspace


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A workspace in the working folder, as the command line makes it."""
    monkeypatch.chdir(tmp_path)

    def make(*settings, path=None, **options):
        given = {f"--{name}": value for name, value in options.items()}
        return Workspace(load_config(path, settings, options=given, environ={}))

    return make


# -- init


def test_a_config_for_the_built_in_market_is_valid_and_seals_the_last_fifth(project, tmp_path):
    said = init(project(), tmp_path / "itb.toml")
    config = load_config(tmp_path / "itb.toml", environ={})
    assert config.data.is_synthetic
    assert str(config.data.holdout_from.date()) == said.data["holdout_from"] == "2023-10-19"
    assert said.lines == (
        f"Wrote {tmp_path}/itb.toml: synthetic BTC/USDT 1h, every setting with its meaning.",
        "The last fifth of the bars, from 2023-10-19, is to be the hold-out: the first run seals it.",
        "Next: `itb config check`, then `itb backtest`.",
    )
    check_config(Workspace(config))


def test_a_file_that_is_there_is_not_overwritten_without_force(project, tmp_path):
    file = tmp_path / "itb.toml"
    file.write_text("# mine\n")
    with pytest.raises(ConfigError, match="is there already; edit it, name another file, or overwrite it with --force"):
        init(project(), file)
    assert file.read_text() == "# mine\n"
    init(project(), file, force=True)
    assert "[data]" in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["itb.toml"]


def test_the_hold_out_is_the_last_fifth_of_the_stored_bars(project, tmp_path, stored):
    stored(positions=range(1000))
    said = init(project(exchange="mine"), tmp_path / "itb.toml")
    assert said.data["holdout_from"] == "2024-02-03"  # 800 hours after 2024-01-01, floored to a day
    config = load_config(tmp_path / "itb.toml", environ={})
    assert (config.data.exchange, config.data.symbols) == ("mine", ("BTC/USDT",))


@pytest.mark.parametrize(
    ("options", "symbol", "timeframe"),
    [
        ({}, "ETH/EUR", "4h"),
        ({"timeframe": "15m"}, "SOL/EUR", "15m"),
        ({"symbol": ["SOL/EUR"]}, "SOL/EUR", "15m"),
        ({"symbol": ["BTC/USD"]}, "BTC/USD", "1h"),
        ({"symbol": ["BTC/USD"], "timeframe": "2h"}, "BTC/USD", "2h"),
    ],
)
def test_what_is_not_named_is_taken_from_the_store(project, tmp_path, stored, options, symbol, timeframe):
    stored(symbol="ETH/EUR", timeframe="4h")
    stored(symbol="SOL/EUR", timeframe="15m")
    stored("other", "ADA/USDT")
    said = init(project(exchange="mine", **options), tmp_path / "itb.toml")
    assert (said.data["symbol"], said.data["timeframe"]) == (symbol, timeframe)


def test_what_a_file_said_that_is_overwritten_does_not_count_as_named(project, tmp_path, stored):
    stored(symbol="ETH/EUR")
    init(project(), tmp_path / "itb.toml")
    said = init(project(exchange="mine"), tmp_path / "itb.toml", force=True)
    assert said.data["symbol"] == "ETH/EUR"


def test_missing_bars_are_told(project, tmp_path, stored):
    stored(positions=[*range(300), *range(303, 400)])
    said = init(project(exchange="mine"), tmp_path / "itb.toml")
    assert '3 bars missing: runs refuse that until data.gaps is "flat" or "drop".' in said.lines


def test_an_exchange_without_bars_leads_to_a_download(project, tmp_path):
    said = init(project(exchange="kraken", symbol=["BTC/EUR"]), tmp_path / "itb.toml")
    assert said.data["next"] == ["itb data download --days 400", "itb config check", "itb backtest"]
    assert any(line.startswith("No bars of kraken BTC/EUR 1h are stored in ") for line in said.lines)


def test_bars_that_are_stored_are_pointed_to_where_the_built_in_market_was_taken(project, tmp_path, stored):
    stored()
    assert init(project(), tmp_path / "itb.toml").lines[-1] == (
        "Bars of mine BTC/USDT are stored here: `itb init --force --exchange mine` writes for them."
    )


def test_a_config_elsewhere_is_about_the_bars_beside_it_and_is_named_in_the_next_step(project, tmp_path, stored):
    stored()
    said = init(project(exchange="mine"), tmp_path / "far" / "my.toml")
    assert said.data["holdout_from"] is None
    assert said.data["next"][-1] == f"itb backtest -c {tmp_path}/far/my.toml"


def test_a_hold_out_that_was_sealed_before_stays_where_it_is(project, tmp_path, stored):
    stored(positions=range(1000))
    Register(tmp_path / "runs" / "register.sqlite").seal("BTC", 1_706_745_600_000, time=1, run_id="r")
    said = init(project(exchange="mine"), tmp_path / "itb.toml")
    assert said.data["holdout_from"] == "2024-02-01"
    assert "was sealed before, from 2024-02-01 on" in said.lines[1]


def test_options_that_would_be_lost_are_refused(project, tmp_path):
    with pytest.raises(
        ConfigError, match=r"--set: `itb init` writes exchange, symbols and timeframe only; set model\.seed"
    ):
        init(project("model.seed=3"), tmp_path / "itb.toml")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_clear_error(project, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/itb\.toml: cannot be written: .*; name another place"):
        init(project(), tmp_path / "file" / "itb.toml")


# -- config check


def test_a_check_says_what_was_built(project):
    said = check_config(project())
    assert said.lines[0].startswith(
        "built-in settings: every setting is fine: synthetic BTC/USDT 1h, 60 features, score "
    )
    assert said.data["ok"]
    assert said.data["reads_scores"]


def test_a_check_names_the_file(project, tmp_path):
    (tmp_path / "my.toml").write_text("[label]\nhorizon = 6\nthreshold = 0.0\n")
    said = check_config(project(path=tmp_path / "my.toml"))
    assert said.data["columns"] == ["up_6_0bps_lightgbm"]
    assert said.lines[0].startswith(f"{tmp_path}/my.toml: every setting is fine")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("label.horizon=0", r"label\.horizon: must be at least 1 bar"),
        ("strategy.buy_threshold=2.0", r"strategy\.buy_threshold: must lie in the score's range"),
        ("walkforward.promotion={rule='skill_gate', bars=9000}", "train_bars must exceed embargo_bars"),
        ("model.algorithm=lightgmb", 'did you mean "lightgbm"'),
    ],
)
def test_a_check_finds_what_cannot_be_built(project, setting, told):
    with pytest.raises(ConfigError, match=told):
        check_config(project(setting))


OWN = "import backtrader as bt\n\n\nclass Own(bt.Strategy):\n    params = (('period', 5),)\n"


def test_a_check_looks_at_the_keys_of_a_person_s_own_strategy(project, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    assert check_config(project("strategy.name=own.py:Own", "strategy.period=3")).data["strategy"] == "Own"
    with pytest.raises(ConfigError, match=r'strategy\.perod: unknown key; did you mean "period"'):
        check_config(project("strategy.name=own.py:Own", "strategy.perod=3"))


def test_a_check_finds_a_strategy_that_cannot_be_made(project, tmp_path):
    (tmp_path / "own.py").write_text(f"{OWN}\n    def __init__(self):\n        1 / 0\n")
    with pytest.raises(StrategyError, match="ZeroDivisionError"):
        check_config(project("strategy.name=own.py:Own"))


# -- config show and schema


def test_every_setting_is_shown_with_who_set_it(project, tmp_path):
    (tmp_path / "itb.toml").write_text("[label]\nhorizon = 6\n")
    said = show_config(project("model.seed=3", timeframe="4h"))
    text = said.lines[0]
    assert "horizon = 6  # itb.toml" in text
    assert "seed = 3  # --set" in text
    assert 'timeframe = "4h"  # --timeframe' in text
    assert "slippage_bps = 5.0  # default" in text
    told = json.loads(said.json)
    assert told["settings"]["label"]["horizon"] == 6
    assert told["origins"] == {"label.horizon": "itb.toml", "model.seed": "--set", "data.timeframe": "--timeframe"}


def test_what_is_shown_is_a_config_again(project, tmp_path):
    place = project("model.seed=3")
    (tmp_path / "again.toml").write_text(show_config(place).lines[0])
    again = load_config(tmp_path / "again.toml", environ={})
    assert in_force(again)[0] == in_force(place.config)[0]
    assert again.plain()["features"] == place.config.plain()["features"]  # the bars decide about order flow, as before


def test_the_schema_is_json_for_a_person_and_a_program(project):
    said = schema(project())
    assert json.loads(said.lines[0]) == json.loads(said.json)
    assert said.data["title"] == "itb.toml"


def test_every_setting_in_force_is_shown_with_who_set_it(several):
    said = show_config(
        several("models.1.l1_ratio=0.5", "models.1.algorithm=elastic_net", "strategy.score=rise_logistic")
    )
    text = said.lines[0].splitlines()
    assert "l1_ratio = 0.5  # --set" in text
    assert any(line.startswith("max_iter = ") and line.endswith("# default") for line in text)
    assert "stop_loss = 0.0  # default" in text
    assert 'direction = "up"  # default' in text
    assert said.data["settings"]["strategy"]["cooldown_bars"] == 0
