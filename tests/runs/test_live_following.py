"""Every column that a config asks for is spoken live, bar by bar, with the bits of one run over all bars."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from itb.config import load_config
from itb.errors import ModelError
from itb.live.bars.bar import rows_of
from itb.live.bars.kept import KeptBars
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.scores.desk import ScoreDesk
from itb.live.scores.following import FollowingIntervals, Outcome
from itb.market.bars import Bars
from itb.mlmodels.labels import LabelColumn
from itb.runs.live_desks import Networks, score_desk
from itb.runs.live_models import LiveModels, live_models
from itb.runs.live_training import BARS_FILE, train_on
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.scored import ScoredMarket
from itb.runs.workspace import Workspace

SMALL = (
    "data.timeframe=1m", "synthetic.bars=1000", "synthetic.information_coefficient=0.4",
    "walkforward={train=400, refit_every=120, min_train_rows=50, workers=1}",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
)  # fmt: skip
RISE = ("labels=[{horizon=6, threshold=0.0, alias='up'}, {horizon=4, alias='ahead'}]",)
TWO = (*RISE, "models=[{algorithm='logistic', labels=['up']}, {algorithm='linear', labels=['ahead']}]")
CLASSES = ("label={kind='gradient', window=12, gain=0.001, alias='turn'}", "model={algorithm='logistic'}")
BARRIER = "label={kind='triple_barrier', horizon=8, up=1.0, down=1.0, volatility_window=30, cusum=0.0005, alias='hit'}"
STACK = "stack={algorithm='logistic', train=100, refit_every=100, min_train_rows=40}"
CONFIGS = {
    "adaptive intervals, calibration, flags of a stack": (
        *TWO, STACK, "calibration={method='platt', min_rows=40}", "conformal={method='adaptive', min_rows=20}",
        "thresholds={policy='sweep', cost=0.0, column='up_stack', horizon=5, refit_every=70}",
    ),
    "split intervals, abstention, flags by a quantile": (
        *TWO, "abstain={dissimilarity=1.5, most_rows=50}", "conformal={method='split', min_rows=20, window=60}",
        "thresholds={policy='rolling_quantile', window=60, high=0.8, low=0.2, refit_every=90, lookback=200}",
        "thresholds.column=ahead_linear",
    ),
    "chances of classes, silenced": (*CLASSES, "abstain={dissimilarity=1.5, most_rows=50}"),
    "intervals of a label that looks back without end": (
        BARRIER, "model={algorithm='linear'}", "conformal={method='adaptive', min_rows=20}",
    ),
    "signals on intervals, raw scores and flags": (
        *TWO, "calibration={method='platt', min_rows=40}", "conformal={method='split', min_rows=20}",
        "thresholds={policy='sweep', cost=0.0, column='up_logistic', refit_every=80}",
        "signals=[{kind='smoothen', columns=['up_logistic_raw', 'ahead_linear_low'], window=3, names='calm'}]",
    ),
}  # fmt: skip
WARM, STEPS, KEPT = 700, 200, 500


def workspace(project: Path, *more: str) -> Workspace:
    settings = [*SMALL, f"runs.root={project / 'runs'}", *more]
    return Workspace(load_config(None, settings, folder=project, environ={}))


def desk_on(models: LiveModels, bars: Bars, first: int, stop: int, told: list[str]) -> tuple[GrowingBars, ScoreDesk]:
    """A desk as a bot begins it at bar ``stop``, with a history from ``first`` on."""
    episodes = Episodes(lambda episode: told.append(episode.text))
    window = GrowingBars(bars.slice(first, stop))
    return window, score_desk(models, window, Networks({}), episodes, before=bars.head(stop), check=1)


def over_all(place: Workspace, bars: Bars) -> ScoredMarket:
    """The run over all bars until the last one that a desk is given."""
    seen = replace(place, window=(0, int(bars.close_time[WARM + STEPS - 1])), judges_nothing=True)
    return score_columns(seen, load_market(seen, "BTC/USDT", run_id="1", command="walkforward"))


def trained_on(place: Workspace, models: LiveModels, bars: Bars) -> None:
    """Train as the child of a bot does that was given these bars."""
    kept = KeptBars(models.home / BARS_FILE, bars.symbol, bars.timeframe, tuple(bars.columns))
    kept.add(rows_of(bars))
    train_on(place, {"BTC/USDT": models.home})


@pytest.mark.parametrize("settings", CONFIGS.values(), ids=CONFIGS)
def test_every_column_is_spoken_as_over_all_bars(tmp_path: Path, settings: tuple[str, ...]) -> None:
    place = workspace(tmp_path, *settings)
    bars = load_market(place, "BTC/USDT", run_id="1", command="walkforward").bars
    scored = over_all(place, bars)
    begins = {entry.speaks_from for walked in scored.walked for entry in walked.timeline.entries}
    models = live_models(place, "BTC/USDT", int(bars.open_time[WARM]), tmp_path / "bot")
    told: list[str] = []
    window, desk = desk_on(models, bars, KEPT, WARM, told)
    for stop, row in enumerate(rows_of(bars)[WARM : WARM + STEPS], start=WARM):
        if row.open_time in begins:
            trained_on(place, models, bars.head(stop))
        window.append(row)
        desk.at(next(iter(desk.said)), row.open_time)
    assert set(desk.said) == set(scored.scores)
    moves = {}
    for name, source in scored.scores.items():
        said = desk.column(name)[-STEPS:]
        np.testing.assert_array_equal(said, source.batch()[-STEPS:], err_msg=name)
        assert (source.low, source.high) == (desk.sources[name].low, desk.sources[name].high), name
        moves[name] = len(np.unique(said[np.isfinite(said)])) > 1
    assert all(has_moved for name, has_moved in moves.items() if not name.endswith(("_buy", "_sell"))), moves
    assert any(has_moved for name, has_moved in moves.items() if name.endswith("_buy")) == ("_buy" in str(moves)), moves
    assert [text for text in told if "inputs have no number" not in text] == []


def test_a_bot_that_starts_again_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Its history begins late, its tapes end early: what lies between is scored again."""
    place = workspace(tmp_path, *CONFIGS["split intervals, abstention, flags by a quantile"], "live.retrain=false")
    bars = load_market(place, "BTC/USDT", run_id="1", command="walkforward").bars
    models = live_models(place, "BTC/USDT", int(bars.open_time[WARM]), tmp_path / "bot")
    stop = WARM + 100
    first = WARM - models.features.warmup - 1
    _, ahead = desk_on(models, bars, first, stop, [])
    window, behind = desk_on(models, bars, first, WARM, [])
    for row in rows_of(bars)[WARM:stop]:
        window.append(row)
        behind.at("ahead_linear", row.open_time)
    for name in ahead.said:
        np.testing.assert_array_equal(ahead.column(name)[-100:], behind.column(name)[-100:], err_msg=name)


