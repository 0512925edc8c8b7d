"""Features, labels, one model and the walk-forward as single steps: what is written, told, registered and refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.config import parts
from itb.errors import BarsError, ConfigError, ModelError, StrategyError
from itb.indicators.feature_set import FEATURES
from itb.mlmodels.registry import load_model
from itb.mlmodels.timeline import ModelTimeline
from itb.runs.market import load_bars
from itb.runs.steps import walk_forward, write_features, write_labels
from itb.runs.train import train

HOUR = 3_600_000


def read(path):
    """Columns of a Parquet file; times as UTC milliseconds, -1 where there is none."""
    table = pq.read_table(path)
    columns = {}
    for name in table.column_names:
        column = table[name]
        is_time = str(column.type).startswith("timestamp")
        columns[name] = np.array(column.cast("int64").fill_null(-1) if is_time else column.to_numpy())
    return columns


# -- features


def test_features_are_written_as_the_model_sees_them(workspace, tmp_path):
    place = workspace()
    (told,) = write_features(place).data["features"]
    bars = load_bars(place, "BTC/USDT")
    features = parts.feature_set(place.config)
    found = read(tmp_path / "runs" / "features" / "BTC_USDT-1h.parquet")
    assert list(found) == ["timestamp", *features.names]
    np.testing.assert_array_equal(found.pop("timestamp"), bars.open_time)
    np.testing.assert_array_equal(np.column_stack(list(found.values())), features.compute(bars))
    assert {column.dtype for column in found.values()} == {np.dtype(np.float32)}
    assert (told["warmup"], told["nan_share"], told["bars"]) == (features.warmup, 0.0, 600)


def test_a_person_reads_what_was_made_of_which_bars_and_where_it_is(workspace, tmp_path):
    what, where = write_features(workspace()).lines
    assert what == (
        "BTC/USDT 1h (synthetic): 3 features of 600 bars from 2023-01-01 00:00 UTC to 2023-01-25 23:00 UTC, "
        "warm-up 3 bars, 0.00 % empty after it"
    )
    assert where == f"  written to {tmp_path}/runs/features/BTC_USDT-1h.parquet"


def test_where_bars_only_grew_earlier_refits_are_taken_over(workspace, tmp_path):
    walk_forward(workspace("data.to=2023-01-22"))
    (grown,) = walk_forward(workspace()).data["walkforward"]
    assert (grown["refits"], grown["fitted_now"]) == (3, 1)


def test_a_range_that_ends_before_the_hold_out_is_fine_and_never_opens_it(workspace):
    early = ("data.holdout_from=2023-01-20", "data.to=2023-01-18")
    (told,) = train(workspace(*early)).data["models"]
    assert told["known_at"] == "2023-01-17 23:00 UTC"
    opened = workspace(*early, include_holdout=True)
    assert not write_features(opened).data["features"][0]["holdout_seen"]
    assert opened.register.holdout_openings() == []


def test_research_stops_before_the_hold_out_and_looking_beyond_is_recorded(workspace):
    sealed = workspace("data.holdout_from=2023-01-20")
    (told,) = write_features(sealed).data["features"]
    assert (told["last_bar"], told["holdout_seen"]) == ("2023-01-19 23:00 UTC", False)
    assert sealed.register.holdout_openings() == []
    opened = workspace("data.holdout_from=2023-01-20", include_holdout=True)
    (told,) = write_features(opened).data["features"]
    assert (told["last_bar"], told["holdout_seen"]) == ("2023-01-25 23:00 UTC", True)
    assert [opening.command for opening in opened.register.holdout_openings()] == ["features"]


def test_several_symbols_are_several_files(workspace, tmp_path):
    place = workspace('data.symbols=["BTC/USDT", "ETH/USDT"]')
    write_labels(place, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["BTC_USDT-1h.parquet", "ETH_USDT-1h.parquet"]


def test_one_symbol_can_go_to_a_file_that_a_person_names(workspace, tmp_path):
    said = write_labels(workspace(), tmp_path / "deep" / "y.parquet")
    assert (tmp_path / "deep" / "y.parquet").is_file()
    assert said.lines[-1] == f"  written to {tmp_path}/deep/y.parquet"


def test_several_symbols_do_not_fit_into_one_file(workspace, tmp_path):
    with pytest.raises(ConfigError, match=r"y\.parquet is one file for 2 symbols; name a folder"):
        write_labels(workspace('data.symbols=["BTC/USDT", "ETH/USDT"]'), tmp_path / "y.parquet")


def test_a_file_that_is_there_and_made_of_the_same_is_not_made_again(workspace, tmp_path):
    first = write_features(workspace())
    path = tmp_path / "runs" / "features" / "BTC_USDT-1h.parquet"
    before = path.stat().st_mtime_ns
    again = write_features(workspace())
    assert path.stat().st_mtime_ns == before
    assert again.lines == (first.lines[0], f"  already in {path}")
    assert {**again.data["features"][0], "is_new": True, "run": ""} == {**first.data["features"][0], "run": ""}


@pytest.mark.parametrize("setting", ["synthetic.seed=8", "features=[{family='series', inputs=['body']}]"])
def test_other_bars_or_other_features_make_another_file(workspace, setting):
    write_features(workspace())
    (told,) = write_features(workspace(setting)).data["features"]
    assert told["is_new"]


def test_a_torn_file_is_made_again(workspace, tmp_path):
    write_features(workspace())
    path = tmp_path / "runs" / "features" / "BTC_USDT-1h.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (told,) = write_features(workspace()).data["features"]
    assert told["is_new"]
    assert path.read_bytes() == whole


def test_a_file_says_what_it_is_made_of(workspace, tmp_path):
    write_labels(workspace())
    kept = json.loads(pq.read_metadata(tmp_path / "runs" / "labels" / "BTC_USDT-1h.parquet").metadata[b"itb"])
    assert kept["facts"]["is_synthetic"]
    assert kept["facts"]["labels"][0]["label"] == "up_6_0bps"
    assert len(kept["made_of"]) == 64


def test_a_place_that_cannot_be_written_is_one_clear_error(workspace, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/x\.parquet: cannot be written: .*; name another place with --out"):
        write_features(workspace(), tmp_path / "file" / "x.parquet")


def test_labels_and_features_ask_no_model_whether_it_can_learn_them(workspace):
    numbers = "label={kind='triple_barrier', up=0.02, down=0.02, horizon=4}"
    with pytest.raises(ConfigError, match="needs a label of 0 and 1"):
        walk_forward(workspace(numbers))
    assert "596 known, mean" in write_labels(workspace(numbers)).lines[0]
    assert "3 features of 600 bars" in write_features(workspace(numbers)).lines[0]


def test_two_labels_of_one_name_cannot_be_written(several):
    with pytest.raises(ConfigError, match="is there twice; each label needs a name of its own"):
        write_labels(several("labels=[{horizon=3}, {horizon=3}]"))


def test_a_file_shorter_than_the_warm_up_is_written_and_told(workspace):
    features = "features=[{family='talib', functions=['SMA', 'EMA'], windows=[5]}]"
    (line, _) = write_features(workspace(features, "synthetic.bars=60")).lines
    assert "warm-up 154 bars, more than there are: only columns with a shorter one have numbers" in line


def test_a_step_checks_every_setting_even_those_it_does_not_use(workspace):
    with pytest.raises(ConfigError, match=r"strategy\.buy_treshold: unknown key"):
        write_features(workspace("strategy.buy_treshold=0.6"))


def test_progress_is_told(workspace):
    heard = []
    write_features(workspace(progress=lambda done, total, what: heard.append((done, total, what))))
    assert heard == [(done, 1, "features of BTC/USDT") for done in range(2)]


# -- labels


def test_each_label_comes_with_the_close_of_the_bar_that_settled_it(workspace, tmp_path):
    place = workspace()
    (told,) = write_labels(place).data["labels"]
    bars = load_bars(place, "BTC/USDT")
    found = read(tmp_path / "runs" / "labels" / "BTC_USDT-1h.parquet")
    rises = [bars.close[t + 6] > bars.close[t] for t in range(594)]
    np.testing.assert_array_equal(found["up_6_0bps"][:594], rises)
    np.testing.assert_array_equal(found["known_at"][:594], bars.open_time[:594] + 7 * HOUR)
    assert np.isnan(found["up_6_0bps"][594:]).all()
    assert (found["known_at"][594:] == -1).all()
    assert told["labels"][0]["mean"] == pytest.approx(np.mean(rises))


def test_a_label_that_is_never_known_is_told_and_is_valid_json(workspace):
    said = write_labels(workspace("label.horizon=600"))
    assert "none known: no row's future is there yet" in said.lines[0]
    assert json.loads(said.json)["labels"][0]["labels"][0]["mean"] is None


# -- one model


def test_the_model_is_the_one_that_the_walk_forward_fits_at_that_bar(workspace, tmp_path):
    (walked,) = walk_forward(workspace()).data["walkforward"]
    timeline = ModelTimeline.load(tmp_path / "runs" / walked["timeline"])
    entry = timeline.entries[1]
    until = np.datetime64(entry.known_at + HOUR, "ms")
    (told,) = train(workspace(f"data.to={until}")).data["models"]
    there = (tmp_path / "runs" / walked["timeline"]).parent / entry.file
    assert load_model(tmp_path / told["file"]).manifest == load_model(there).manifest
    assert told["rows"] == entry.rows == 294


def test_labels_that_were_not_known_are_not_learned_from(workspace):
    (told,) = train(workspace()).data["models"]
    assert (told["known_at"], told["trained_until"]) == ("2023-01-25 23:00 UTC", "2023-01-25 17:00 UTC")


def test_a_model_goes_to_the_folder_that_a_person_names(workspace, tmp_path):
    said = train(workspace(), tmp_path / "out")
    assert len(list((tmp_path / "out" / "models").glob("*.json"))) == 1
    assert f"written to {tmp_path}/out/models/" in said.lines[-1]
    train(workspace('data.symbols=["BTC/USDT", "ETH/USDT"]'), tmp_path / "both")
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["BTC_USDT-1h", "ETH_USDT-1h"]


def test_too_few_bars_train_nothing_and_say_so(workspace):
    with pytest.raises(ModelError, match="only 28 rows with known label and all features, 50 are needed"):
        train(workspace("synthetic.bars=37"))


# -- walk-forward


def test_scores_are_written_bar_by_bar_and_graded_refit_by_refit(workspace, tmp_path):
    place = workspace()
    said = walk_forward(place)
    (told,) = said.data["walkforward"]
    found = read(tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet")
    assert list(found) == ["timestamp", "up_6_0bps_logistic"]
    scores = found["up_6_0bps_logistic"]
    assert np.isnan(scores[:303]).all()
    assert np.isfinite(scores[303:]).all()
    assert told["refits"] == len(told["folds"]) == len(said.table.rows) == 3
    assert [row[3] for row in said.table.rows] == ["294", "294", "294"]
    assert sum(fold["quality"]["rows"] for fold in told["folds"]) == told["pooled"]["rows"] == 600 - 303 - 6


def test_a_look_is_entered_for_the_time_that_was_graded_and_the_next_one_is_counted(workspace):
    place = workspace()
    first = walk_forward(place)
    (look,) = place.register.looks()
    assert (look.command, look.market, look.timeframe) == ("walkforward", "BTC (synthetic, seed 7)", "1h")
    assert (look.from_ms, look.to_ms) == (1_672_531_200_000 + 303 * HOUR, 1_672_531_200_000 + 600 * HOUR)
    assert look.metrics["auc"] == first.data["walkforward"][0]["pooled"]["auc"]
    assert look.run_id == first.data["walkforward"][0]["run"]
    assert any("This is the first look" in line for line in first.lines)
    assert any("Look number 2 at this market" in line for line in walk_forward(place).lines)


def test_a_second_run_takes_what_the_first_one_trained(workspace):
    (first,) = walk_forward(workspace()).data["walkforward"]
    (again,) = walk_forward(workspace()).data["walkforward"]
    assert (first["fitted_now"], again["fitted_now"]) == (3, 0)
    assert again["pooled"] == first["pooled"]


def test_models_that_never_speak_are_told_and_are_no_look_at_a_figure(workspace):
    place = workspace("walkforward.min_train_rows=299")
    said = walk_forward(place)
    assert {row[-1] for row in said.table.rows} == {
        "no: only 294 rows with known label and all features, 299 are needed"
    }
    assert "No score has met a known label yet" in said.lines[0]
    assert place.register.looks() == []
    json.loads(said.json)


def test_the_scores_of_a_step_do_not_depend_on_when_it_runs(workspace, tmp_path):
    walk_forward(workspace())
    path = tmp_path / "runs" / "walkforward" / "BTC_USDT-1h.parquet"
    before = path.read_bytes()
    walk_forward(workspace(clock=lambda: 1_800_000_000_000))
    assert path.read_bytes() == before


def test_a_hold_out_is_spoken_of(workspace):
    said = walk_forward(workspace("data.holdout_from=2023-01-22"))
    assert any("is sealed: no run has looked at it" in line for line in said.lines)


def test_a_regression_is_graded_by_its_information_coefficient(workspace):
    thresholds = ("strategy.buy_threshold=0.001", "strategy.sell_threshold=-0.001")
    said = walk_forward(workspace("label={kind='future_return', horizon=6}", "model.algorithm=linear", *thresholds))
    assert said.table.rows[0][-2].startswith("IC ")


# -- bars and plugins


def test_bars_that_are_not_stored_are_named(workspace):
    with pytest.raises(BarsError, match="no bars are stored here yet"):
        write_features(workspace("data.exchange=mine"))


def test_stored_bars_are_not_called_synthetic(workspace, stored):
    stored()
    assert write_features(workspace("data.exchange=mine")).lines[0].startswith("BTC/USDT 1h: 3 features of 400 bars")


PLUGIN = """
from dataclasses import dataclass

