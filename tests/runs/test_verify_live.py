"""`itb verify --live` compares a backtest with paper and the practice exchange, scores included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from itb.errors import BarsError
from itb.laws.live_parity import Compared, ScoreApart
from itb.runs.verify_live import Replay, not_compared, verify_live
from itb.runs.workspace import Workspace

Make = Callable[..., Workspace]
CROSSING = ("strategy.buy_threshold=0.5", "strategy.sell_threshold=0.45", "strategy.stop_loss=0.01")
PAIRS = {"backtest-paper", "backtest-practice", "paper-practice"}


def test_all_three_agree_on_every_bar(workspace: Make) -> None:
    said = verify_live(workspace(*CROSSING), days=5)
    (told,) = said.data["symbols"].values()
    assert not said.found
    assert (told["equal"], told["bars"], told["bars_apart"]) == (True, 120, 0)
    assert told["scores"] == {"compared": 120, "apart": 0, "causes": []}
    assert set(told["pairs"]) == PAIRS
    assert all(pair["equal"] and pair["decisions"] == 120 and pair["fills"] > 10 for pair in told["pairs"].values())
    assert "each as the walk-forward said it" in said.lines[0]


def test_a_model_that_says_nothing_live_is_a_finding_with_its_cause(workspace: Make) -> None:
    said = verify_live(workspace(*CROSSING, "live.model_expires=1d"), days=5)
    (told,) = said.data["symbols"].values()
    assert said.found
    assert told["scores"]["apart"] > 10
    assert told["scores"]["causes"] == ["model"]
    apart = told["pairs"]["backtest-paper"]["apart"]
    assert apart["cause"].startswith("score: model; ")
    assert told["pairs"]["paper-practice"]["equal"]
    assert any("has expired" in line for line in said.lines)


def test_fees_in_a_third_currency_leave_the_practice_exchange_out(workspace: Make) -> None:
    said = verify_live(workspace(*CROSSING, "costs.fee_currency=BNB"), days=2)
    (told,) = said.data["symbols"].values()
    assert not said.found
    assert set(told["pairs"]) == {"backtest-paper"}
    assert any("fees in BNB" in line for line in said.lines)


def test_what_is_left_out_is_named(workspace: Make) -> None:
    plain = not_compared(workspace())
    assert len(plain) == 1
    more = not_compared(
        workspace("costs.impact_bps=3", "backtest.fill_price=worst_of", "backtest.intrabar=target_first")
    )
    assert [one.split(":")[0] for one in more[:-1]] == [
        "costs.impact_bps", "backtest.fill_price and fill_delay_s", "backtest.intrabar",
    ]  # fmt: skip


def test_a_strategy_without_scores_is_replayed_too(workspace: Make) -> None:
    code = (
        "from itb.strategies.base import Strategy\n"
        "class Turns(Strategy):\n"
        "    def next(self):\n"
        "        if len(self.data) % 7 == 0:\n"
        "            self.close() if self.position else self.buy(size=0.01)\n"
    )
    place = workspace()
    (place.config.folder / "turns.py").write_text(code)
    said = verify_live(workspace(f"strategy.name={place.config.folder / 'turns.py'}:Turns"), days=3)
    (told,) = said.data["symbols"].values()
    assert (said.found, told["scores"]["compared"]) == (False, 0)
    assert told["pairs"]["paper-practice"]["orders"] > 5


def test_more_days_than_there_are_bars_begin_with_the_first_score(workspace: Make) -> None:
    with pytest.raises(BarsError, match="replay fewer days"):
        verify_live(workspace(*CROSSING, "walkforward.train=301", "live.self_check=400"), days=1_000)


def test_rounding_alone_is_counted_and_no_finding() -> None:
    equal = Compared(("backtest", "paper"), 10, 2, 2)
    one = Replay(10, 0, 1, (equal,), 10, (ScoreApart("up", 0, 0.5, np.nextafter(0.5, 1), "feature rounding"),))
    assert not one.found
    assert replace(one, apart=(*one.apart, ScoreApart("up", 1, 0.5, 0.6, "model"))).found
    assert replace(one, bars_apart=(60_000,)).found
