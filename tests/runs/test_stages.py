"""What happens to scores between training and the strategy, through config and files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.config import load_config
from itb.config.check import check
from itb.errors import ConfigError
from itb.mlmodels.stages.files import ScoreFiles
from itb.mlmodels.stages.flags import rule_at
from itb.mlmodels.timeline import ModelTimeline
from itb.runs.backtest import backtest
from itb.runs.laws import check as check_laws
from itb.runs.market import load_market
from itb.runs.model import score_columns, score_ranges
from itb.runs.refine import stages_folder
from itb.runs.steps import walk_forward
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=600",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=6, threshold=0.0, alias='up'}",
    "walkforward={train=300, refit_every=100, min_train_rows=50, workers=1}",
)
ALL = (
    "models=[{algorithm='logistic'}, {algorithm='linear'}]",
    "abstain={dissimilarity=0.9, most_rows=100}",
    "calibration={method='beta', min_rows=50}",
    "conformal={method='adaptive', coverage=0.8, min_rows=30, window=100}",
    "stack={algorithm='logistic', train=100, refit_every=50, min_train_rows=50}",
    "thresholds={policy='mean_gap', move=0.001, p_value=1.0, horizon=3, refit_every=50}",
    "strategy={name='MLThreshold', score='up_stack'}",
)
CLASSES = (
    "label={kind='first_hit', up=0.004, low=0.002, window=6, alias='up'}",
    "model.algorithm=logistic",
    "walkforward.min_train_rows=50",
)


@pytest.fixture
def workspace(tmp_path):
    """A workspace on a small synthetic market, whose models the test names."""

    def make(*settings):
        config = load_config(overrides=[*SMALL, *settings], folder=tmp_path, environ={})
        return Workspace(config, clock=lambda: 1_767_312_000_000)

    return make


@pytest.fixture
def staged(workspace):
    """A workspace with every stage, its market and its scores."""
    work = workspace(*ALL)
    market = load_market(work, "BTC/USDT", run_id="1", command="walkforward")
    return work, market, score_columns(work, market)


def test_every_column_that_was_declared_is_made_within_its_range(staged):
    work, market, scored = staged
    ranges = score_ranges(work.config)
    assert list(scored.scores) == list(ranges)
    assert set(ranges) == {"up_stack", "up_stack_buy", "up_stack_sell", "up_linear_low", "up_linear_high"} | {
        f"up_{name}{end}" for name in ("logistic", "linear") for end in ("", "_raw")
    }
    for name, source in scored.scores.items():
        values = source.batch()
        told = values[np.isfinite(values)]
        assert (source.low, source.high) == ranges[name]
        assert len(values) == len(market.bars)
        assert len(told) > 50, name


def test_raw_scores_stay_as_the_models_gave_them(staged):
    _, _, scored = staged
    for walked in scored.walked[:2]:
        assert np.array_equal(scored.scores[f"{walked.column}_raw"].batch(), walked.scores, equal_nan=True)
        silent = np.isnan(scored.scores[walked.column].batch()) & np.isfinite(walked.scores)
        assert 0 < silent.sum() < 0.9 * len(walked.scores)


def test_live_scores_from_files_are_those_of_the_batch_bit_for_bit(staged):
    work, market, scored = staged
    for walked in scored.walked[:2]:
        files = ScoreFiles(walked.folder, stages_folder(work.config, market, walked))
        raw, step = np.full((2, len(walked.scores)), np.nan)
        for row, open_time in enumerate(walked.table.open_time):
            features = walked.table.features[row : row + 1]
            raw[row : row + 1] = files.raw(int(open_time), features)
            step[row : row + 1] = files.score(int(open_time), features)
        assert raw.tobytes() == walked.scores.tobytes()
        assert step.tobytes() == scored.scores[walked.column].batch().tobytes()


def test_rules_are_kept_beside_the_models(staged):
    work, market, scored = staged
    stack = scored.walked[2]
    folder = stages_folder(work.config, market, stack)
    timeline = ModelTimeline.load(folder / "thresholds.json")
    last = int(market.bars.open_time[-1])
    rule = rule_at(timeline, last, folder)
    start = int(np.searchsorted(market.bars.open_time, timeline.entry_at(last).speaks_from))
    sides = rule.sides(stack.scores[start:])
    assert np.array_equal(scored.scores["up_stack_buy"].batch()[start:], (sides == 1).astype(float))


def test_a_model_of_classes_is_silent_in_every_class_at_once(workspace):
    work = workspace(*CLASSES, "abstain.dissimilarity=0.9")
    scored = score_columns(work, load_market(work, "BTC/USDT", run_id="1", command="walkforward"))
    assert list(scored.scores) == list(score_ranges(work.config))
    main, *others = (source.batch() for name, source in scored.scores.items() if not name.endswith("_raw"))
    assert len(others) == 3
    for values in others:
        assert np.array_equal(np.isnan(values), np.isnan(main))


def test_flags_never_take_the_name_of_a_chance(workspace):
    with pytest.raises(ConfigError, match=r"thresholds.column: flags of \"up_logistic\" would be named as its chance"):
        score_ranges(workspace(*CLASSES, "thresholds.policy=mean_gap").config)


def test_a_stack_learns_from_calibrated_scores_of_the_others_only(staged):
    _, _, scored = staged
    table = scored.learned("up_stack").table
    assert table.feature_names == ("up_logistic", "up_linear")
    for place, name in enumerate(table.feature_names):
        expected = scored.scores[name].batch().astype(np.float32)
        assert np.array_equal(table.features[:, place], expected, equal_nan=True)


def test_a_second_run_gives_the_same_bytes_and_other_settings_another_folder(staged, workspace):
    work, market, scored = staged
    files = {path: path.read_bytes() for path in work.cache.rglob("stages-*/**/*") if path.is_file()}
    again = score_columns(work, market)
    assert {path: path.read_bytes() for path in work.cache.rglob("stages-*/**/*") if path.is_file()} == files
    for name, source in scored.scores.items():
        assert source.batch().tobytes() == again.scores[name].batch().tobytes()
    other = score_columns(workspace(*ALL, "calibration.method=platt"), market)
    before, after = scored.scores["up_logistic"].batch(), other.scores["up_logistic"].batch()
    assert not np.array_equal(before, after, equal_nan=True)
    assert all(path.read_bytes() == content for path, content in files.items())


def test_what_the_stages_did_is_said(staged):
    _, _, scored = staged
    said = "\n".join(scored.notes)
    for part in (
        "up_logistic: silent on ",
        "up_linear: silent on ",
        "up_logistic: calibrated by beta, Brier score 0.",
        "empty in the first 1 of 3 blocks",
        "up_linear: intervals held ",
        "80 % were promised",
        "up_stack: logistic on up_logistic, up_linear, from scores given out of sample",
        "BTC/USDT: up_stack: thresholds: ",
    ):
        assert part in said


def test_the_walk_forward_writes_every_column_and_the_reliability_of_probabilities(workspace, tmp_path):
    said = walk_forward(workspace(*ALL), tmp_path / "out.parquet")
    assert pq.read_schema(tmp_path / "out.parquet").names == ["timestamp", *score_ranges(workspace(*ALL).config)]
    curves = {one["column"]: one["reliability"] for one in said.data["walkforward"]}
    assert curves["up_linear"] == []
    assert sum(one["rows"] for one in curves["up_logistic"]) > 50
    json.dumps(said.data)


def test_a_strategy_trades_what_the_stages_made(workspace):
    run = backtest(workspace(*ALL, "strategy.score=up_logistic", "strategy.buy_threshold=0.5"))[0]
    assert run.outcome.result.trades
    assert any("calibrated by beta" in note.text for note in run.report.notes)


def test_every_configured_stage_is_checked(workspace):
    told = check_laws(workspace(*ALL, "synthetic.bars=1000"))
    rows = {(row[1], row[2]) for row in told.table.rows}
    for subject in (
        "abstention of up_logistic",
        "abstention of up_linear",
        "calibration of up_logistic",
        "conformal of up_linear",
        "thresholds of up_logistic",
        "up_stack",
    ):
        assert (subject, "holds") in rows
    assert not told.found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["model.algorithm=linear", "calibration.method=platt"], "calibration.method: no model gives probabilities"),
        (["model.algorithm=logistic", "conformal.method=split"], "conformal.method: every model gives probabilities"),
        (["model.algorithm=linear", "conformal.method=split", "conformal.window=9"], "conformal.window: must be 0"),
        (["stack.algorithm=magic"], 'stack.algorithm: unknown algorithm "magic"'),
        (["stack.algorithm=logistic", "stack.inputs=['up_svc']"], 'stack.inputs[1]: unknown learned column "up_svc"'),
        (["stack.algorithm=logistic", "stack.label=down"], 'stack.label: unknown label "down"'),
        (["stack.algorithm=logistic", "stack.c=0.0"], "stack.c: must be above 0, was 0.0"),
        (["thresholds.policy=magic"], 'thresholds.policy: unknown policy "magic"'),
        (["thresholds.policy=sweep", "thresholds.points=1"], "thresholds.points: must be at least 2, was 1"),
        (["thresholds.policy=recalibrated"], "thresholds.buy: missing; this key has no default"),
    ],
)
def test_a_stage_that_cannot_be_is_refused_before_anything_is_trained(workspace, settings, message):
    with pytest.raises(ConfigError) as raised:
        check(workspace(*settings).config)
    assert message in str(raised.value)


def test_thresholds_want_to_know_which_of_several_columns_they_are_for(workspace):
    several = workspace("models=[{algorithm='logistic'}, {algorithm='lightgbm'}]", "thresholds.policy=sweep")
    with pytest.raises(ConfigError, match=r"thresholds.column: is empty, and there are 2 score columns; name one of"):
        score_ranges(several.config)