def test_scores_without_their_bars_stop_a_start(tmp_path: Path) -> None:
    place = workspace(tmp_path, *TWO, "conformal={method='split'}")
    bars = load_market(place, "BTC/USDT", run_id="1", command="walkforward").bars
    models = live_models(place, "BTC/USDT", int(bars.open_time[WARM]), tmp_path / "bot")
    window = GrowingBars(bars.slice(650, WARM))
    with pytest.raises(ModelError, match="ahead_linear: 650 bars that it was scored on are not there any more"):
        score_desk(models, window, Networks({}), Episodes(print), before=None)


def test_an_altered_tape_is_refused(tmp_path: Path) -> None:
    place = workspace(tmp_path, *TWO, "conformal={method='split'}")
    models = live_models(place, "BTC/USDT", None, tmp_path / "bot")
    (path,) = models.home.rglob("tape")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="tape: the scores were altered"):
        live_models(place, "BTC/USDT", None, tmp_path / "bot")


def test_a_label_that_raises_costs_its_own_columns_only(tmp_path: Path) -> None:
    place = workspace(tmp_path, *TWO, "conformal={method='split', min_rows=20}")
    bars = load_market(place, "BTC/USDT", run_id="1", command="walkforward").bars
    models = live_models(place, "BTC/USDT", int(bars.open_time[WARM]), tmp_path / "bot")
    told: list[str] = []
    window, desk = desk_on(models, bars, KEPT, WARM, told)
    (follower,) = desk._followers
    assert isinstance(follower, FollowingIntervals)
    whole = follower._outcome

    def fails(_bars: Bars) -> LabelColumn:
        raise ZeroDivisionError("a label of mine")

    broken = Outcome(fails)
    rows = rows_of(bars)
    for stop in range(WARM, WARM + 30):
        follower._outcome = broken if 5 <= stop - WARM < 9 else whole
        window.append(rows[stop])
        desk.at("ahead_linear", rows[stop].open_time)
    silent = np.isnan(desk.column("ahead_linear_low")[-30:])
    assert silent.tolist() == [5 <= place < 9 for place in range(30)]
    assert np.isfinite(desk.column("ahead_linear")[-30:]).all()
    assert told == ["ahead_linear_low, ahead_linear_high: ZeroDivisionError: a label of mine"] * 2
