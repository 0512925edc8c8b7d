from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.config import load_config
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ConfigError, RunError
from itb.runs.backtest import backtest
from itb.runs.history import list_runs, reproduce, show_run
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=600",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "model.algorithm=logistic",
    "walkforward.train=300",
    "walkforward.refit_every=100",
    "walkforward.min_train_rows=50",
    "walkforward.workers=1",
)
STORED = ("data.exchange=mine",)


@pytest.fixture
def place(tmp_path):
    """Give a workspace in a project folder, with some settings on top of a small market."""

    def make(*settings, **more):
        return Workspace(load_config(overrides=[*SMALL, *settings], folder=tmp_path, environ={}), **more)

    return make


@pytest.fixture
def stored(place):
    """Store the synthetic bars as if they were real ones."""

    def make(bars=600, seed=7):
        found = SyntheticMarket(bars=bars, seed=seed).bars()["BTC/USDT"]
        place().store.write("mine", found)
        return found

    return make


def edit(capsule, **changes):
    path = capsule.folder / "capsule.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# -- list and show


def test_no_runs_are_no_error(place):
    said = list_runs(place())
    assert said.table is None
    assert said.lines[0].endswith("yet: `itb backtest` makes one.")
    with pytest.raises(RunError, match=r"run 'last': not in .*; `itb runs list` shows the 0 runs there are"):
        show_run(place(), "last")


def test_runs_are_listed_newest_last(place):
    first, second = (
        backtest(place(clock=lambda when=when: when))[0] for when in (1_700_000_000_000, 1_700_000_100_000)
    )
    said = list_runs(place())
    assert not said.found
    assert said.table is not None
    assert [row[0] for row in said.table.rows] == [first.outcome.run_id, second.outcome.run_id]
    run = dict(zip(said.table.columns, said.table.rows[0], strict=True))
    assert run["when"] == "2023-11-14 22:13 UTC"
    assert (run["symbol"], run["timeframe"], run["strategy"]) == ("BTC/USDT", "1h", "MLThreshold")
    assert run["total return"].endswith(" %")
    assert run["trades"] == str(first.outcome.metrics.trades)
    assert (run["bars"], run["hold-out"]) == ("synthetic", "not seen")
    assert said.data["runs"][0]["metrics"] == first.outcome.metrics.to_dict()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: (folder / "capsule.json").unlink(), "damaged: capsule.json is missing"),
        (lambda folder: (folder / "capsule.json").write_text("{"), "damaged: capsule.json cannot be read"),
        (lambda folder: (folder / "capsule.json").write_text("{}"), "damaged: capsule.json is not complete"),
        (lambda folder: (folder / "capsule.json").write_text("[]"), "damaged: capsule.json is not complete"),
    ],
)
def test_a_damaged_capsule_is_a_line_of_its_own(damage, why, place):
    run = backtest(place())[0]
    shutil.copytree(run.capsule.folder, run.capsule.folder.with_name("20200101-000000-x-1h-aaaa"))
    damage(run.capsule.folder.with_name("20200101-000000-x-1h-aaaa"))
    said = list_runs(place())
    assert not said.found
    assert said.table is not None
    assert said.table.rows[0][1] == why
    assert said.table.rows[1][0] == run.outcome.run_id
    assert said.lines == ("1 damaged: delete the folder, or restore it from a backup.",)


def test_a_run_is_shown_beside_buy_and_hold_with_its_notes_and_files(place):
    run = backtest(place())[0]
    said = show_run(place(), "last")
    assert said.table is not None
    figures = {row[0]: row[1:] for row in said.table.rows}
    assert figures["Total return"][0] == next(row.strategy for row in run.report.metrics if row.name == "Total return")
    assert figures["Total return"][1] == next(row.hold for row in run.report.metrics if row.name == "Total return")
    assert figures["Trades"] == (str(run.outcome.metrics.trades), "")
    assert said.lines[0].startswith(f"{run.outcome.run_id}: MLThreshold on BTC/USDT 1h, synthetic bars, 2023-01-1")
    for note in run.report.notes:
        assert f"- {note.text}" in said.lines
    assert f"  {run.capsule.report}" in said.lines
    assert all(Path(file).exists() for file in said.data["files"])
    assert len(said.data["files"]) == 8
    json.dumps(dict(said.data))


