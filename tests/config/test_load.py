import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from itb.config import Config, load_config
from itb.errors import ConfigError
from itb.market.costs import Costs

Write = Callable[[str], Path]

HEAVY = ("numpy", "pandas", "sklearn", "lightgbm", "talib", "ccxt", "backtrader", "plotly", "pyarrow", "scipy")
PROBE = f"""
import sys, time
started = time.process_time()
import itb.config
itb.config.load_config()
spent = time.process_time() - started
print(spent, *[name for name in {HEAVY!r} if name in sys.modules])
"""


def complaint(**kwargs: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(**kwargs)  # type: ignore[arg-type]
    return str(caught.value)


def test_importing_and_loading_is_quick_and_pulls_no_engine(project: Path) -> None:
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": str(root)}
    found = subprocess.run([sys.executable, "-c", PROBE], env=environ, capture_output=True, text=True, check=True)
    spent, *engines = found.stdout.split()
    assert engines == []
    assert float(spent) < 0.4


def test_without_a_file_the_defaults_speak_and_there_is_no_source(project: Path) -> None:
    config = load_config()
    assert config.source is None
    assert config.data.is_synthetic
    assert config == Config()


def test_the_file_in_the_working_folder_is_found_by_itself(write: Write) -> None:
    write('[data]\ntimeframe = "4h"')
    config = load_config()
    assert str(config.data.timeframe) == "4h"
    assert config.source == Path("itb.toml")


def test_every_kind_of_value_is_read(write: Write) -> None:
    write(
        """
        [data]
        exchange = "binance"
        symbols = ["ethusdt", "BTC/USDT:USDT"]
        from = 2022-08-01
        to = 2024-01-01T12:00:00+02:00
        holdout_from = "2023-06-01"
        detail_timeframe = "1m"
        [instrument]
        tick = 0.01
        step = 1e-8
        [walkforward]
        train = "180d"
        refit_every = 720
        [costs]
        taker_fee_bps = 7
        [[features]]
        family = "stats"
        windows = [5, 10]
        """
    )
    config = load_config()
    assert config.data.symbols == ("ETH/USDT", "BTC/USDT:USDT")
    assert config.data.start == datetime(2022, 8, 1, tzinfo=UTC)
    assert config.data.stop == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert config.data.holdout_ms == 1_685_577_600_000
    assert config.instrument.instrument("ETH/USDT").step == Decimal("0.00000001")
    assert config.walkforward.train.bars(config.data.timeframe) == 4320
    assert config.walkforward.refit_every.bars(config.data.timeframe) == 720
    assert config.costs == Costs(taker_fee_bps=7.0)
    assert config.features[0].settings == {"windows": [5, 10]}


def test_paths_are_seen_from_the_config_file(project: Path) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "a.toml").write_text('[data]\nroot = "store"\n', encoding="utf-8")
    config = load_config(Path("sub/a.toml"))
    assert config.data_root == Path("sub/store")
    assert config.runs_root == Path("sub/runs")
    assert load_config(Path("sub/a.toml"), folder=Path("elsewhere")).runs_root == Path("elsewhere/runs")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[backtest]\ncsh = 3", 'itb.toml: backtest.csh: unknown key; did you mean "cash"?'),
        ("[bactest]\ncash = 3", 'itb.toml: bactest: unknown key; did you mean "backtest"?'),
        ('timeframe = "1h"', 'itb.toml: timeframe: unknown key; did you mean "data.timeframe"?'),
        ("[runs]\nzzz = 1", "itb.toml: runs.zzz: unknown key; expected root"),
        ("[data]\nstart = 2024-01-01", "itb.toml: data.start: unknown key; expected one of exchange, symbols"),
        ("[costs]\ntaker_fe_bps = 1", 'itb.toml: costs.taker_fe_bps: unknown key; did you mean "taker_fee_bps"?'),
        ('[backtest]\ncash = "10"', 'itb.toml: backtest.cash: expected a number, was "10"'),
        ("[backtest]\ncash = true", "itb.toml: backtest.cash: expected a number, was true"),
        ("[backtest]\ncash = nan", "itb.toml: backtest.cash: expected a finite number, was NaN"),
        ("[backtest]\ncash = 0", "itb.toml: backtest.cash: expected a number above 0, was 0"),
        ("[walkforward]\nworkers = 1.5", "itb.toml: walkforward.workers: expected a whole number, was 1.5"),
        ("[walkforward]\nworkers = -1", "itb.toml: walkforward.workers: expected a number at least 0, was -1"),
        ('[data]\ngaps = "flatt"', 'itb.toml: data.gaps: expected "refuse", "flat" or "drop", was "flatt"'),
        ('[data]\nsymbols = "BTCUSDT"', 'itb.toml: data.symbols: expected a list, was "BTCUSDT"'),
        ('[data]\nsymbols = ["BTC"]', "itb.toml: data.symbols[1]: cannot split symbol 'BTC' into base and quote; "),
        ("[data]\nsymbols = []", "itb.toml: data.symbols: expected a list of 1 or more, was []"),
        ('[data]\nsymbols = ["BTCUSDT", "BTC/USDT"]', "itb.toml: data.symbols: expected each symbol once, BTC/USDT"),
        ('[data]\ntimeframe = "1y"', "itb.toml: data.timeframe: must be a whole number and m, h, d or w"),
        ('[data]\ndetail_timeframe = "2h"', "itb.toml: data.detail_timeframe: must divide"),
        ('[data]\ndetail_timeframe = "1h"', "itb.toml: data.detail_timeframe: must divide timeframe 1h, was 1h"),
        (
            "[data]\nfrom = 2024-01-01\nto = 2023-01-01",
            "itb.toml: data.from: must come before to (2023-01-01), was 2024",
        ),
        ("[data]\nholdout_from = 2021-01-01\nfrom = 2023-01-01", "itb.toml: data.from: must come before holdout_from"),
        ('[data]\nfrom = "soon"', "itb.toml: data.from: expected a date such as 2024-03-01"),
        ('[walkforward]\ntrain = "180x"', "itb.toml: walkforward.train: expected a length such as"),
        ("[costs]\nslippage_bps = -1", "itb.toml: costs.slippage_bps: must be at least 0 and below 10000"),
        ("costs = 3", "itb.toml: costs: expected a table, was 3"),
        ("backtest = 3", "itb.toml: backtest: expected a table, was 3"),
        ("features = []", "itb.toml: features: expected a list of 1 or more, was []"),
        ("[[features]]\nwindow = 1", "itb.toml: features[1].family: missing"),
        ("[data]\ntimeframe = \n", "itb.toml: line 2, column 13: Invalid value"),
        ("[data", "itb.toml: end of document: "),
    ],
)
def test_a_wrong_setting_is_one_line_with_the_key(write: Write, text: str, expected: str) -> None:
    write(text)
    message = complaint()
    assert message[: len(expected)] == expected
    assert "\n" not in message


