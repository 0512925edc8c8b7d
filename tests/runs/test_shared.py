"""Several symbols on one account, from the config to the capsule."""

import json

import numpy as np
import pytest

from itb.charts.page import render
from itb.errors import ConfigError
from itb.runs.backtest import backtest
from itb.runs.history import list_runs, reproduce, show_run
from itb.runs.laws import check
from itb.runs.study import Asked, open_study

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
    assert told["account"] == {"shared": True, "max_open_trades": 2, "equity_share": 0.0}
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


def test_a_search_refuses_a_shared_account(workspace):
    with pytest.raises(ConfigError, match=r"account\.shared: a search trades one symbol"):
        open_study(workspace(*THREE), "BTC/USDT", Asked())
