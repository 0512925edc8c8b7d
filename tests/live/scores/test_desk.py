"""Scores live against scores of the batch, on models that a walk-forward left behind."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ModelError
from itb.indicators.bar_features import BarSeries
from itb.indicators.feature_set import FeatureSet
from itb.indicators.rolling_stats import RollingStats
from itb.indicators.score import ScoreSource
from itb.live.bars.bar import rows_of
from itb.live.episodes import Episode, Episodes
from itb.live.host.growing import GrowingBars
from itb.live.scores.desk import Derived, ScoreDesk
from itb.live.scores.speaking import ColumnFiles, SpeakingColumn
from itb.market.bars import Bars
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.labels import LabelColumn
from itb.mlmodels.registry import load_model
from itb.mlmodels.result import WalkForwardResult
from itb.mlmodels.stages.abstention import Abstention
from itb.mlmodels.stages.calibration import Calibration
from itb.mlmodels.stages.column import ScoreColumn
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry
from itb.mlmodels.walkforward import WalkForward

FEATURES = FeatureSet((BarSeries(("log_return",)), RollingStats(("zscore", "std"), (10, 24), ("close",))))
WARM = 450


@dataclasses.dataclass
class Trained:
    bars: Bars
    walked: WalkForwardResult
    stages: Path
    staged: ScoreColumn


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Walk forward over hours, abstain and calibrate, all kept in files."""
    folder = tmp_path_factory.mktemp("models")
    bars = SyntheticMarket(700, seed=3).bars()["BTC/USDT"]
    labels = np.zeros(len(bars))
    labels[:-3] = bars.close[3:] > bars.close[:-3]
    table = TrainingTable(
        features=FEATURES.compute(bars),
        feature_names=FEATURES.names,
        label=LabelColumn.after(labels, 3),
        label_name="up",
        is_binary=True,
        open_time=bars.open_time,
        timeframe=bars.timeframe,
    )
    walk = WalkForward(mode="sliding", train_bars=250, refit_every=100, min_train_rows=50)
    walked = walk.run(table, LightGbm(rounds=12), folder, column="up_lightgbm")
    stages = folder / "stages"
    silenced, _ = Abstention(0.3, most_rows=200).keep(walked, ScoreColumn.of(walked), stages)
    staged, _ = Calibration("platt", min_rows=50).keep(silenced, stages)
    return Trained(bars, walked, stages, staged)


class Desk:
    """A desk on a copy of the files, fed bar by bar."""

    def __init__(
        self, trained: Trained, folder: Path, warm: int = WARM, *, staged: bool = False, **more: object
    ) -> None:
        self.models = folder / "models"
        shutil.copytree(trained.walked.folder, self.models)
        if staged:
            shutil.copytree(trained.stages, folder / "stages")
        entries = more.pop("entries", None)
        if entries is not None:
            self._cut(int(str(entries)))
        self.told: list[Episode] = []
        self.bars = trained.bars
        episodes = Episodes(self.told.append)
        expires = int(str(more.pop("expires_after_ms", 0)))
        files = ColumnFiles(self.models, folder / "stages" if staged else None, expires_after_ms=expires)
        self.column = SpeakingColumn(files, FEATURES.names, episodes)
        self.growing = GrowingBars(trained.bars.head(warm))
        features = more.pop("features", FEATURES)
        self.desk = ScoreDesk(self.growing, features, (self.column,), episodes=episodes, **more)  # type: ignore[arg-type]  # settings by name
        self.source = self.desk.sources["up_lightgbm"]
        self._rows: Iterator = iter(rows_of(trained.bars)[warm:])

    def _cut(self, entries: int) -> None:
        """Let the timeline end after so many refits."""
        path = self.models / "timeline.json"
        timeline = ModelTimeline.load(path)
        path.unlink()
        dataclasses.replace(timeline, entries=timeline.entries[:entries]).save(path)

    def step(self, count: int = 1) -> list[float]:
        found = []
        for _ in range(count):
            row = next(self._rows)
            self.growing.append(row)
            found.append(self.source.at(row.open_time))
        return found

    def begun(self) -> list[str]:
        return [told.key for told in self.told if not told.is_over]


def test_live_scores_are_those_of_the_walk_forward_bit_for_bit(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path)
    live.step(len(trained.bars) - WARM)
    assert np.isfinite(trained.walked.scores[WARM:]).all()
    np.testing.assert_array_equal(live.source.batch(), trained.walked.scores)
    assert isinstance(live.source, ScoreSource)
    assert live.told == []


