"""Several symbols on one account, from the config to the capsule."""

import json

import numpy as np
import pytest

from itb.charts.page import render
from itb.errors import ConfigError
from itb.runs.backtest import backtest
from itb.runs.history import list_runs, reproduce, show_run
from itb.runs.laws import check

HOUR_0 = 1_672_531_200_000  # where the built-in market begins
THREE = (
    "data.symbols=['BTC/USDT', 'ETH/USDT', 'SOL/USDT']",
    "account.shared=true",
    "strategy.buy_threshold=0.52",
    "strategy.sell_threshold=0.48",
)


@pytest.fixture
def run(workspace):
    """Run one backtest of three symbols."""

    def go(*settings, **more):
        (done,) = backtest(workspace(*THREE, *settings, **more))
        return done

    return go


def test_all_symbols_trade_one_account_and_leave_one_capsule(run, workspace):
    done = run("account.max_open_trades=2")
    result, told = done.outcome.result, done.capsule.manifest
    assert list(result.parts) == told["symbols"] == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    assert {trade.symbol for trade in result.trades} == set(result.parts)
    assert result.held.max() == 2
    gains = sum(metrics["total_return"] for metrics in told["metrics_by_symbol"].values())
    assert gains == pytest.approx(told["metrics"]["total_return"], abs=1e-12)
    assert told["metrics"]["trades"] == sum(metrics["trades"] for metrics in told["metrics_by_symbol"].values())
    assert told["account"] == {"shared": True, "max_open_trades": 2, "equity_share": 0.0, "tranches": 0}
    looks = workspace().register.looks()
    assert [look.symbol for look in looks] == list(result.parts)
    assert {look.run_id for look in looks} == {done.capsule.run_id}
    json.dumps(told)


def test_the_tables_say_what_every_symbol_did(run):
    done = run()
    result = done.outcome.result
    positions, fills = done.capsule.table("positions"), done.capsule.table("fills")
    assert done.capsule.table("equity")["equity"].to_pylist() == result.equity.tolist()
    assert fills["symbol"].to_pylist() == [fill.symbol for fill in result.fills]
    assert set(done.capsule.table("orders")["symbol"].to_pylist()) == set(result.parts)
    for symbol, part in result.parts.items():
        own = positions.filter(np.array(positions["symbol"]) == symbol)
        assert own["position"].to_pylist() == part.position.tolist()
        assert own["equity"].to_pylist() == part.equity.tolist()
    assert done.capsule.table("scores").column_names[:2] == ["timestamp", "symbol"]


def test_the_report_shows_every_symbol_and_the_account(run):
    done = run()
    names = [row[0] for row in done.report.symbols.rows]
    assert names == ["BTC/USDT", "ETH/USDT", "SOL/USDT", "account"]
    assert [panel.bars.symbol for panel in done.report.markets] == names[:3]
    assert len(done.report.quality.rows) == 3
    page = render(done.report)
    assert all(word in page for word in (*names[:3], "Symbols", "3 symbols 1h"))
    assert "with one account" in done.report.summary


def test_the_run_comes_out_again_byte_for_byte(run, workspace):
    done = run("account.max_open_trades=1")
    again = reproduce(workspace(), done.capsule.run_id)
    assert not again.found, again.lines
    assert set(again.data["tables"]) == {"trades", "fills", "orders", "equity", "positions", "scores"}
    assert list_runs(workspace()).data["runs"][0]["symbol"] == "3 symbols"
    assert any("USDT" in row[1] for row in show_run(workspace(), "last").table.rows)


def test_without_a_shared_account_every_symbol_has_its_own_run(workspace):
    runs = backtest(workspace("data.symbols=['BTC/USDT', 'ETH/USDT']"))
    assert [done.outcome.result.bars.symbol for done in runs] == ["BTC/USDT", "ETH/USDT"]


def test_shares_without_a_shared_account_are_refused(workspace):
    with pytest.raises(ConfigError, match=r"max_open_trades: has a meaning on a shared account alone"):
        workspace("account.max_open_trades=2")


