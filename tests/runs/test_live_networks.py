"""A network live: the scores of the walk-forward, bar by bar, for all symbols at once, also while it trains on."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from itb.config import load_config
from itb.errors import ConfigError
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Step
from itb.live.bars.kept import KeptBars
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.run.drifting import Ground
from itb.live.run.lived import Lived
from itb.live.scores.challenging import Challenged, Challengers
from itb.market.bars import Bars
from itb.mlmodels.deep.model import PanelModel, load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.registry import check_model, load_model
from itb.mlmodels.timeline import ModelTimeline
from itb.runs.challenged import duels
from itb.runs.live import Launch, bot_folder, live
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import LiveModels, live_models
from itb.runs.live_panels import networks_home, train_networks
from itb.runs.live_training import BARS_FILE, GROUND_FILE, train_on
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.practice import Rehearsal
from itb.runs.report_live import report_live
from itb.runs.scored import ScoredMarket
from itb.runs.verify_live import verify_live
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

pytest.importorskip("torch", reason="torch is not installed")

SYMBOLS = ("BTC/USDT", "ETH/USDT")
NETWORK = "algorithm='resnet1d', steps=6, blocks=1, filters=4, epochs=1, batch_rows=64, fine_tune_epochs=1"
SETTINGS = (
    "data.timeframe=1m", "data.symbols=['BTC/USDT', 'ETH/USDT']", "synthetic.bars=500",
    "walkforward={train=300, refit_every=40, min_train_rows=50, workers=1}",
    "label={kind='future_return', horizon=4, alias='r'}",
    "strategy={score='r_resnet1d', buy_threshold=0.00001, sell_threshold=-0.00001}", "live.decide_within=60s",
)  # fmt: skip
ALONE = (f"model={{{NETWORK}}}",)
FLAGGED = (*ALONE, "thresholds={policy='rolling_quantile', window=20, high=0.8, low=0.2, refit_every=30}")
STACKED = (
    f"models=[{{algorithm='linear'}}, {{{NETWORK}}}]",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1]}]",
    "stack={algorithm='linear', train=60, refit_every=40, min_train_rows=30}", "strategy.score=r_stack",
)  # fmt: skip
LAUNCH = Launch(is_paper=True, rehearsal=Rehearsal(speed="lockstep", bars=40), bars=32)


class Learned(NamedTuple):
    """What was learned by whom, and the bars of each symbol."""

    place: Workspace
    bars: Mapping[str, Bars]
    models: Mapping[str, LiveModels]


def workspace(project: Path, *more: str) -> Workspace:
    settings = [*SETTINGS, f"runs.root={project / 'runs'}", *more]
    return Workspace(load_config(None, settings, folder=project, environ={}))


def over_all(place: Workspace, symbol: str, until_ms: int) -> ScoredMarket:
    """The walk-forward over all bars before a time."""
    seen = replace(place, window=(0, until_ms), judges_nothing=True)
    return score_columns(seen, load_market(seen, symbol, run_id="1", command="walkforward"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, list[dict[str, Any]]]]:
    """A bot that has lived, with a shadow of another trigger; and what it told."""
    project = tmp_path_factory.mktemp("project")
    place = workspace(project, *ALONE, "live.shadows=[{called='bolder', buy_threshold=-0.9, sell_threshold=-1.0}]")
    try:
        live(place, LAUNCH, lambda _line: None)
        file = bot_folder(place, LAUNCH) / "events.jsonl"
        yield place, [json.loads(line) for line in file.read_text().splitlines()]
    finally:
        end_exchanges(project)


def test_a_bot_says_what_the_walk_forward_over_all_of_its_bars_says(lived) -> None:
    place, events = lived
    ticks = [event for event in events if event["event"] == "TICK"]
    assert len(ticks) == LAUNCH.bars * len(SYMBOLS)
    for symbol in SYMBOLS:
        (walked,) = over_all(place, symbol, ticks[-1]["bar"] + 60_000).walked
        said = dict(zip(walked.table.open_time.tolist(), walked.scores.tolist(), strict=True))
        mine = {tick["bar"]: tick["scores"]["r_resnet1d"] for tick in ticks if tick["symbol"] == symbol}
        assert mine == {time: said[time] for time in mine}
    (kept,) = bot_folder(place, LAUNCH).glob("models/networks-*/models/*/timeline.json")
    refits = [event for event in events if event["event"] == "MODEL" and event["what"] == "refit"]
    assert [refit["symbol"] for refit in refits] == [" ".join(SYMBOLS)]
    timeline = ModelTimeline.load(kept)
    assert timeline.begins_with(walked.timeline)
    assert refits[0]["known_at"] == timeline.entries[-1].known_at
    assert not [event for event in events if event["event"] in {"DEGRADED", "HALTED"}]


def test_shadows_trade_other_triggers_by_the_same_scores(lived) -> None:
    place, events = lived
    fills = {name: [event for event in events if event["event"] == "FILL" and event["account"] == name]
             for name in ("main", "bolder")}  # fmt: skip
    assert {event["symbol"] for event in fills["bolder"]} == set(SYMBOLS)
    assert len(fills["main"]) != len(fills["bolder"])
    (start,) = [event for event in events if event["event"] == "START"]
    assert {name: one["buy_threshold"] for name, one in start["strategies"].items()} == {
        "main": 0.00001,
        "bolder": -0.9,
    }
    bought = [event for event in events if event["event"] == "SIGNAL" and event["side"] == "buy"]
    assert {event["account"] for event in bought} == {"main", "bolder"}
    for event in bought:
        assert event["scores"]["r_resnet1d"] >= start["strategies"][event["account"]]["buy_threshold"]
    report = report_live(place, bot_folder(place, LAUNCH).name)
    assert (report.data["scores_apart"], report.data["differences"]) == (0, [])
    assert report.data["fills"]["same"] == len(fills["main"]) > 0


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """Networks and a stack on them: trained until a bar, then trained on as the child does. Most refits are refused."""
    folder = tmp_path_factory.mktemp("learned")
    gate = "walkforward.promotion={rule='skill_gate', bars=20, demand='better', confidence=0.99}"
    place = workspace(folder, *STACKED, gate)
    bars = {symbol: load_market(place, symbol, run_id="1", command="walkforward").bars for symbol in SYMBOLS}
    until = int(bars["BTC/USDT"].open_time[430])
    models = {symbol: live_models(place, symbol, until, folder / "bot") for symbol in SYMBOLS}
    for stop in (445, 490):
        for symbol, one in models.items():
            kept = KeptBars(one.home / BARS_FILE, symbol, bars[symbol].timeframe, tuple(bars[symbol].columns))
            kept.add(rows_of(bars[symbol].head(stop)))
        train_on(place, {symbol: one.home for symbol, one in models.items()})
    return Learned(place, bars, models)


def test_networks_and_a_stack_on_them_learn_on_as_over_all_bars(learned: Learned, monkeypatch) -> None:
    """The files and scores of one run over all bars."""
    place, bars, models = learned
    monkeypatch.setattr(PanelModel, "scores", lambda *_: pytest.fail("nothing is due, and what was said is kept"))
    train_on(place, {symbol: one.home for symbol, one in models.items()})
    monkeypatch.undo()
    assert set(Ground.load(models["ETH/USDT"].home / GROUND_FILE).usual) == {"log_return", "log_return_lag_1"}
    said = columns_said(models, {symbol: one.head(490) for symbol, one in bars.items()})
    for symbol in SYMBOLS:
        scored = over_all(place, symbol, int(bars[symbol].open_time[490]))
        assert list(said[symbol]) == ["r_linear", "r_resnet1d", "r_stack"]
        for name, values in said[symbol].items():
            expected = scored.scores[name].batch()
            from_here = slice(len(expected) - 60, None)
            np.testing.assert_array_equal(values[from_here], expected[from_here], err_msg=name)
            assert np.isfinite(values[from_here]).all()


def columns_said(models: Mapping[str, LiveModels], bars: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """What desks that begin now say of all bars."""
    windows = {symbol: GrowingBars(one) for symbol, one in bars.items()}
    episodes = Episodes(lambda episode: pytest.fail(episode.text))
    networks = Networks.of(models["BTC/USDT"], windows, episodes)
    desks = {
        symbol: score_desk(one, windows[symbol], networks, episodes, before=None) for symbol, one in models.items()
    }
    return {symbol: {name: desk.column(name) for name in desk.said} for symbol, desk in desks.items()}


def test_a_refused_network_and_a_refused_stack_speak_the_bits_of_their_models(learned: Learned) -> None:
    """One pass of the network's for all symbols; the stack's reads the scores that were spoken."""
    place, bars, models = learned
    windows = {symbol: GrowingBars(one.head(450)) for symbol, one in bars.items()}
    episodes = Episodes(lambda episode: pytest.fail(episode.text))
    networks = Networks.of(models["BTC/USDT"], windows, episodes)
    desks = {one: score_desk(models[one], windows[one], networks, episodes, before=None) for one in SYMBOLS}
    said: dict[tuple[str, str, str], list[Challenged]] = {}

    def hear(symbol: str, column: str, one: Challenged) -> None:
        said.setdefault((symbol, column, one.file), []).append(one)

    beside = Challengers(desks, windows, hear)
    for number in range(450, 454):
        step = Step(0, {symbol: rows_of(one)[number] for symbol, one in bars.items()})
        for symbol, row in step.bars.items():
            windows[symbol].append(row)
        spoken = {symbol: {name: desk.at(name, windows[symbol].open_time[-1]) for name in desk.said}
                  for symbol, desk in desks.items()}  # fmt: skip
        asyncio.run(beside.ask(step))
        for (symbol, name, file), told in said.items():
            expected = own_score(learned, symbol, networks.desks[name].folder / file if name == "r_resnet1d"
                                 else models[symbol].home / "models" / name / file, number, spoken[symbol])  # fmt: skip
            assert told[-1].champion == spoken[symbol][name]
            assert told[-1].score == expected != told[-1].champion
    assert {name for _, name, _ in said} == {"r_linear", "r_resnet1d", "r_stack"}
    assert {len(told) for told in said.values()} == {4}
    graded = duels(place.config, Lived(challenged=said), bars)
    assert {(duel.symbol, duel.column, duel.file): duel.matured for duel in graded} == dict.fromkeys(said, 4)


def own_score(learned: Learned, symbol: str, file: Path, number: int, spoken: Mapping[str, float]) -> float:
    """What the model of a file says of a bar."""
    _, bars, models = learned
    if file.parts[-3] == "r_resnet1d":
        model = load_panel_model(check_model(file)[1], DEEP)
        panel = Panel.of({name: one.head(number + 1) for name, one in bars.items()}, model.part.reading)
        return float(model.scores(panel, range(number, number + 1))[0, SYMBOLS.index(symbol)])
    row = models[symbol].features.tail(bars[symbol].head(number + 1), 1)
    if file.parts[-3] == "r_stack":
        row = np.array([[spoken["r_linear"], spoken["r_resnet1d"]]], dtype=np.float32)
    return float(load_model(file).scores(row)[0])


def test_a_network_abstains_as_over_all_bars_and_waits_for_the_ground_of_every_symbol(tmp_path: Path) -> None:
    place = workspace(tmp_path, *ALONE, "abstain.dissimilarity=0.5")
    bars = {symbol: load_market(place, symbol, run_id="1", command="walkforward").bars for symbol in SYMBOLS}
    times = bars["BTC/USDT"].open_time.tolist()
    models = {symbol: live_models(place, symbol, times[430], tmp_path / "bot") for symbol in SYMBOLS}
    windows = {symbol: GrowingBars(one.head(460)) for symbol, one in bars.items()}
    episodes = Episodes(lambda episode: pytest.fail(episode.text))
    networks = Networks.of(models["BTC/USDT"], windows, episodes)
    (network,) = networks.desks.values()
    desks = {one: score_desk(models[one], windows[one], networks, episodes, before=None) for one in SYMBOLS}
    known = len(network.timeline.entries)
    for symbol, one in models.items():
        kept = KeptBars(one.home / BARS_FILE, symbol, bars[symbol].timeframe, tuple(bars[symbol].columns))
        kept.add(rows_of(bars[symbol].head(466)))
    train_networks(place.config, {symbol: one.head(466) for symbol, one in bars.items()}, network.folder.parents[1], 60)
    for number in range(460, 480):
        for symbol, whole in bars.items():
            windows[symbol].append(rows_of(whole)[number])
        for desk in desks.values():
            desk.at("r_resnet1d", times[number])
        if number == 460:
            assert len(network.timeline.entries) == known  # it is there, what the stages learn with it is not
            train_on(place, {symbol: one.home for symbol, one in models.items()})
        else:
            assert len(network.timeline.entries) == known + 1
    silent = 0
    for symbol, desk in desks.items():
        scored = over_all(place, symbol, times[480])
        assert list(desk.said) == ["r_resnet1d", "r_resnet1d_raw"]
        for name in desk.said:
            np.testing.assert_array_equal(desk.column(name)[400:], scored.scores[name].batch()[400:], err_msg=name)
        silent += int(np.isnan(desk.column("r_resnet1d")[466:]).sum())
    assert 0 < silent < 28


def test_a_network_is_kept_once_for_all_symbols(tmp_path: Path) -> None:
    place = workspace(tmp_path, *ALONE)
    models = {symbol: live_models(place, symbol, None, tmp_path / "bot") for symbol in SYMBOLS}
    (folder,) = {one.columns[0].models.resolve() for one in models.values()}
    assert folder.parent.parent == networks_home(models["BTC/USDT"].home).resolve()
    assert {one.reach for one in models.values()} == {6}
    for symbol, one in models.items():
        assert all(name.startswith(f"{symbol} ") for name in one.features.names)
        assert set(Ground.load(one.home / GROUND_FILE).usual) == set(one.features.names)
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    shutil.rmtree(models["ETH/USDT"].home)
    live_models(place, "ETH/USDT", None, tmp_path / "bot")
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_what_networks_cannot_do_live_is_refused_before_anything_is_learned(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("itb.mlmodels.deep.onnx.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"live\.runtime: the ONNX runtime needs the package onnx,"):
        live_models(workspace(tmp_path, *ALONE, "live.runtime=onnx"), "BTC/USDT", None, tmp_path / "bot")
    assert not (tmp_path / "bot").exists()


@pytest.mark.parametrize("models", [FLAGGED, STACKED], ids=["flags", "stack"])
def test_backtest_paper_and_practice_agree_on_every_bar(tmp_path: Path, models: tuple[str, ...], monkeypatch) -> None:
    monkeypatch.setattr("itb.runs.verify_live._HISTORY", 20)  # far fewer than there are bars before the period
    said = verify_live(workspace(tmp_path, *models, "live.self_check=0"), days=0.04)
    assert not said.found
    for told in said.data["symbols"].values():
        assert told["equal"]
        assert told["scores"]["apart"] == 0
        assert told["scores"]["compared"] == told["bars"] * 3 > 0  # network and two flags, or two models and a stack