def test_abstention_and_calibration_are_passed_as_in_the_run(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path, staged=True)
    live.step(len(trained.bars) - WARM)
    told = np.isfinite(trained.staged.scores[WARM:])
    assert 0.2 < told.mean() < 1
    np.testing.assert_array_equal(live.source.batch(), trained.staged.scores)


def test_every_bar_checks_what_was_said_of_the_one_before(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path, check=2)
    live.step(60)
    assert live.desk.check.checked == 120
    assert set(live.desk.check.counts) <= {"same", "feature rounding"}


def test_a_bar_that_changed_after_it_was_scored_is_found_and_named(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path)
    live.step(5)
    live.growing._values[3, len(live.growing) - 1] *= 1.05  # the exchange revised its close
    live.step(1)
    assert live.begun() == ["up_lightgbm: self-check"]
    assert "(cause: features)" in live.told[0].text
    assert live.desk.check.counts["features"] == 1


def test_scores_of_earlier_bars_stay_as_they_were_said(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path)
    said = live.step(10)
    times = trained.bars.open_time[WARM : WARM + 10].tolist()
    assert [live.source.at(time) for time in times] == said
    assert np.isnan(live.source.at(int(trained.bars.open_time[WARM + 20])))


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["missing", "altered"])
def test_a_model_file_that_is_missing_or_altered_gives_no_score_and_is_told_once(
    trained: Trained, tmp_path: Path, how: str
) -> None:
    live = Desk(trained, tmp_path, warm=400, check=0)
    live.step(1)
    later = [entry for entry in live.column.timeline.entries if entry.speaks_from > trained.bars.open_time[401]]
    for path in (
        (live.models / "models").glob("*.txt") if (live.models / "models").is_dir() else live.models.rglob("*.txt")
    ):
        path.unlink() if how == "missing" else damage(path)
    assert later
    count = int(np.searchsorted(trained.bars.open_time, later[0].speaks_from)) - 401
    scores = live.step(count + 20)
    assert np.isfinite(scores[:count]).all()  # the model in memory speaks on
    assert np.isnan(scores[count:]).all()
    assert live.begun() == ["up_lightgbm: model"]
    with pytest.raises(ModelError):
        live.column.check()