from itb.indicators.feature_set import FEATURES


@dataclass(frozen=True)
class Doubled:
    names = ("doubled",)
    warmup = 0

    def __call__(self, bars):
        return 2 * bars.close[:, None]


FEATURES["doubled"] = Doubled
"""


def test_a_plugin_can_bring_features_of_its_own(workspace, tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN)
    place = workspace("plugins.files=['own.py']", "features=[{family='doubled'}]")
    try:
        write_features(place)
    finally:
        FEATURES.pop("doubled", None)
    found = read(tmp_path / "runs" / "features" / "BTC_USDT-1h.parquet")
    np.testing.assert_array_equal(found["doubled"], np.float32(2 * load_bars(place, "BTC/USDT").close))


def test_a_plugin_that_fails_is_one_clear_error(workspace, tmp_path):
    (tmp_path / "own.py").write_text("1 / 0\n")
    with pytest.raises(StrategyError, match=r"plugins.files 'own.py': running own.py failed: ZeroDivisionError"):
        write_features(workspace("plugins.files=['own.py']"))


def test_a_changed_plugin_makes_the_file_again(workspace, tmp_path):
    (tmp_path / "own.py").write_text("A = 1\n")
    place = workspace("plugins.files=['own.py']")
    write_features(place)
    (tmp_path / "own.py").write_text("A = 22\n")
    (told,) = write_features(dataclasses.replace(place)).data["features"]
    assert told["is_new"]
