"""`account.tranches`: overlapping positions in a backtest, in shadows and in a bot, by one rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from itb.backtest.tranches import TranchedResult
from itb.config import load_config
from itb.errors import ConfigError
from itb.runs.backtest import backtest
from itb.runs.history import reproduce
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.report_live import report_live
from itb.runs.shadows import shadows
from itb.runs.study import Asked, open_study
from itb.runs.verify import verify
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

STEPS = ("account.tranches=3", "strategy.buy_threshold=0.5", "strategy.sell_threshold=0.3", "strategy.max_bars=12")


def test_a_backtest_overlaps_positions_and_comes_out_again(workspace: Callable[..., Workspace]) -> None:
    (done,) = backtest(workspace(*STEPS))
    result, told = done.outcome.result, done.capsule.manifest
    assert isinstance(result, TranchedResult)
    assert len(result.tranches) == 3
    assert told["metrics"]["trades"] == sum(not trade.is_open for trade in result.trades) > 10
    assert "Up to 3 positions overlap, each from an equal part of the cash." in told["notes"]
    assert done.capsule.table("equity")["equity"].to_pylist() == result.equity.tolist()
    held = np.sum([part.position > 0 for part in result.tranches], axis=0)
    assert held.max() == 3
    assert not reproduce(workspace(), done.capsule.run_id).found


def test_what_cannot_overlap_says_so_in_one_line(workspace: Callable[..., Workspace]) -> None:
    with pytest.raises(ConfigError, match=r"account\.tranches: a search trades one position at a time"):
        open_study(workspace(*STEPS), "BTC/USDT", Asked())
    with pytest.raises(ConfigError, match=r"account\.tranches.*a search trades one position at a time"):
        open_study(workspace("search.space.account.tranches=[0, 2]"), "BTC/USDT", Asked())
    with pytest.raises(ConfigError, match=r"account\.tranches: the sweep trades one position at a time"):
        verify(workspace(*STEPS))
    with pytest.raises(ConfigError, match=r"tranches: split the cash of one symbol"):
        workspace("account.tranches=2", "account.shared=true")


def test_shadows_say_what_tranches_would_have_taken(workspace: Callable[..., Workspace]) -> None:
    settings = ("label.kind=future_return", "label.horizon=6", "model.algorithm=linear", "synthetic.bars=900")
    plain = ("label={kind='future_return', horizon=6}", *settings[2:], "strategy.buy_threshold=0.0",
             "strategy.sell_threshold=-0.1", "thresholds.refit_every=100")  # fmt: skip
    alone = shadows(workspace(*plain)).data["shadows"][0]["shadows"]
    steps = shadows(workspace(*plain, "account.tranches=2")).data["shadows"][0]["shadows"]
    assert all("tranche_trades" not in one for one in alone)
    for one, other in zip(steps, alone, strict=True):
        assert other["trades_alone"] // 2 <= one["tranche_trades"] <= one["triggers"] == other["triggers"]
    assert any(one["tranche_trades"] > one["trades_alone"] for one in steps)


def test_a_bot_in_tranches_does_what_the_backtest_of_its_bars_does(tmp_path: Path) -> None:
    settings = [
        "data.timeframe=1m", "walkforward.train=5000", "walkforward.refit_every=5000", "strategy.buy_threshold=0.46",
        "strategy.sell_threshold=0.3", "strategy.max_bars=8", "strategy.stop_loss=0.002", "model.rounds=10",
        "walkforward.workers=1", "live.decide_within=60s", "account.tranches=3", f"runs.root={tmp_path / 'runs'}",
    ]  # fmt: skip
    place = Workspace(load_config(None, settings))
    launch = Launch(is_paper=True, rehearsal=Rehearsal(speed="lockstep", bars=110), bars=100)
    folder = bot_folder(place, launch)
    try:
        assert live(place, launch, lambda _line: None).data["steps"] == 100
    finally:
        end_exchanges(folder)
    report = report_live(place, folder.name)
    assert report.data["differences"] == []
    assert report.data["fills"]["same"] > 12
    filled = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines() if '"FILL"' in line]
    assert {one["strategy"] for one in filled if one["event"] == "FILL"} == {"main-1", "main-2", "main-3"}
