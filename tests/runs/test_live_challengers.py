"""Refits that were not promoted compute beside the models that speak, and change nothing."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.config import load_config, parts
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Step
from itb.live.episodes import Episode, Episodes
from itb.live.host.growing import GrowingBars
from itb.live.scores.challenging import Challenged, Challengers
from itb.mlmodels.registry import check_model, load_model
from itb.mlmodels.timeline import ModelTimeline
from itb.runs.live import Launch, bot_folder, live
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import LiveModels, models_of
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.practice import Rehearsal
from itb.runs.report_live import report_live
from itb.runs.said import Said
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

BTC = "BTC/USDT"
SETTINGS = (
    "data.timeframe=1m", "synthetic.bars=1000", "model.algorithm=logistic",
    "walkforward={train=600, refit_every=30, min_train_rows=50, workers=1}",
    "walkforward.promotion={rule='skill_gate', bars=40, demand='better'}",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "strategy.buy_threshold=0.51", "strategy.sell_threshold=0.5",
)  # fmt: skip
BARS = 30  # two refits are refused, one of them in its life
LAUNCH = Launch(is_paper=True, rehearsal=Rehearsal(speed="lockstep", bars=80), bars=BARS)


def workspace(project: Path, *more: str) -> Workspace:
    return Workspace(load_config(None, [*SETTINGS, f"runs.root={project / 'runs'}", *more], folder=project, environ={}))


def told_by(place: Workspace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bot_folder(place, LAUNCH) / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, tuple[Workspace, Said]]]:
    """The same life with challengers and without."""
    found = {}
    projects = []
    try:
        for is_on in (True, False):
            projects.append(tmp_path_factory.mktemp("project"))
            place = workspace(projects[-1], f"live.challengers={str(is_on).lower()}")
            found[is_on] = place, live(place, LAUNCH, lambda _line: None)
        yield found
    finally:
        for project in projects:
            end_exchanges(project)


def test_scores_and_orders_are_the_same_with_and_without(lives: dict[bool, tuple[Workspace, Said]]) -> None:
    kept = ("bar", "symbol", "scores", "close", "step", "side", "kind", "qty", "price", "phase", "fee")
    seen = {}
    for is_on, (place, _) in lives.items():
        events = [event for event in told_by(place) if event["event"] in {"TICK", "ORDER", "FILL", "SIGNAL"}]
        seen[is_on] = [tuple(json.dumps(event.get(name)) for name in ("event", *kept)) for event in events]
        assert sum(event["event"] == "TICK" for event in events) == BARS
        assert sum(event["event"] == "FILL" for event in events) > 2
    assert seen[True] == seen[False]
    assert not [event for event in told_by(lives[False][0]) if event["event"] == "CHALLENGER"]


def test_a_challenger_speaks_the_bits_of_its_own_model(lives: dict[bool, tuple[Workspace, Said]]) -> None:
    place, said = lives[True]
    events = told_by(place)
    (kept,) = bot_folder(place, LAUNCH).glob("models/*/models/*/timeline.json")
    timeline = ModelTimeline.load(kept)
    bars = load_market(place, BTC, run_id="1", command="walkforward").bars
    features = parts.feature_set(place.config, tuple(bars.columns))
    rows = features.tail(bars, len(bars))
    told = {event["bar"]: event for event in events if event["event"] == "CHALLENGER"}
    ticks = {event["bar"]: event for event in events if event["event"] == "TICK"}
    refused = 0
    for time, tick in ticks.items():
        known = [one for one in timeline.entries if one.speaks_from <= time and one.file]
        if known[-1].promoted:
            assert time not in told
            continue
        refused += 1
        row = int(bars.open_time.searchsorted(time))
        score = float(load_model(kept.parent / known[-1].file).scores(rows[row : row + 1])[0])
        assert told[time]["file"] == known[-1].file
        assert told[time]["scores"] == {"challenger": score, "champion": tick["scores"]["up_logistic"]}
        assert score != tick["scores"]["up_logistic"]
    assert refused == len(told) == BARS
    assert len({event["file"] for event in told.values()}) == 2
    (line,) = said.data["status"]["models"]
    newest = [event["scores"] for event in told.values() if event["file"] == timeline.entries[-1].file]
    apart = [abs(one["challenger"] - one["champion"]) for one in newest]
    assert line["challenger_at"] == timeline.entries[-1].known_at
    assert line["challenger_bars"] == len(apart)
    assert line["challenger_distance"] == pytest.approx(sum(apart) / len(apart), rel=1e-12)


def test_the_report_grades_both_by_the_labels_that_have_matured(lives: dict[bool, tuple[Workspace, Said]]) -> None:
    place, _ = lives[True]
    bars = load_market(place, BTC, run_id="1", command="walkforward").bars
    report = report_live(place, bot_folder(place, LAUNCH).name)
    told = [event for event in told_by(place) if event["event"] == "CHALLENGER"]
    last = max(event["bar"] for event in told_by(place) if event["event"] == "TICK")
    assert report.data["challengers"]
    for duel in report.data["challengers"]:
        sums = {"challenger": [0.0, 0], "champion": [0.0, 0]}
        matured = 0
        for event in told:
            row = int(bars.open_time.searchsorted(event["bar"]))
            if event["file"] != duel["file"] or bars.open_time[min(row + 6, len(bars) - 1)] > last:
                continue
            matured += 1
            rises = bool(bars.close[row + 6] > bars.close[row])
            for who, score in event["scores"].items():
                sums[who][0] -= math.log(score if rises else 1 - score)
                sums[who][1] += (score >= 0.5) == rises
        assert (duel["matured"], duel["is_classifier"]) == (matured, True)
        if matured:
            assert duel["loss"] == pytest.approx(sums["challenger"][0] / matured, rel=1e-9)
            assert duel["champion_loss"] == pytest.approx(sums["champion"][0] / matured, rel=1e-9)
            assert duel["rate"] == pytest.approx(sums["challenger"][1] / matured)
            assert duel["champion_rate"] == pytest.approx(sums["champion"][1] / matured)
    assert all(duel["matured"] > 10 for duel in report.data["challengers"])
    assert "Challenger BTC/USDT up_logistic" in str(report.lines)


def test_a_damaged_challenger_costs_only_itself(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    market = load_market(place, BTC, run_id="1", command="walkforward")
    models = models_of(score_columns(place, market), place.config, tmp_path / "models")
    (kept,) = (tmp_path / "models").glob("models/*/timeline.json")
    bars, entries = market.bars, ModelTimeline.load(kept).entries
    loser = next(place for place, one in enumerate(entries) if place and not one.promoted and one.file)
    warm = int(bars.open_time.searchsorted(entries[loser].speaks_from))
    whole, champion, _ = _played(models, market.bars, warm)
    assert all(np.isfinite(one.score) for one in whole)
    assert {one.file for one in whole} == {entries[loser].file}
    payload = check_model(kept.parent / entries[loser].file)[0].file
    (kept.parent / entries[loser].file).with_name(payload).write_bytes(b"?")
    harmed, same, heard = _played(models, market.bars, warm)
    assert [one.champion for one in harmed] == [one.champion for one in whole] == champion == same
    assert all(np.isnan(one.score) for one in harmed)
    (episode,) = heard
    assert episode.key == "up_logistic: challenger"


def test_a_challenger_ends_where_the_next_refit_is_promoted(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    market = load_market(place, BTC, run_id="1", command="walkforward")
    models = models_of(score_columns(place, market), place.config, tmp_path / "models")
    (kept,) = (tmp_path / "models").glob("models/*/timeline.json")
    entries = ModelTimeline.load(kept).entries
    winner = next(place for place, one in enumerate(entries) if place and one.promoted)
    warm = int(market.bars.open_time.searchsorted(entries[winner].speaks_from)) - 4
    said, _, _ = _played(models, market.bars, warm)
    assert [one.file for one in said] == [entries[winner - 1].file] * 4


def _played(models: LiveModels, bars: Any, warm: int) -> tuple[list[Challenged], list[float], list[Episode]]:
    """Ten bars beside a desk: what was said of each, what the desk said, what was told."""
    window = GrowingBars(bars.slice(warm - 200, warm))
    heard: list[Episode] = []
    said: list[Challenged] = []
    desk = score_desk(models, window, Networks({}), Episodes(heard.append), before=None)
    beside = Challengers({BTC: desk}, {BTC: window}, lambda _s, _c, one: said.append(one))
    spoken = []
    for row in rows_of(bars)[warm : warm + 10]:
        window.append(row)
        spoken.append(desk.at("up_logistic", row.open_time))
        asyncio.run(beside.ask(Step(row.open_time, {BTC: row})))
    return said, spoken, heard
