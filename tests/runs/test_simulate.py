"""The grid of rules: system A's reference values through files, and the project's own scores."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from itb.config import load_config
from itb.errors import BarsError, ConfigError
from itb.ledger.alternating import alternate, performance
from itb.market.costs import Costs
from itb.runs.backtest import backtest
from itb.runs.simulate import simulate
from itb.runs.workspace import Workspace

CLOSE = [100, 102, 105, 108, 107, 103, 101, 99, 104, 106]
BUYS, SELLS = {1, 4, 7}, {3, 5, 9}
FREE = ("costs.taker_fee_bps=0", "costs.slippage_bps=0")
RULE = (
    "signals=[{kind='threshold_rule', columns='score', names=['buy', 'sell'], buy_signal_threshold=0.5, "
    "sell_signal_threshold=-0.5}]"
)
AT_CLOSE = "simulate.fill=close"
DAY = 86_400_000


@pytest.fixture
def project(tmp_path):
    def make(*settings, **more):
        config = load_config(overrides=settings, folder=tmp_path, environ={})
        return Workspace(config, clock=lambda: 1_767_312_000_000, **more)

    return make


@pytest.fixture
def tape(tmp_path):
    """The ten days of the reference, with a score of 1 on days to buy and -1 on days to sell."""

    def write(*columns, name="tape.csv"):
        known = {
            "open": [CLOSE[0], *CLOSE[:-1]],
            "close": CLOSE,
            "score": [1 if day in BUYS else -1 if day in SELLS else 0 for day in range(10)],
            "buy": [int(day in BUYS) for day in range(10)],
            "sell": [int(day in SELLS) for day in range(10)],
        }
        rows = zip(*(known[column] for column in columns), strict=True)
        lines = [f"2024-01-{day:02d}," + ",".join(map(str, row)) for day, row in enumerate(rows, 1)]
        path = tmp_path / name
        path.write_text("\n".join(["timestamp," + ",".join(columns), *lines]))
        return path

    return write


def best(said):
    return said.data["simulate"][0]["best"][0]


def test_the_reference_is_met_and_the_number_of_the_original_stands_beside_it(project, tape):
    said = simulate(project(RULE, AT_CLOSE, *FREE), bars=tape("close", "score"), legacy_metric=True)
    found = best(said)
    assert (found["long_transactions"], found["long_profit"], found["long_profitable"]) == (3, 9.0, 2)
    assert found["long_profit_percent"] == pytest.approx(9.214742, abs=1e-6)
    assert (found["short_transactions"], found["short_profit"]) == (2, 5.0)
    assert (found["legacy_long_profit"], found["legacy_long_profitable"]) == (-2.0, 1)
    assert (found["legacy_both_transactions"], found["legacy_both_profit"]) == (6, 1.0)
    assert found["legacy_both_profit_percent"] == pytest.approx(0.857666, abs=1e-6)
    assert said.table.columns[-1] == "legacy % a month"


def test_scores_may_lie_in_a_file_of_their_own(project, tape):
    one = simulate(project(RULE, AT_CLOSE), bars=tape("close", "score"))
    two = simulate(project(RULE, AT_CLOSE), bars=tape("close", name="a.csv"), scores=tape("score", name="b.csv"))
    assert best(one) == best(two)


def test_flags_of_a_file_are_simulated_as_they_are(project, tape):
    found = best(simulate(project(AT_CLOSE, *FREE), bars=tape("close", "buy", "sell")))
    assert (found["long_profit"], found["both_transactions"]) == (9.0, 5)


def test_by_default_a_flag_fills_at_the_next_open_and_pays(project, tape):
    found = best(simulate(project(RULE), bars=tape("open", "close", "score")))
    opens, costs = np.array([*CLOSE[:-1], np.nan]), load_config(environ={}).costs  # what opens after each day
    flags = [np.array([day in side for day in range(10)]) for side in (BUYS, SELLS)]
    expected = performance(alternate(*flags, opens), costs, 9 / (365 / 12))
    assert found["long_profit"] == pytest.approx(expected.long.profit)
    assert (found["long_transactions"], expected.long.transactions) == (2, 2)
    assert found["long_profit_percent_per_month"] == pytest.approx(expected.long.profit_percent_per_month)


def test_every_combination_is_tried_and_kept_in_the_order_of_the_grid(project, tape, tmp_path):
    grid = ("simulate.grid={buy_signal_threshold=[0.5, 2], sell_signal_threshold={from=-0.5, to=-0.3, step=0.1}}",)
    out = tmp_path / "all.csv"
    said = simulate(project(RULE, AT_CLOSE, *grid), bars=tape("close", "score"), out=out)
    rows = csv.read_csv(out).to_pydict()
    tried = list(zip(rows["buy_signal_threshold"], rows["sell_signal_threshold"], strict=True))
    assert tried == list(itertools.product([0.5, 2], [-0.5, -0.4, -0.3]))
    assert rows["long_transactions"] == [3, 3, 3, 0, 0, 0]
    assert said.data["simulate"][0]["trials"] == 6


def test_a_longer_grid_computes_what_is_new(project, tape):
    bars = tape("close", "score")
    first = simulate(project(RULE, AT_CLOSE, "simulate.grid.buy_signal_threshold=[0.5, 0.6]"), bars=bars)
    more = simulate(project(RULE, AT_CLOSE, "simulate.grid.buy_signal_threshold=[0.4, 0.5, 0.6, 2.0]"), bars=bars)
    same = simulate(project(RULE, AT_CLOSE, "simulate.grid.buy_signal_threshold=[0.4, 0.5, 0.6, 2.0]"), bars=bars)
    assert [said.data["simulate"][0]["fresh"] for said in (first, more, same)] == [2, 2, 0]
    assert best(more) == best(same)
    other = simulate(project(RULE, AT_CLOSE, "costs.taker_fee_bps=20"), bars=bars)
    assert other.data["simulate"][0]["fresh"] == 1


def test_what_was_tried_is_kept_when_a_run_is_stopped(project, tape, monkeypatch):
    monkeypatch.setattr("itb.runs.simulate._AT_ONCE", 2)
    grid = "simulate.grid.buy_signal_threshold=[0.1, 0.2, 0.3, 0.4, 0.5]"

    def stop(done, _total, _what):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(project(RULE, AT_CLOSE, grid, progress=stop), bars=tape("close", "score"))
    again = simulate(project(RULE, AT_CLOSE, grid), bars=tape("close", "score"))
    assert again.data["simulate"][0]["fresh"] == 3


def test_every_trial_is_entered_into_the_register(project, tape):
    workspace = project(RULE, AT_CLOSE, "simulate.grid.buy_signal_threshold=[0.5, 0.6, 0.7]")
    simulate(workspace, bars=tape("close", "score"))
    (look,) = workspace.register.looks("BTC")
    assert (look.command, look.trials, look.timeframe) == ("simulate", 3, "1d")
    assert (look.from_ms, look.to_ms) == (1_704_067_200_000, 1_704_067_200_000 + 10 * DAY)
    assert look.metrics["transactions"] == 3
    said = simulate(workspace, bars=tape("close", "score"))
    assert "Look number 6" in said.lines[4]


def test_a_sealed_hold_out_is_not_simulated(project, tape):
    workspace = project(RULE, AT_CLOSE, "data.holdout_from=2024-01-06")
    said = simulate(workspace, bars=tape("close", "score"))
    assert said.data["simulate"][0]["to"] == "2024-01-05 00:00 UTC"
    assert best(said)["long_transactions"] == 1


def test_the_window_of_the_section_bounds_the_deals(project, tape):
    window = ("simulate.from=2024-01-03", "simulate.to=2024-01-08")
    found = best(simulate(project(RULE, AT_CLOSE, *FREE, *window), bars=tape("close", "score")))
    assert (found["long_transactions"], found["long_profit"]) == (1, -4.0)


@pytest.mark.parametrize(
    ("columns", "settings", "error", "message"),
    [
        (("score",), (RULE,), BarsError, "no column 'close'"),
        (("close", "score"), (RULE,), ConfigError, "simulate.fill: the file has no column open"),
        (("close", "buy"), (RULE, AT_CLOSE), ConfigError, r'signals\[1\].columns: unknown column "score"'),
        (("close", "buy"), (AT_CLOSE,), ConfigError, "signals: there are none, and there is no column 'sell' of flags"),
        (
            ("close", "score"),
            (RULE, AT_CLOSE, "simulate.grid.window=[1]"),
            ConfigError,
            "simulate.grid: the rule has no parameter 'window'",
        ),
        (
            ("close", "score"),
            (RULE, AT_CLOSE, "simulate.from=2025-01-01"),
            ConfigError,
            "simulate: no bar with a score lies between from and to",
        ),
    ],
)
def test_what_cannot_be_simulated_is_said(project, tape, columns, settings, error, message):
    with pytest.raises(error, match=message):
        simulate(project(*settings), bars=tape(*columns))


@pytest.mark.parametrize(
    "values", ["[]", "['a']", "{from=1, to=0, step=1}", "{from=0, to=1, step=0}", "{from=0, to=1}", "[true]"]
)
def test_values_that_are_none_are_refused(values):
    with pytest.raises(ConfigError, match=r"simulate\.grid: expected"):
        load_config(overrides=[f"simulate.grid.buy_signal_threshold={values}"], environ={})


def test_the_scores_of_the_walk_forward_earn_what_the_backtest_earns(workspace):
    settings = (
        RULE.replace("'score'", "'up_6_0bps_logistic'").replace("=0.5", "=0.52").replace("=-0.5", "=0.48"),
        "strategy.name=SignalStrategy",
        "strategy.sizing=fixed_notional",
        "instrument.step=1e-12",
        "instrument.min_qty=0",
        "instrument.min_notional=0",
    )
    project = workspace(*settings)
    found = best(simulate(project))
    (run,) = backtest(project)
    trades = [trade for trade in run.outcome.result.trades if not trade.is_open]
    assert found["long_transactions"] == len(trades) > 5
    table = pq.read_table(project.runs / "simulate" / "BTC_USDT-1h.parquet")
    assert table.num_rows == 1
    assert found["long_profitable"] == sum(trade.pnl > 0 for trade in trades)
    assert Costs() == project.config.costs


@pytest.mark.parametrize("argument", ["bars", "scores"])
def test_a_file_without_rows_is_refused(project, tape, tmp_path, argument):
    empty = tmp_path / "empty.csv"
    empty.write_text("timestamp,close,score\n")
    with pytest.raises(BarsError, match="holds no rows; found timestamp, close, score"):
        simulate(project(RULE, AT_CLOSE), **{"bars": tape("close", "score"), argument: empty})


def test_the_command_reads_a_file_without_volume(tmp_path, tape, monkeypatch, capsys):
    from itb.cli import main

    path = tape("close", "score", name="ETHUSDT.csv")
    monkeypatch.chdir(tmp_path)
    sets = [word for setting in (RULE, AT_CLOSE) for word in ("--set", setting)]
    monkeypatch.setattr("sys.argv", ["itb", "simulate", "--bars", str(path), *sets, "--legacy-metric", "--json"])
    with pytest.raises(SystemExit):
        main()
    (told,) = json.loads(capsys.readouterr().out)["simulate"]
    assert (told["symbol"], told["best"][0]["legacy_long_profit"]) == ("ETH/USDT", -2.0)