def test_features_that_fail_give_no_score_and_are_told_once_and_the_end_too(trained: Trained, tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Failing:
        def __getattr__(self, name: str) -> object:
            return getattr(FEATURES, name)

        def tail(self, bars: Bars, n: int) -> object:
            if trained.bars.open_time[WARM + 3] <= bars.open_time[-1] <= trained.bars.open_time[WARM + 5]:
                raise ZeroDivisionError("a feature of mine")
            return FEATURES.tail(bars, n)

    live = Desk(trained, tmp_path, features=Failing(), check=0)
    scores = live.step(9)
    assert np.isnan(scores).tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert [(told.key, told.is_over) for told in live.told if told.key == "features"] == [
        ("features", False),
        ("features", True),
    ]


def continued(live: Desk, trained: Trained, speaks_from: int) -> TimelineEntry:
    """Append the fourth refit to the timeline in use."""
    timeline = ModelTimeline.load(live.models / "timeline.json")
    entry = dataclasses.replace(trained.walked.timeline.entries[3], speaks_from=speaks_from, reason="appended")
    timeline.appended(entry).save(live.models / "timeline.json")
    return entry


def test_a_refit_that_is_appended_speaks_from_its_bar_on(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path, warm=600, entries=3)
    live.step(20)
    entry = continued(live, trained, int(trained.bars.open_time[630]))
    live.step(20)
    rows = FEATURES.compute(trained.bars)
    got = live.source.batch()
    for place, part in ((2, slice(620, 630)), (3, slice(630, 640))):
        model = load_model(live.models / trained.walked.timeline.entries[place].file)
        np.testing.assert_array_equal(got[part], model.scores(rows[part]))
    assert not np.array_equal(got[620:630], trained.walked.scores[620:630])
    assert (live.column.late, live.told) == ([], [])
    assert live.column.timeline.entries[-1] == entry


def test_a_refit_that_comes_too_late_is_a_named_cause(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path, warm=600, entries=3)
    live.step(30)
    continued(live, trained, int(trained.bars.open_time[625]))
    live.step(2)
    (late,) = live.column.late
    assert (late.speaks_from, late.bars) == (int(trained.bars.open_time[625]), 5)
    assert live.begun() == ["up_lightgbm: late"]
    assert live.desk.check.counts["late model"] == 1


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_timeline_that_is_not_whole_is_told_and_the_old_one_speaks_on(
    trained: Trained, tmp_path: Path, text: str
) -> None:
    live = Desk(trained, tmp_path, warm=600)
    live.step(3)
    (live.models / "timeline.json").write_text(text)
    scores = live.step(10)
    np.testing.assert_array_equal(scores, trained.walked.scores[603:613])
    assert live.begun() == ["up_lightgbm: refresh"]


def test_a_timeline_that_does_not_continue_the_known_one_is_left_alone(trained: Trained, tmp_path: Path) -> None:
    live = Desk(trained, tmp_path, warm=600)
    timeline = ModelTimeline.load(live.models / "timeline.json")
    (live.models / "timeline.json").unlink()
    dataclasses.replace(timeline, entries=timeline.entries[:1]).save(live.models / "timeline.json")
    np.testing.assert_array_equal(live.step(5), trained.walked.scores[600:605])
    assert "does not continue" in live.told[0].text


def test_a_model_that_has_expired_says_nothing(trained: Trained, tmp_path: Path) -> None:
    bar_ms = trained.bars.timeframe.ms
    live = Desk(trained, tmp_path, warm=400, check=0, expires_after_ms=50 * bar_ms)
    scores = live.step(200)
    fitted = np.array([live.column.entry_at(int(t)).known_at for t in trained.bars.open_time[400:600]])  # type: ignore[union-attr]
    old = trained.bars.open_time[400:600] - fitted > 50 * bar_ms
    assert 0 < old.mean() < 1
    np.testing.assert_array_equal(np.isnan(scores), old)
    assert "expired" in live.told[0].key


def test_other_features_than_those_learned_from_stop_the_start(trained: Trained) -> None:
    with pytest.raises(ModelError, match="restore the features"):
        SpeakingColumn(ColumnFiles(trained.walked.folder), ("other",), Episodes(lambda _one: None))


def test_signals_follow_from_scores_as_in_the_batch(trained: Trained, tmp_path: Path) -> None:
    def smooth(columns: object) -> dict[str, np.ndarray]:
        values = columns["up_lightgbm"]  # type: ignore[index]
        found = np.full(len(values), np.nan)
        for i in range(3, len(values)):
            found[i] = values[i - 3 : i + 1].mean()
        return {"smooth": found}

    signal = Derived(("smooth",), ("up_lightgbm",), 3, ((0.0, 1.0),), smooth)
    live = Desk(trained, tmp_path, derived=(signal,))
    live.step(50)
    expected = smooth({"up_lightgbm": trained.walked.scores[: WARM + 50]})["smooth"]
    np.testing.assert_array_equal(live.desk.sources["smooth"].batch(), expected)


def test_a_bar_counts_as_scored_once_every_column_has_it(trained: Trained, tmp_path: Path) -> None:
    """Else a strategy on another thread reads a column that is not there yet."""
    begun: list[Desk] = []
    seen: list[tuple[int, int]] = []

    def look(columns: object) -> dict[str, np.ndarray]:
        seen.extend((one.desk.scored, len(one.desk.said["up_lightgbm"])) for one in begun)
        return {"flag": np.zeros(len(columns["up_lightgbm"]))}  # type: ignore[index]

    begun.append(Desk(trained, tmp_path, derived=(Derived(("flag",), ("up_lightgbm",), 0, ((0.0, 1.0),), look),)))
    begun[0].step(3)
    assert seen == [(WARM + i, WARM + i + 1) for i in range(3)]
    assert begun[0].desk.scored == WARM + 3


def test_a_signal_that_raises_costs_its_own_column_only(trained: Trained, tmp_path: Path) -> None:
    def fragile(columns: object) -> dict[str, np.ndarray]:
        if len(columns["up_lightgbm"]) == 1:  # type: ignore[index]
            raise ZeroDivisionError
        return {"flag": np.zeros(len(columns["up_lightgbm"]))}  # type: ignore[index]

    live = Desk(trained, tmp_path, derived=(Derived(("flag",), ("up_lightgbm",), 0, ((0.0, 1.0),), fragile),))
    assert np.isfinite(live.step(5)).all()
    assert np.isnan(live.desk.column("flag")[WARM:]).all()
    assert live.begun() == ["flag: derived"]
