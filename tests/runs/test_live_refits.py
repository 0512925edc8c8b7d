"""A refit of a running bot whose process is killed, that comes late, and a model that has grown too old meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from itb.config import load_config
from itb.datafeeds.atomic import locked
from itb.live.bars.bar import Bar, rows_of
from itb.live.bars.barrier import Step
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.run.chronicle import Chronicle
from itb.live.run.event_log import EventLog
from itb.live.run.health import Change, HealthBoard
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import live_models
from itb.runs.live_refits import Refit, Refits
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.workspace import Workspace

SETTINGS = (
    "data.timeframe=1m", "synthetic.bars=800", "model.algorithm=logistic",
    "walkforward={train=600, refit_every=60, min_train_rows=50, workers=1}",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}", "live.model_expires=62m",
)  # fmt: skip
BTC = "BTC/USDT"
PATIENCE_S, _LOOK_S = 120.0, 0.01


def children(of: int) -> list[int]:
    """The training processes of a process."""
    told: list[str] = []
    for file in Path(f"/proc/{of}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            told += file.read_text().split()
    found = []
    for pid in told:
        with contextlib.suppress(OSError):  # one that has just ended
            if b"live_training" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


async def child() -> int:
    """The training process, once there is one."""
    for _ in range(round(PATIENCE_S / _LOOK_S)):
        found = children(os.getpid())
        if found:
            return found[0]
        await asyncio.sleep(_LOOK_S)
    raise AssertionError("no training began")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process in /proc")
def test_a_killed_child_a_late_model_and_one_that_expired_are_told_and_overcome(tmp_path: Path) -> None:
    place = Workspace(load_config(None, [*SETTINGS, f"runs.root={tmp_path / 'runs'}"], folder=tmp_path, environ={}))
    market = load_market(place, BTC, run_id="1", command="walkforward")
    (walked,) = score_columns(place, market).walked
    bars = market.bars
    begins = [int(np.searchsorted(bars.open_time, entry.speaks_from)) for entry in walked.timeline.entries]
    due = begins[1]  # the second refit speaks from here on: it is fitted at the close of the bar before
    warm = due - 3
    models = {BTC: live_models(place, BTC, int(bars.open_time[warm]), tmp_path / "models")}
    changes: list[Change] = []
    board = HealthBoard(lambda: 0, changes.append)
    log = EventLog(tmp_path / "events.jsonl", lambda: 0.0)
    chronicle = Chronicle(log)
    window = GrowingBars(bars.slice(warm - 200, warm))
    desk = score_desk(models[BTC], window, Networks({}), Episodes(board.hear), before=None, check=0)
    rows = iter(rows_of(bars)[warm:])
    said: list[float] = []

    def decide(refits: Refits) -> None:
        row: Bar = next(rows)
        window.append(row)
        said.append(desk.at("up_logistic", row.open_time))
        chronicle.late({BTC: desk})
        refits.take(Step(row.open_time, {BTC: row}))

    async def live() -> list[Refit]:
        heard: list[Refit] = []
        refits = Refits(place, tmp_path, models)
        stored = {BTC: bars.head(warm)}
        refits.begin({BTC: bars.slice(warm - 200, warm)}, stored, board, heard.append)
        with locked(models[BTC].home, timeout_s=PATIENCE_S):  # no child gets anywhere, however fast the machine is
            for _ in range(3):
                decide(refits)
            os.kill(await child(), signal.SIGKILL)
            await refits.idle()
            assert heard == []
            decide(refits)  # the bar from which on the new model should speak; the next try begins after it
            await child()
            for _ in range(4):
                decide(refits)
        await refits.idle()
        for _ in range(5):
            decide(refits)
        await refits.stop()
        return heard

    (refit,) = asyncio.run(live())
    log.close()
    assert (refit.entry.known_at, refit.entry.promoted) == (int(bars.open_time[due - 1]), True)
    told = [(change.trouble.key, change.is_over) for change in changes]
    assert [is_over for key, is_over in told if key == "training"] == [False, True]  # once, and that it is over
    why = next(change.trouble.text for change in changes if change.trouble.key == "training")
    assert why.startswith("training failed, the models that speak go on: the process ended with -9")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (late,) = [event for event in events if event["event"] == "MODEL" and event["what"] == "late"]
    assert (late["speaks_from"], late["bars"], late["column"]) == (refit.entry.speaks_from, 5, "up_logistic")
    assert [is_over for key, is_over in told if key == "up_logistic: expired"] == [False, True]
    scores = walked.scores[warm : warm + len(said)]
    silent = [np.isnan(score) for score in said]
    expired = [5 <= place_ < 8 for place_ in range(len(said))]
    assert silent == expired
    assert said[:3] == scores[:3].tolist()
    assert said[8:] == scores[8:].tolist()
    assert all(ours != theirs for ours, theirs in zip(said[3:5], scores[3:5].tolist(), strict=True))
