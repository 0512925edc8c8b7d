"""`itb backtest` from end to end on a small market: what it computes, writes, registers and refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from itb.config import load_config
from itb.config.dump import config_hash
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import BarsError, RunError
from itb.laws.money import check_money
from itb.ledger.metrics import formulas
from itb.market.aggregate import aggregate
from itb.market.timeframe import Timeframe
from itb.runs.backtest import backtest
from itb.runs.capsule import table_hash
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


@pytest.fixture
def place(tmp_path):
    """Give a workspace in a project folder, with some settings on top of a small market."""

    def make(*settings, **more):
        return Workspace(load_config(overrides=[*SMALL, *settings], folder=tmp_path, environ={}), **more)

    return make


@pytest.fixture
def run(place):
    """Run one backtest."""

    def go(*settings, **more):
        (done,) = backtest(place(*settings, **more))
        return done

    return go


ALTERNATES = """
    params = (("every", 5),)

    def next(self):
        if len(self) % self.p.every == 0:
            self.buy(size=0.01) if not self.position else self.close()
"""
HOLDS = """
    def next(self):
        if not self.position:
            self.buy(size=0.1)
"""


def texts(done):
    return [note.text for note in done.report.notes]


def test_a_run_leaves_a_capsule_with_everything_in_it(run, place):
    done = run()
    folder = done.capsule.folder
    assert folder.parent == place().runs
    assert sorted(path.name for path in folder.iterdir()) == [
        "capsule.json", "config.toml", "equity.parquet", "fills.parquet", "orders.parquet", "report.html",
        "scores.parquet", "trades.parquet",
    ]  # fmt: skip
    told = json.loads((folder / "capsule.json").read_text())
    result, market = done.outcome.result, done.outcome.market
    assert (told["run"], told["symbol"], told["timeframe"]) == (folder.name, "BTC/USDT", "1h")
    assert told["is_synthetic"]
    assert told["data_fingerprint"] == told["inputs"]["bars"] == market.fingerprint
    assert told["config_hash"] == config_hash(place().config)
    assert config_hash(load_config(folder / "config.toml", environ={})) == told["config_hash"]
    assert told["models"][0]["seed"] == 0
    assert told["models"][0]["refits"] == 3
    assert told["versions"]["backtrader"] == "1.9.78.123"
    assert told["strategy"]["buy_threshold"] == 0.55
    assert set(told["metrics"]) == set(formulas())
    assert told["metrics"]["trades"] == len([trade for trade in result.trades if not trade.is_open])
    assert told["tables"] == {name: table_hash(done.capsule.table(name)) for name in told["tables"]}
    assert done.capsule.table("equity")["equity"].to_pylist() == result.equity.tolist()
    assert done.capsule.table("fills").num_rows == len(result.fills)


def test_trading_starts_with_the_first_score(run):
    done = run()
    scores = done.outcome.walked[0].scores
    first = int(np.flatnonzero(np.isfinite(scores))[0])
    assert done.outcome.result.start == first
    assert all(fill.bar > first for fill in done.outcome.result.fills)
    assert done.outcome.metrics.bars == len(done.outcome.market.bars) - first


def test_figures_agree_with_the_account(run):
    outcome = run().outcome
    result = outcome.result
    window = result.equity[result.start :]
    assert outcome.metrics.total_return == pytest.approx(window[-1] / 10_000 - 1, abs=1e-12)
    peaks = np.maximum.accumulate(np.append(10_000.0, window))[1:]
    assert outcome.metrics.max_drawdown == pytest.approx((1 - window / peaks).max(), abs=1e-12)
    assert outcome.metrics.fees == pytest.approx(sum(fill.fee_quote for fill in result.fills))
    assert check_money(
        result.bars, result.fills, start_cash=10_000.0, equity=result.equity, trades=result.trades, dust=result.dust
    )


def test_the_report_is_one_file_that_needs_no_network(run):
    html = run().capsule.report.read_text()
    assert html.startswith("<!doctype html>")
    assert 'src="http' not in html
    assert "Synthetic market (seed 7)" in html


def test_every_symbol_is_a_run_of_its_own(place):
    done = backtest(place("data.symbols=['BTC/USDT', 'ETH/USDT']"))
    assert [each.capsule.manifest["symbol"] for each in done] == ["BTC/USDT", "ETH/USDT"]
    looks = place().register.looks()
    assert [look.market for look in looks] == ["BTC (synthetic, seed 7)", "ETH (synthetic, seed 7)"]


def test_training_is_done_once_for_the_same_numbers(run):
    assert run().outcome.walked[0].fitted == 3
    assert run("strategy.buy_threshold=0.6").outcome.walked[0].fitted == 0
    assert run("model.c=2.0").outcome.walked[0].fitted == 3


@pytest.mark.parametrize("engine", ["sparse", "dense", "plain"])
def test_every_engine_gives_the_same_run(engine, run):
    done = run(f"backtest.engine={engine}", "strategy.stop_loss=0.01", "strategy.take_profit=0.01")
    fast = run("strategy.stop_loss=0.01", "strategy.take_profit=0.01")
    assert done.capsule.manifest["stepping"]["how"] == engine
    assert done.capsule.manifest["tables"] == fast.capsule.manifest["tables"]


# -- the register and the hold-out


def test_every_run_is_a_look_and_later_runs_say_how_many_there_were(run, place):
    first, second = run(), run("strategy.buy_threshold=0.6")
    looks = place().register.looks()
    assert [look.run_id for look in looks] == [first.outcome.run_id, second.outcome.run_id]
    look = looks[0]
    assert (look.command, look.symbol, look.timeframe, look.trials) == ("backtest", "BTC/USDT", "1h", 1)
    assert look.fingerprint == first.outcome.market.fingerprint
    assert look.metrics["total_return"] == first.outcome.metrics.total_return
    assert look.from_ms == int(first.outcome.market.bars.open_time[first.outcome.result.start])
    assert "This is the first look at this market over this stretch of time." in texts(first)
    assert any(text.startswith("Look number 2 at this market") for text in texts(second))
    assert second.report.looks == 2


def test_a_look_counts_even_if_the_report_cannot_be_written(run, place, monkeypatch):
    monkeypatch.setattr("itb.charts.page.render", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run()
    assert len(place().register.looks()) == 1


HOLDOUT = "data.holdout_from=2023-01-21"


def test_the_hold_out_is_sealed_and_respected(run, place):
    done = run(HOLDOUT)
    assert done.outcome.market.bars.index[-1].isoformat() == "2023-01-20T23:00:00+00:00"
    assert not done.outcome.market.holdout_seen
    seal = place().register.sealed("BTC (synthetic, seed 7)")
    assert (seal.run_id, np.datetime64(seal.from_ms, "ms")) == (done.outcome.run_id, np.datetime64("2023-01-21"))
    assert any(text.endswith("is sealed: no run has looked at it.") for text in texts(done))


def test_a_sealed_hold_out_holds_without_being_named_and_does_not_move(run):
    sealed = run(HOLDOUT)
    assert run().outcome.market.stop_ms == sealed.outcome.market.stop_ms
    with pytest.raises(RunError, match="a hold-out that moves proves nothing"):
        run("data.holdout_from=2023-01-22")


def test_looking_into_the_hold_out_is_recorded_for_ever_and_told(run, place):
    done = run(HOLDOUT, include_holdout=True)
    assert len(done.outcome.market.bars) == 600
    assert done.report.holdout_seen
    assert done.capsule.manifest["holdout_seen"]
    assert "hold-out seen" in done.capsule.report.read_text()
    (opening,) = place().register.holdout_openings()
    assert (opening.run_id, opening.command) == (done.outcome.run_id, "backtest")
    assert place().register.looks()[0].holdout_seen
    later = run()
    assert not later.report.holdout_seen
    assert any("has been seen, by 1 run" in text for text in texts(later))


def test_a_hold_out_before_every_bar_is_refused_and_not_sealed(run, place):
    with pytest.raises(BarsError, match="every bar lies in the hold-out"):
        run("data.holdout_from=2022-01-21")
    assert place().register.sealed("BTC (synthetic, seed 7)") is None


# -- costs and fills


def test_a_free_run_is_labelled_everywhere(run):
    done = run("costs.taker_fee_bps=0", "costs.maker_fee_bps=0", "costs.slippage_bps=0")
    assert done.report.is_free
    assert "zero cost" in done.capsule.report.read_text()
    assert "Trading was free in this run: no real venue is." in texts(done)
    assert not run().report.is_free


def test_the_worse_of_open_and_average_price_costs_money(run, own_strategy):
    strategy = own_strategy(ALTERNATES)
    at_open, worst = run(strategy), run(strategy, "backtest.fill_price=worst_of")
    assert worst.outcome.metrics.final_equity < at_open.outcome.metrics.final_equity
    pairs = list(zip(at_open.outcome.result.fills, worst.outcome.result.fills, strict=True))
    assert all((one.price - other.price) * one.qty <= 0 for one, other in pairs)
    assert len(pairs) > 100


def test_a_fill_delay_without_finer_bars_says_what_is_missing(run):
    with pytest.raises(BarsError, match=r"a fill delay of 30 s needs bars finer than 1h; import or download them"):
        run("backtest.fill_delay_s=30")


@pytest.fixture
def stored(place):
    """Store quarters of an hour and the hours made of them, and the hours alone under another name."""
    finer = SyntheticMarket(bars=2400, timeframe="15m").bars()["BTC/USDT"]
    bars = aggregate(finer, Timeframe.parse("1h"))
    place().store.write("mine", finer)
    place().store.write("mine", bars)
    place().store.write("alone", bars)
    return bars


PROTECTED = ("strategy.stop_loss=0.003", "strategy.take_profit=0.003")
ALONE = (*PROTECTED, "data.exchange=alone")


def test_unknown_bars_are_run_both_ways_and_told(run, stored):
    done = run(*ALONE)
    unsettled = done.outcome.scenarios.unsettled
    assert unsettled > 3
    assert done.capsule.manifest["unsettled_bars"] == unsettled
    assert done.report.scenarios.columns == ("Figure", "Stop first (headline)", "Target first")
    assert len(done.report.ambiguous.rows) == unsettled
    assert {row[-1] for row in done.report.ambiguous.rows} == {"assumption"}
    assert any("These are two scenarios, not bounds." in text for text in texts(done))
    other = run(*ALONE, "backtest.intrabar=target_first")
    assert other.report.scenarios.columns == ("Figure", "Target first (headline)", "Stop first")
    assert other.outcome.metrics.total_return == done.outcome.other_metrics.total_return
    assert other.outcome.other_metrics.total_return == done.outcome.metrics.total_return


@pytest.mark.parametrize("detail", [(), ("data.detail_timeframe=15m",)])
def test_finer_bars_settle_what_came_first_asked_for_or_not(run, stored, detail):
    coarse, fine = run(*ALONE), run(*PROTECTED, "data.exchange=mine", *detail)
    settled = [case for case in fine.outcome.result.ambiguous if case.settled]
    assert len(settled) > 3
    assert fine.outcome.scenarios.unsettled < coarse.outcome.scenarios.unsettled
    assert any(f"{len(settled)} bars touched both stop and target; finer bars settled" in text for text in texts(fine))
    assert "finer bars" in fine.capsule.manifest["inputs"]
    assert {row[-1] for row in fine.report.ambiguous.rows} >= {"finer bars"}


def test_a_fill_delay_takes_the_finer_bar_s_open(run, stored, own_strategy, place):
    done = run("data.exchange=mine", "data.detail_timeframe=15m", "backtest.fill_delay_s=900", own_strategy(ALTERNATES))
    finer = place().store.read("mine", "BTC/USDT", "15m")
    fill, price = done.outcome.result.fills[0], done.outcome.result.market_prices[0]
    assert price == finer.open[4 * fill.bar + 1]


def test_missing_bars_are_refused_filled_or_left_out_as_configured(run, place, stored, tmp_path):
    holed = stored.slice(0, 400).to_frame().drop(stored.index[[100, 101, 102]])
    place().store.write("holed", type(stored).from_frame(holed, "BTC/USDT", Timeframe.parse("1h")))
    assert place().store.read("holed", "BTC/USDT", "1h").missing == 3
    small = ("data.exchange=holed", "walkforward.train=200")
    with pytest.raises(BarsError, match="3 bars missing"):
        run(*small)
    flat, dropped = run(*small, "data.gaps=flat"), run(*small, "data.gaps=drop")
    assert (len(flat.outcome.market.bars), len(dropped.outcome.market.bars)) == (400, 397)
    assert "3 bars were missing (0.75 %): filled flat with volume 0." in texts(flat)
    assert "3 bars were missing (0.75 %): left out." in texts(dropped)
    assert not flat.report.is_synthetic


@pytest.fixture
def perpetual(place):
    bars = SyntheticMarket(bars=600, symbols=("BTC/USDT:USDT",)).bars()["BTC/USDT:USDT"]
    place().store.write("mine", bars)
    return ("data.exchange=mine", "data.symbols=['BTC/USDT:USDT']")


def test_funding_is_paid_by_the_position_held(run, perpetual, own_strategy, tmp_path):
    rows = [f"2023-01-{day:02d}T{hour:02d}:00:00Z,0.001" for day in range(2, 12) for hour in (0, 8, 16)]
    (tmp_path / "funding.csv").write_text("timestamp,funding_rate\n" + "\n".join(rows))
    strategy = own_strategy(HOLDS)
    paid, free = run(*perpetual, strategy, "backtest.funding=funding.csv"), run(*perpetual, strategy)
    result, bars = paid.outcome.result, paid.outcome.market.bars
    settled = [fill for fill in result.fills if fill.reason == "funding"]
    assert len(settled) == 30
    expected = sum(0.001 * 0.1 * bars.open[fill.bar] for fill in settled)
    assert paid.outcome.metrics.funding == pytest.approx(expected)
    assert free.outcome.metrics.final_equity - paid.outcome.metrics.final_equity == pytest.approx(expected)
    assert paid.capsule.manifest["inputs"]["funding rates"]
    assert "A perpetual without funding rates: funding is not charged; set backtest.funding." in texts(free)
    assert "A perpetual without funding rates: funding is not charged; set backtest.funding." not in texts(paid)
    assert "Perpetual at 1x: liquidation is not modelled." in texts(paid)


# -- a person's own strategy
