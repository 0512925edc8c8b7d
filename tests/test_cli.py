"""The command line: fast to answer, one clear line for every mistake, the right exit code, JSON and nothing else."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from itb import __version__, cli
from itb.commands import options
from itb.errors import ItbError

SMALL = """
[synthetic]
bars = 600

[[features]]
family = "series"
inputs = ["log_return"]
lags = [0, 1, 2]

[model]
algorithm = "logistic"

[walkforward]
train = 300
refit_every = 100
min_train_rows = 50
workers = 1
"""
HEAVY = {
    "backtrader",
    "ccxt",
    "lightgbm",
    "numpy",
    "pandas",
    "plotly",
    "pyarrow",
    "scipy",
    "sklearn",
    "talib",
}
NOTICE = "No itb.toml here: using the built-in synthetic market (`itb init` writes a config).\n"


class Done(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def itb(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in [name for name in os.environ if name.startswith("ITB_")]:
        monkeypatch.delenv(name)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["itb", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        code = left.value.code
        return Done(0 if code is None else int(code), told.out, told.err)

    return run


@pytest.fixture
def project(tmp_path):
    """A small project in the working folder."""
    (tmp_path / "itb.toml").write_text(SMALL)
    return tmp_path


# -- speed


def test_help_answers_within_a_fifth_of_a_second_of_cpu():
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    command = [sys.executable, "-c", code, sys.executable, "-c", "from itb.cli import main; main()", "--help"]
    seconds = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)]
    assert min(seconds) < 0.2


@pytest.mark.parametrize("words", [["--help"], ["backtest", "--help"], ["--version"], ["data", "import", "--help"]])
def test_help_imports_nothing_heavy(words):
    code = (
        f"import sys; sys.argv = ['itb', *{words}]\nfrom itb.cli import app\ntry:\n    app()\n"
        "finally:\n    print('|', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    loaded = set(run.stdout.rpartition("|")[2].split())
    assert "typer" in loaded
    assert loaded & HEAVY == set()


# -- mistakes


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("features --set strategy.buy_treshold=1", 'strategy.buy_treshold: unknown key; did you mean "buy_threshold"?'),
        ("features --set data.colour=red", "--set: data.colour: unknown key; expected one of exchange, symbols"),
        ("features --set label.horizon=soon", '--set: label.horizon: expected a whole number, was "soon"'),
        ("features --set label.horizon", "--set label.horizon: expected key=value"),
        ("labels --set label.kind=futur", 'unknown label "futur"'),
        ("train --set model.algorithm=lightgmb", 'did you mean "lightgbm"?'),
        ("walkforward -c gone.toml", "gone.toml: no such file; `itb init` writes one"),
        ("walkforward -c .", ".: is a folder; name the file in it"),
        ("backtest --strategy gone.py:Mine", "strategy 'gone.py:Mine': no file "),
        ("backtest --strategy MLTreshold", 'did you mean "MLThreshold"?'),
        ("backtest --set strategy.buy_threshold=2.0", "must lie in the score's range [0, 1], was 2"),
        ("features --symbol ???", '--symbol: data.symbols[1]: symbol must look like "BTC/USDT"'),
        ("features --timeframe 7x", "--timeframe: data.timeframe: must be a whole number and m, h, d or w"),
        ("features --exchange nowhere", "no bars are stored here yet; bring some in with `itb data import`"),
        ("features --from 2024-13-01", "--from: data.from: expected a date such as 2024-03-01"),
        ("features --from 2023-03-01 --to 2023-02-01", "data.from: must come before to (2023-02-01), was 2023-03-01"),
        ("features --from 2030-01-01", "BTC/USDT 1h: no bars from 2030-01-01 00:00 UTC to the end"),
        ("features --from 2023-01-20 --set data.holdout_from=2023-01-19", "data.from: must come before holdout_from"),
        ("train --set synthetic.bars=20", "nothing was trained: only 5 rows with known label and all features"),
        ("data import gone.csv --exchange x", "gone.csv: no such file"),
        ("data import bad.csv --exchange x", "bad.csv: fewer than 5 columns in the first 2 lines"),
        ("data import torn-1h.parquet --symbol A/B --exchange x", "torn-1h.parquet: cannot be read"),
        ("data import notes.doc --exchange x", "notes.doc: unknown kind of file; expected one of .csv"),
        ("data import bad.csv", "the built-in market is not stored; say where the bars are from: --exchange binance"),
        ("data download --days 3", "the built-in market is not stored"),
        ("data download --exchange kraken", "give --since 2024-01-01 or --days 400, or set data.from"),
        (
            "data download --exchange krakn --since 2024-01-01 --set data.holdout_from=2023-01-19",
            "'krakn' is not known to ccxt",
        ),
        ("data download --exchange krakn --days 3", "did you mean kraken?"),
        ("data check", "no such bars are stored; import or download some first"),
        ("runs show gone", "run 'gone': not in runs; `itb runs list` shows the 0 runs there are"),
        ("runs reproduce", "run 'last': not in runs"),
        ("features --out file/x.parquet", "file/x.parquet: cannot be written: "),
        ("walkforward --set runs.root=file", "file/.cache"),
        ("init itb.toml", "itb.toml: is there already"),
        ("init --set model.seed=3 new.toml", "set model.seed in the file afterwards"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line_and_exit_code_2(itb, project, words, told):
    (project / "bad.csv").write_text("a,b\n1,2\n")
    (project / "torn-1h.parquet").write_bytes(b"PAR1 torn")
    (project / "notes.doc").touch()
    (project / "file").touch()
    done = itb(*words.split())
    assert done.err.startswith("itb: ")
    assert done.err.count("\n") == 1
    assert told in done.err
    assert done.out == ""
    assert done.code == 2


def test_each_wrong_setting_has_a_line(itb, project):
    done = itb("config", "check", "--set", "label.horizon=0", "--set", "strategy.colour=1")
    assert done.code == 2
    assert "label.horizon: must be at least 1 bar, was 0" in done.err.splitlines()[0]
    assert "strategy.colour: unknown key" in done.err.splitlines()[1]


@pytest.mark.parametrize("words", ["nosuch", "features --nosuch", "data", "init a b", "backtest --fee-bps many"])
def test_a_command_line_that_cannot_be_parsed_is_exit_code_2_without_a_trace(itb, words):
    done = itb(*words.split())
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_damaged_store_is_one_clear_line(itb, project, bars_file):
    itb("data", "import", bars_file, "--exchange", "mine")
    path = next((project / "data").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    done = itb("labels", "--exchange", "mine")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert str(path.relative_to(project)) in done.err
    assert itb("data", "list").code == 1


def test_debug_shows_the_trace(itb, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["itb", "features", "--timeframe", "7x", "--debug"])
    with pytest.raises(ItbError):
        cli.main()


def test_a_fault_of_its_own_is_exit_code_70_and_says_how_to_see_the_trace(itb, project, monkeypatch):
    def broken(*_args):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("itb.runs.steps.write_labels", broken)
    done = itb("labels")
    assert done == (
        70,
        "",
        "itb: unexpected ZeroDivisionError: division by zero; run again with --debug for the trace\n",
    )


def test_an_interrupted_command_says_that_it_can_go_on(itb, project, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("itb.runs.steps.walk_forward", interrupted)
    assert itb("walkforward") == (130, "", "itb: interrupted; run the same command again to go on\n")


# -- what is said


def test_the_built_in_market_is_announced_first_and_only_where_bars_are_used(itb):
    assert itb("labels", "--set", "synthetic.bars=100").err == NOTICE
    assert itb("config", "check").err == ""
    assert itb("data", "list").err == ""


def test_a_project_is_found_by_itself(itb, project):
    done = itb("labels")
    assert done.err == ""
    assert done.out.startswith("BTC/USDT 1h (synthetic): ")


def test_a_finding_is_exit_code_1(itb, project, monkeypatch):
    monkeypatch.setattr("itb.runs.doctor.CHECKS", {"broken": lambda _workspace: 1 / 0})
    done = itb("doctor")
    assert done.code == 1
    assert "ZeroDivisionError: division by zero" in done.out


def test_the_doctor_looks_even_where_the_config_is_broken(itb, tmp_path, monkeypatch):
    (tmp_path / "itb.toml").write_text("[data]\ncolour = 1\n")
    monkeypatch.setattr("itb.runs.doctor.CHECKS", {})
    done = itb("doctor")
    assert done.code == 1
    assert "data.colour: unknown key" in done.out


STEPS = ("features", "labels", "train", "walkforward", "backtest")
LOOKS = ("config check", "config show", "config schema", "data list", "data universe", "runs list")


@pytest.mark.parametrize("words", [*STEPS, *LOOKS])
def test_json_is_all_that_is_printed_for_a_program(itb, tmp_path, words):
    (tmp_path / "itb.toml").write_text(SMALL)
    done = itb(*words.split(), "--json")
    assert (done.code, done.err) == (0, "")
    json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_table_is_drawn_with_its_square_brackets(itb, project, monkeypatch):
    from itb.charts.data import Table
    from itb.runs.said import Said

    said = Said({}, ("done",), Table(("name", "value"), (("[bold]x[/bold]", "1"),)))
    monkeypatch.setattr("itb.runs.data.list_series", lambda _workspace: said)
    done = itb("data", "list")
    assert "[bold]x[/bold]" in done.out
    assert done.out.rstrip().endswith("done")


def test_the_whole_way_of_a_stranger_with_bars(itb, tmp_path, bars_file):
    said = itb("data", "import", bars_file, "--exchange", "mine").out
    assert "Next: `itb backtest --exchange mine`." in said
    assert itb("init", "--exchange", "mine").code == 0
    assert itb("config", "check").code == 0
    assert itb("data", "check").code == 0
    done = itb("features", "--set", "data.holdout_from=2024-01-12", "--out", "x.parquet")
    assert done.code == 0
    assert "to 2024-01-11 23:00 UTC" in done.out
    assert (tmp_path / "x.parquet").is_file()


@pytest.fixture
def bars_file(tmp_path):
    """Bars of a built-in coin as a CSV file of a person."""
    from itb.datafeeds.synthetic import SyntheticMarket

    market = SyntheticMarket(bars=400, start_ms=1_704_067_200_000)
    path = tmp_path / "BTCUSDT-1h.csv"
    market.bars()["BTC/USDT"].to_frame().to_csv(path)
    return path


# -- the shell


def test_the_version_is_printed(itb):
    assert itb("--version").out == f"itb {__version__}\n"


def completion(*words: str, home: Path) -> str:
    """Ask a fresh `itb` about completion; the shell is named instead of being looked for."""
    code = "import sys; sys.argv[0] = 'itb'; from itb.cli import main; main()"
    environment = {**os.environ, "HOME": str(home), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_for_a_shell(shell, tmp_path):
    assert "_ITB_COMPLETE" in completion("--show-completion", shell, home=tmp_path)


def test_completion_can_be_installed(tmp_path):
    completion("--install-completion", "bash", home=tmp_path)
    assert ".bash_completions/itb.sh" in (tmp_path / ".bashrc").read_text()
    assert "_itb_completion" in (tmp_path / ".bash_completions" / "itb.sh").read_text()


def test_the_shell_is_told_the_commands(monkeypatch):
    environment = {"_ITB_COMPLETE": "complete_bash", "COMP_WORDS": "itb data ", "COMP_CWORD": "2"}
    shown = CliRunner().invoke(cli.app, [], env=environment, prog_name="itb")
    assert set(shown.output.split()) == {"import", "download", "merge", "list", "universe", "check"}


def test_every_command_takes_the_common_options():
    import typer

    def leaves(command):
        inner = getattr(command, "commands", None)
        return [command] if inner is None else [leaf for one in inner.values() for leaf in leaves(one)]

    common = {"--config", "--symbol", "--timeframe", "--exchange", "--from", "--to", "--set", "--json", "--debug"}
    for command in leaves(typer.main.get_command(cli.app)):
        assert common <= {option for parameter in command.params for option in parameter.opts}, command.name


def test_progress_is_drawn_on_one_line_of_a_terminal_and_gone_afterwards(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with options.progress_bar(options.Options()) as tell:
        tell(0, 1, "computing features")
        for month in range(3):
            tell(month + 1, 3, f"month {month}")
    drawn = sys.stderr.getvalue()
    assert "month 2" in drawn
    assert "100%" in drawn
    assert drawn.endswith("\x1b[1A\x1b[2K")
    with options.progress_bar(options.Options(json=True)) as tell:
        assert tell is None


@pytest.mark.real
def test_real_bars_come_in_and_research_stops_before_the_proposed_hold_out(itb, tmp_path, real_data):
    assert (
        "35,063 bars added"
        in itb("data", "import", real_data("binance/BTCUSDT-1h.parquet"), "--exchange", "binance").out
    )
    said = itb("init", "--exchange", "binance").out
    assert "from 2025-03-14, is to be the hold-out" in said
    assert "1 bar missing" in said
    assert "Run `itb data download --repair` or set data.gaps" in itb("labels").err
    assert "to 2025-03-13 23:00 UTC" in itb("labels", "--set", "data.gaps=flat").out