def test_several_problems_are_several_lines(write: Write) -> None:
    write('[data]\nexchnge = "x"\ntimeframe = 3\n[backtest]\ncash = "a"')
    assert [line.split(": ")[1] for line in complaint().splitlines()] == [
        "data.timeframe",
        "data.exchnge",
        "backtest.cash",
    ]


def test_a_missing_file_says_how_to_get_one(project: Path) -> None:
    assert (
        complaint(path=Path("none.toml"))
        == "none.toml: no such file; `itb init` writes one, or name another with -c FILE"
    )
    assert "is a folder" in complaint(path=project)


def test_a_file_that_is_not_text_is_refused(project: Path) -> None:
    (project / "itb.toml").write_bytes(b"\xff\xfe\x00")
    assert "itb.toml: not UTF-8 text (byte 0)" in complaint()


def test_command_line_beats_environment_beats_file_beats_defaults(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("[backtest]\ncash = 1\nfill_delay_s = 1\n[costs]\nslippage_bps = 1\nspread_bps = 1")
    monkeypatch.setenv("ITB_BACKTEST__FILL_DELAY_S", "2")
    monkeypatch.setenv("ITB_COSTS__SLIPPAGE_BPS", "2")
    config = load_config(overrides=["costs.spread_bps=3"], options={"--slippage-bps": 4.0, "--fee-bps": None})
    assert (config.backtest.cash, config.backtest.fill_delay_s) == (1.0, 2.0)
    assert (config.costs.spread_bps, config.costs.slippage_bps, config.costs.taker_fee_bps) == (3.0, 4.0, 10.0)


def test_options_are_short_for_settings(project: Path) -> None:
    config = load_config(
        options={
            "--from": "2023-02-01",
            "--to": "2023-03-01",
            "--symbol": ("ETHUSDT", "BTCUSDT"),
            "--timeframe": "15m",
            "--fee-bps": 2,
            "--exchange": "okx",
        }
    )
    assert config.data.symbols == ("ETH/USDT", "BTC/USDT")
    assert (str(config.data.timeframe), config.data.exchange) == ("15m", "okx")
    assert config.data.start == datetime(2023, 2, 1, tzinfo=UTC)
    assert (config.costs.taker_fee_bps, config.costs.maker_fee_bps) == (2.0, 2.0)


def test_who_said_a_wrong_value_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("[backtest]\ncash = 5")
    monkeypatch.setenv("ITB_DATA__GAPS", "1y")
    message = complaint(overrides=["backtest.csh=3"], options={"--to": "never"})
    assert message.splitlines() == [
        'ITB_DATA__GAPS: data.gaps: expected "refuse", "flat" or "drop", was "1y"',
        "--to: data.to: expected a date such as 2024-03-01 or 2024-03-01T12:00:00Z, was 'never'",
        '--set: backtest.csh: unknown key; did you mean "cash"?',
    ]


@pytest.mark.parametrize("text", ["cash", "=3", "backtest.=3"])
def test_an_assignment_without_key_or_value_is_refused(project: Path, text: str) -> None:
    assert "expected key=value" in complaint(overrides=[text])


def test_setting_below_something_that_is_no_table_is_refused(write: Write) -> None:
    write('[[features]]\nfamily = "stats"')
    assert (
        complaint(overrides=["features.window=3"])
        == "--set: features.window: features is a list; expected features.0.KEY=VALUE (the first is 0)"
    )


def test_naming_another_part_drops_the_keys_of_the_one_before(write: Write) -> None:
    write('[strategy]\nbuy_threshold = 0.6\n[label]\nkind = "highlow2"\nfunction = "high"')
    other = load_config(overrides=["label.kind=future_return", "label.horizon=3"], options={"--strategy": "my:Own"})
    assert (other.strategy.name, other.strategy.settings) == ("my:Own", {})
    assert other.label.settings == {"horizon": 3}
    same = load_config(options={"--strategy": "MLThreshold"})
    assert same.strategy.settings == {"buy_threshold": 0.6}


def test_an_override_of_one_label_key_keeps_the_default_ones(project: Path) -> None:
    assert load_config(overrides=["label.threshold=0.01"]).label.settings == {"horizon": 12, "threshold": 0.01}


def test_dotenv_beside_the_config_is_read_below_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file = write("").parent / ".env"
    env_file.write_text("ITB_DATA__TIMEFRAME=4h\nITB_DATA__EXCHANGE=okx\n", encoding="utf-8")
    env_file.chmod(0o600)
    monkeypatch.setenv("ITB_DATA__EXCHANGE", "kraken")
    config = load_config()
    assert (str(config.data.timeframe), config.data.exchange) == ("4h", "kraken")
    assert load_config(environ={}).data.exchange == "synthetic"


def test_a_config_cannot_be_changed(project: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config().data.exchange = "x"


def test_code_named_by_the_config_stays_in_the_project_folder(write: Write) -> None:
    write('[plugins]\nfiles = ["../evil.py", "absent.py"]\n[strategy]\nname = "/tmp/evil.py:Own"')
    lines = complaint().splitlines()
    assert lines[0].startswith(
        "itb.toml: plugins.files[1]: ../evil.py lies outside the project folder; move the file into"
    )
    assert lines[1].startswith("itb.toml: plugins.files[2]: expected a Python file, found none at")
    assert lines[2].startswith("itb.toml: strategy.name: /tmp/evil.py lies outside the project folder")


def test_a_link_out_of_the_project_folder_is_seen_through(
    write: Write, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "own.py"
    outside.write_text("", encoding="utf-8")
    path = write('[plugins]\nfiles = ["own.py"]')
    (path.parent / "own.py").symlink_to(outside)
    assert "lies outside the project folder" in complaint()


def test_a_person_at_the_command_line_may_name_any_strategy_file(write: Write, project: Path) -> None:
    write("")
    inside = load_config(options={"--strategy": str(project / "own.py") + ":Own"}).strategy.name
    outside = load_config(options={"--strategy": "/opt/own.py:Own"}).strategy.name
    assert (inside, outside) == ("own.py:Own", "/opt/own.py:Own")