def test_a_run_is_found_by_the_beginning_of_its_name_unless_two_begin_so(place):
    run = backtest(place(clock=lambda: 1_700_000_000_000))[0]
    assert show_run(place(), "20231114").data["run"] == run.outcome.run_id
    backtest(place(clock=lambda: 1_700_000_100_000))
    with pytest.raises(RunError, match="2 runs begin so"):
        show_run(place(), "20231114")


def test_a_manifest_without_figures_is_told(place):
    run = backtest(place())[0]
    edit(run.capsule, metrics=None)
    with pytest.raises(RunError, match="is damaged or of another version"):
        show_run(place(), "last")


# -- reproduce


def test_a_run_comes_out_again_byte_for_byte_and_leaves_no_trace(place):
    run = backtest(place())[0]
    before = sorted(str(path) for path in place().runs.rglob("*"))
    said = reproduce(place("strategy.fraction=0.1", "synthetic.bars=700"), "last")
    assert not said.found
    assert said.lines == (f"{run.outcome.run_id}: reproduced, 5 tables are the same byte for byte.",)
    assert said.data["tables"] == dict.fromkeys(("trades", "fills", "orders", "equity", "scores"), "")
    assert sorted(str(path) for path in place().runs.rglob("*")) == before
    assert len(place().register.looks()) == 1


def test_models_are_trained_again_rather_than_read_from_the_cache(place):
    backtest(place())
    heard = []
    reproduce(place(progress=lambda done, total, what: heard.append((done, total, what))), "last")
    assert (0, 3, "training up_12_0bps_logistic") in heard


def test_a_run_of_a_strategy_without_scores_comes_out_again(place, tmp_path):
    (tmp_path / "own.py").write_text(BUYER)
    backtest(place(f"strategy.name={tmp_path / 'own.py'}:Buyer", "strategy.every=7"))
    said = reproduce(place(), "last")
    assert not said.found
    assert "scores" not in said.data["tables"]


BUYER = """
import backtrader as bt


class Buyer(bt.Strategy):
    params = (("every", 5),)

    def next(self):
        if len(self) % self.p.every == 0:
            self.buy(size=0.01) if not self.position else self.close()
"""


def test_changed_code_of_a_strategy_is_the_cause_that_is_named(place, tmp_path):
    (tmp_path / "own.py").write_text(BUYER)
    backtest(place(f"strategy.name={tmp_path / 'own.py'}:Buyer"))
    (tmp_path / "own.py").write_text(BUYER.replace("size=0.01", "size=0.02"))
    said = reproduce(place(), "last")
    assert said.found
    assert said.data["why"] == ["strategy code changed"]
    assert said.data["tables"]["fills"].startswith("row 0, qty: 0.01 then, 0.02 now")
    assert said.lines[0].endswith("4 of 4 tables differ. Cause: strategy code changed.")


def test_a_strategy_outside_the_project_runs_again_only_while_it_is_the_same(place, tmp_path_factory):
    file = tmp_path_factory.mktemp("elsewhere") / "own.py"
    file.write_text(BUYER)
    backtest(place(f"strategy.name={file}:Buyer"))
    assert not reproduce(place(), "last").found
    file.write_text(BUYER + "\nraise SystemExit\n")
    with pytest.raises(ConfigError, match="lies outside the project folder"):
        reproduce(place(), "last")


def test_bars_that_came_later_change_nothing(place, stored):
    bars = stored(700)
    backtest(place(*STORED, f"data.to={bars.index[599].isoformat()}"))
    shutil.rmtree(place().config.data_root)
    place().store.write("mine", bars.head(599))
    backtest(place(*STORED))
    place().store.write("mine", bars)
    assert not reproduce(place(), "last").found


