"""`itb verify` compares sweep and backtrader on the configured strategy."""

import pytest

from itb.errors import ConfigError
from itb.runs.verify import verify

CROSSING = ("strategy.buy_threshold=0.5", "strategy.sell_threshold=0.45", "strategy.stop_loss=0.01")


def test_both_agree_on_the_configured_strategy(workspace):
    said = verify(workspace(*CROSSING))
    (told,) = said.data.values()
    assert (told["equal"], told["evaluated_by"], told["difference"]) == (True, "vectorbt", None)
    assert told["fills"] > 10
    assert not said.found


def test_what_the_sweep_leaves_to_backtrader_is_said(workspace):
    said = verify(workspace(*CROSSING, "strategy.trailing_stop=0.01"))
    assert next(iter(said.data.values()))["evaluated_by"] == "backtrader"
    assert "trailing stop" in said.table.rows[0][-1]


def test_a_difference_is_a_finding_with_its_bar(workspace, monkeypatch):
    from itb.optimize import sweep as module

    honest = module.settle
    doubled = lambda bars, trips, sizer, venue, cash: honest(bars, trips, sizer, venue, cash * 2)  # noqa: E731 - planted
    monkeypatch.setattr(module, "settle", doubled)
    said = verify(workspace(*CROSSING))
    (told,) = said.data.values()
    assert said.found
    assert told["bar"] > 0
    assert "qty is" in told["difference"]
    assert "cause: the equity before it, the sizing" in told["difference"]


def test_another_strategy_has_nothing_to_compare(workspace, tmp_path):
    (tmp_path / "idle.py").write_text("from itb.strategies.base import Strategy\nclass Idle(Strategy):\n    pass\n")
    with pytest.raises(ConfigError, match="runs in backtrader alone"):
        verify(workspace(f"strategy.name={tmp_path / 'idle.py'}:Idle"))


SHARED = ("data.symbols=['BTC/USDT', 'ETH/USDT']", "account.shared=true")


def test_both_agree_on_symbols_that_share_an_account(workspace):
    said = verify(workspace(*CROSSING, *SHARED))
    told = said.data["account"]
    assert (told["equal"], told["evaluated_by"], told["difference"]) == (True, "vectorbt", None)
    assert min(told["fills"].values()) > 10
    assert not said.found


def test_what_the_sweep_leaves_to_backtrader_on_a_shared_account_is_said(workspace):
    said = verify(workspace(*CROSSING, *SHARED, "account.max_open_trades=1"))
    assert said.data["account"]["evaluated_by"] == "backtrader"
    assert "max_open_trades" in said.table.rows[0][-1]


def test_a_difference_on_a_shared_account_is_a_finding(workspace, monkeypatch):
    from itb.optimize import shared_sweep as module

    honest = module.settle_shared
    doubled = lambda *given: honest(*given[:-1], given[-1] * 2)  # noqa: E731 - planted
    monkeypatch.setattr(module, "settle_shared", doubled)
    said = verify(workspace(*CROSSING, *SHARED))
    assert said.found
    assert "qty is" in said.data["account"]["difference"]
