"""A bot that trains on while it runs says what the walk-forward over all of its bars says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.config import load_config
from itb.errors import ConfigError
from itb.live.bars.bar import rows_of
from itb.live.bars.kept import KeptBars
from itb.live.episodes import Episodes
from itb.live.run.drifting import Ground
from itb.live.scores.speaking import SpeakingColumn
from itb.mlmodels.timeline import ModelTimeline
from itb.runs.live import Launch, bot_folder, live
from itb.runs.live_models import live_models
from itb.runs.live_training import BARS_FILE, GROUND_FILE, refuse_unlearned, train_on
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.practice import Rehearsal
from itb.runs.refine import stages_folder
from itb.runs.said import Said
from itb.runs.scored import ScoredMarket
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

SETTINGS = (
    "data.timeframe=1m", "synthetic.bars=1000", "walkforward={train=600, refit_every=60, min_train_rows=50, workers=1}",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "strategy.buy_threshold=0.51", "strategy.sell_threshold=0.5", "live.decide_within=60s",
    "live.shadows=[{called='twin'}, {called='steps', tranches=3}]",
)  # fmt: skip
LIVES = (44, 40)
LAUNCH = Launch(is_paper=True, rehearsal=Rehearsal(speed="lockstep", bars=sum(LIVES) + 10))


def workspace(project: Path, *more: str) -> Workspace:
    settings = [*SETTINGS, "model.algorithm=logistic", f"runs.root={project / 'runs'}", *more]
    return Workspace(load_config(None, settings, folder=project, environ={}))


def told_by(place: Workspace) -> list[dict[str, Any]]:
    file = bot_folder(place, LAUNCH) / "events.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def over_all(place: Workspace, until_ms: int) -> ScoredMarket:
    """The walk-forward over all bars that the bot has seen."""
    seen = replace(place, window=(0, until_ms), judges_nothing=True)
    return score_columns(seen, load_market(seen, "BTC/USDT", run_id="1", command="walkforward"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Said, list[str]]]:
    """A bot in two lives, its last words and what it told."""
    project = tmp_path_factory.mktemp("project")
    place = workspace(project, "walkforward.refit_every=40")
    heard: list[str] = []
    try:
        for bars in LIVES:
            said = live(place, replace(LAUNCH, bars=bars), heard.append)
        yield place, said, heard
    finally:
        end_exchanges(project)


def test_refits_and_scores_are_those_of_the_walk_forward_over_all_bars(
    lived: tuple[Workspace, Said, list[str]],
) -> None:
    place, said_at_end, heard = lived
    events = told_by(place)
    ticks = [event for event in events if event["event"] == "TICK"]
    assert len(ticks) == sum(LIVES)
    scored = over_all(place, ticks[-1]["bar"] + 60_000)
    (walked,) = scored.walked
    (kept,) = bot_folder(place, LAUNCH).glob("models/*/models/*/timeline.json")
    timeline = ModelTimeline.load(kept)
    assert timeline.begins_with(walked.timeline)
    refits = [event for event in events if event["event"] == "MODEL"]
    assert len(refits) >= 2
    assert [event["known_at"] for event in refits] == [entry.known_at for entry in timeline.entries[-len(refits) :]]
    for entry in walked.timeline.entries:
        assert (kept.parent / entry.file).read_bytes() == (walked.folder / entry.file).read_bytes()
    assert not [event for event in events if "late" in str(event.get("key"))]
    (line,) = said_at_end.data["status"]["models"]
    assert (line["refits"], line["known_at"]) == (len(timeline.entries), timeline.entries[-1].known_at)
    assert len([told for told in heard if "speaks from" in told]) == len(refits)
    said = dict(zip(walked.table.open_time.tolist(), walked.scores.tolist(), strict=True))
    for tick in ticks:
        (value,) = tick["scores"].values()
        assert math.isfinite(value)
        assert value == said[tick["bar"]]


def test_shadows_trade_on_paper_beside_the_bot(lived: tuple[Workspace, Said, list[str]]) -> None:
    place, said, _ = lived
    lines = {line["name"]: line for line in said.data["status"]["strategies"]}
    assert [name for name, line in lines.items() if line["is_shadow"]] == ["twin", "steps"]
    assert lines["twin"] == {**lines["main"], "name": "twin", "is_shadow": True}
    fills: dict[str, list[tuple[Any, ...]]] = {"main": [], "twin": [], "steps": []}
    for event in told_by(place):
        if event["event"] == "FILL":
            fills[event["account"]].append((event["time"], event["strategy"], event["side"], event["qty"]))
    assert len(fills["main"]) > 3
    assert [(time, side, qty) for time, _, side, qty in fills["twin"]] == [
        (time, side, qty) for time, _, side, qty in fills["main"]
    ]
    held: dict[str, int] = {}
    most = 0
    for time, tranche, side, _qty in fills["steps"]:
        assert (side == "buy") != (tranche in held)
        if side == "buy":
            assert time not in held.values()  # one trigger enters one tranche
            held[tranche] = time
        else:
            del held[tranche]
        most = max(most, len(held))
    assert most == 3


def test_a_pool_is_refused_at_the_start(tmp_path: Path) -> None:
    pool = ("data.symbols=['BTC/USDT', 'ETH/USDT']", "training.pooled=true")
    with pytest.raises(ConfigError, match=r"set live\.retrain = false"):
        refuse_unlearned(workspace(tmp_path, *pool).config)


def test_stages_and_stack_learn_on_as_over_all_bars(tmp_path: Path) -> None:
    """Trained until a bar, then trained on twice as the child does: the files and scores of one run over all bars."""
    place = workspace(
        tmp_path, "abstain={dissimilarity=2.0, most_rows=50}", "calibration={method='platt', min_rows=40}",
        "stack={algorithm='logistic', train=100, refit_every=60, min_train_rows=40}",
    )  # fmt: skip
    bars = load_market(place, "BTC/USDT", run_id="1", command="walkforward").bars
    models = live_models(place, "BTC/USDT", int(bars.open_time[830]), tmp_path / "bot")
    for stop in (900, 960):
        kept = KeptBars(models.home / BARS_FILE, bars.symbol, bars.timeframe, tuple(bars.columns))
        kept.add(rows_of(bars.head(stop)))
        train_on(place, {"BTC/USDT": models.home})
    assert set(Ground.load(models.home / GROUND_FILE).usual) == set(models.features.names)
    scored = over_all(place, int(bars.open_time[960]))
    times = bars.open_time[:960]
    said: dict[str, Any] = {}
    for files, walked in zip(models.columns, scored.walked, strict=True):
        names = files.inputs or models.features.names
        column = SpeakingColumn(files, names, Episodes(print))
        assert len(column.timeline.entries) > 3
        assert column.timeline.begins_with(walked.timeline)
        rows = np.column_stack([said[name] for name in names]).astype(np.float32) if files.inputs else None
        said[column.column] = column.batch(times, walked.table.features if rows is None else rows)
        np.testing.assert_array_equal(said[column.column], scored.scores[column.column].batch())
        assert np.isfinite(said[column.column][900:]).any()
        if files.stages is not None:
            for name in ("abstention", "calibration"):
                there = stages_folder(place.config, scored.market, walked) / f"{name}.json"
                mine = ModelTimeline.load(files.stages / f"{name}.json")
                assert mine.begins_with(ModelTimeline.load(there))
                assert mine.entries[-1].known_at == column.timeline.entries[-1].known_at


def test_a_shadow_needs_a_name_that_no_strategy_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shadows need names that no strategy has, main is one's"):
        workspace(tmp_path, "live.shadows=[{called='main'}]")