def test_changed_bars_are_the_cause_that_is_named(place, stored):
    bars = stored()
    backtest(place(*STORED))
    closes = bars.close.copy()
    closes[450] = bars.high[450]
    place().store.write("mine", bars.with_columns(close=closes))
    said = reproduce(place(), "last")
    assert said.found
    assert said.data["why"] == ["bars changed"]
    assert "then, " in said.data["tables"]["equity"]


def test_other_versions_are_the_cause_that_is_named(place):
    run = backtest(place())[0]
    kept = run.capsule.manifest
    edit(run.capsule, versions={**kept["versions"], "numpy": "1.0"}, tables={**kept["tables"], "fills": "0"})
    said = reproduce(place(), "last")
    assert said.found
    assert [why for why in said.data["why"] if why.startswith("numpy was 1.0, is ")]


def test_a_table_that_somebody_changed_is_told_apart(place):
    run = backtest(place())[0]
    equity = run.capsule.table("equity")
    pq.write_table(equity.slice(1), run.capsule.folder / "equity.parquet")
    assert not reproduce(place(), "last").found  # what comes out is what the run said
    edit(run.capsule, tables={**run.capsule.manifest["tables"], "equity": "0"})
    said = reproduce(place(), "last")
    assert said.data["tables"]["equity"] == "equity.parquet is not the file that the run wrote: it was changed since"
    assert "for no reason that the capsule knows" in said.lines[0]


def test_a_config_that_somebody_changed_is_the_cause_that_is_named(place):
    run = backtest(place())[0]
    path = run.capsule.folder / "config.toml"
    path.write_text(path.read_text().replace("taker_fee_bps = 10.0", "taker_fee_bps = 1.0"))
    said = reproduce(place(), "last")
    assert said.data["why"] == ["config.toml is not the config of the run: it was changed since"]
    assert said.data["tables"]["orders"]


def test_a_capsule_without_its_range_is_told(place):
    run = backtest(place())[0]
    manifest = json.loads((run.capsule.folder / "capsule.json").read_text())
    del manifest["to_ms"]
    (run.capsule.folder / "capsule.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"capsule.json is damaged or of another version \(KeyError: 'to_ms'\)"):
        reproduce(place(), "last")


# -- the hold-out


HOLDOUT = "data.holdout_from=2023-01-21"


def test_a_run_that_stopped_at_the_hold_out_comes_out_again(place):
    backtest(place(HOLDOUT))
    assert not reproduce(place(), "last").found
    assert place().register.holdout_openings() == []


def test_a_run_that_saw_the_hold_out_comes_out_again_without_another_opening(place):
    backtest(place(HOLDOUT, include_holdout=True))
    opened = place().register.holdout_openings()
    assert len(opened) == 1
    assert not reproduce(place(), "last").found
    assert place().register.holdout_openings() == opened


def test_a_run_from_before_the_sealing_comes_out_again_in_full(place):
    first = backtest(place(clock=lambda: 1_700_000_000_000))[0]
    backtest(place(HOLDOUT))
    said = reproduce(place(), first.outcome.run_id)
    assert not said.found
    assert place().register.holdout_openings() == []


def test_a_run_stopped_by_somebody_else_s_seal_comes_out_again(place):
    backtest(place(HOLDOUT, clock=lambda: 1_700_000_000_000))
    second = backtest(place())[0]
    assert np.datetime64(second.outcome.market.stop_ms, "ms") == np.datetime64("2023-01-21")
    assert not reproduce(place(), "last").found


def test_a_capsule_from_elsewhere_that_reaches_into_the_hold_out_is_recorded(place):
    run = backtest(place())[0]
    (place().runs / "register.sqlite").unlink()
    other = backtest(place(HOLDOUT, clock=lambda: 1_600_000_000_000))[0]
    assert not reproduce(place(clock=lambda: 5), run.outcome.run_id).found
    (opening,) = place().register.holdout_openings()
    assert (opening.run_id, opening.command, opening.time) == (run.outcome.run_id, "reproduce", 5)
    assert other.outcome.run_id != opening.run_id