def test_a_strategy_written_for_backtraders_datas_runs_on_all_feeds(run, tmp_path, workspace):
    (tmp_path / "own.py").write_text(
        "import backtrader as bt\n\n\n"
        "class Rotation(bt.Strategy):\n"
        "    def __init__(self):\n"
        "        self.pace = {d: bt.indicators.RateOfChange(d.close, period=24) for d in self.datas}\n\n"
        "    def next(self):\n"
        "        if len(self) % 24:\n"
        "            return\n"
        "        best = max(self.datas, key=lambda d: self.pace[d][0])\n"
        "        for d in self.datas:\n"
        "            if d is not best and self.getposition(d).size:\n"
        "                self.close(data=d)\n"
        "        if not self.getposition(best).size:\n"
        "            self.order_target_percent(data=best, target=0.3)\n"
    )
    own = [setting for setting in THREE if not setting.startswith("strategy")]
    name = f"strategy.name={tmp_path / 'own.py'}:Rotation"
    (done,) = backtest(workspace(*own, name))
    result = done.outcome.result
    assert {trade.symbol for trade in result.trades} == set(result.parts)
    assert len(result.trades) > 5
    with pytest.raises(ConfigError, match=r"max_open_trades: Rotation would not ask for it"):
        backtest(workspace(*own, name, "account.max_open_trades=2"))


def test_check_tries_the_strategy_on_all_symbols_at_once(workspace):
    said = check(workspace(*THREE))
    laws = {one["law"]: one for one in said.data["checks"] if one["subject"] == "MLThreshold on 3 symbols"}
    assert set(laws) == {"reproducible", "batch = step", "causal", "warmup", "parity", "money"}
    assert {one["verdict"] for one in laws.values()} == {"holds"}, laws
    assert not said.found


def perpetuals(folder, *, by_source):
    """Three perpetuals with rates of their own, and what is settled when by symbol."""
    symbols, settled = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"), {}
    for place, symbol in enumerate(symbols):
        rates = {HOUR_0 + 3_600_000 * hour: (place + 1) * 1e-4 for hour in range(place, 600, 4 + place)}
        rows = [f"{time},{rate!r}" for time, rate in rates.items()]
        (folder / f"{symbol[:3]}USDT-f.csv").write_text("\n".join(["timestamp,funding_rate", *rows]))
        settled[symbol] = rates
    table = "sources=[{name='funding', kind='table', file='{symbol}-f.csv', time='event'}]"
    funding = ["backtest.funding=funding", table] if by_source else ["backtest.funding={symbol}-f.csv"]
    return [f"data.symbols={list(symbols)}", "strategy.allow_short=true", *THREE[2:], *funding], settled


@pytest.mark.parametrize("by_source", [False, True])
@pytest.mark.parametrize("shared", ["true", "false"])
def test_each_perpetual_pays_its_own_funding_on_one_account_or_several(workspace, tmp_path, shared, by_source):
    settings, settled = perpetuals(tmp_path, by_source=by_source)
    done = backtest(workspace(*settings, f"account.shared={shared}"))
    parts = [part for run in done for part in getattr(run.outcome.result, "parts", {"": run.outcome.result}).values()]
    assert [part.bars.symbol for part in parts] == list(settled)
    for part in parts:
        rates, bars = settled[part.bars.symbol], part.bars
        held, owed = 0.0, []
        for bar, time in enumerate(bars.open_time.tolist()):
            if time in rates and held:
                owed.append((bar, pytest.approx(rates[time] * held * bars.open[bar], rel=1e-12)))
            held = float(part.position[bar])
        paid = [(fill.bar, fill.fee) for fill in part.fills if fill.reason == "funding"]
        assert paid == owed
        assert len(paid) > 5
    told = [run.capsule.manifest for run in done]
    if shared == "true":
        assert told[0]["metrics"]["funding"] == pytest.approx(
            sum(one["funding"] for one in told[0]["metrics_by_symbol"].values())
        )
        prints = [told[0]["inputs"][f"funding rates of {symbol}"] for symbol in settled]
    else:
        prints = [one["inputs"]["funding rates"] for one in told]
    assert len(set(prints)) == 3


def test_every_engine_charges_several_perpetuals_the_same(workspace, tmp_path):
    settings, _ = perpetuals(tmp_path, by_source=False)
    runs = [
        backtest(workspace(*settings, "account.shared=true", f"backtest.engine={engine}"))[0].outcome.result
        for engine in ("sparse", "dense", "plain")
    ]
    assert [run.stepped for run in runs] == ["sparse", "dense", "plain"]
    assert runs[0].fills == runs[1].fills == runs[2].fills
    assert np.array_equal(runs[0].equity, runs[1].equity)
    assert np.array_equal(runs[0].equity, runs[2].equity)
