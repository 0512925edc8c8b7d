"""Files that are taken as they are: not where a stage before them, or what they read, was set otherwise."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from itb.errors import ConfigError
from itb.runs.score_files import read_score_file
from itb.runs.signal_files import write_signals
from itb.runs.simulate import simulate

RULE = (
    "signals=[{kind='threshold_rule', columns='up_6_0bps_logistic', names=['buy', 'sell'], "
    "buy_signal_threshold=0.5, sell_signal_threshold=0.49}]"
)
CALIBRATED = "calibration={method='platt', min_rows=50}"


def test_signals_of_calibrated_scores_are_not_those_of_raw_ones(workspace):
    raw, same, other = (write_signals(workspace(RULE, *more)) for more in ((), (), (CALIBRATED,)))
    assert [said.data["signals"][0]["is_new"] for said in (raw, same, other)] == [True, False, True]


def test_trials_on_scores_that_are_calibrated_otherwise_are_made_anew(workspace):
    ways = (CALIBRATED, CALIBRATED, CALIBRATED.replace("platt", "isotonic"))
    assert [simulate(workspace(RULE, way)).data["simulate"][0]["fresh"] for way in ways] == [1, 0, 1]


def test_trials_of_other_flags_are_not_those_of_the_first(workspace, tmp_path):
    flags = "thresholds={policy='mean_gap', move=0.001, p_value=1.0, horizon=3, refit_every=50}"
    place = workspace(flags)
    simulated = []
    for buy, sell in (("buy", "sell"), ("sell", "buy")):
        names = [f"strategy.{key}_column=up_6_0bps_logistic_{name}" for key, name in (("buy", buy), ("sell", sell))]
        place = workspace(flags, "strategy.name=SignalStrategy", *names)
        simulated.append(simulate(place).data["simulate"][0])
    assert [one["fresh"] for one in simulated] == [1, 1]
    assert simulated[0]["best"] != simulated[1]["best"]
    assert pq.read_table(simulated[0]["file"]).num_rows == 1


def test_a_column_of_words_is_no_score(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("timestamp,up\n2024-01-01T00:00:00Z,high\n")
    with pytest.raises(ConfigError, match=r"scores\.csv: not a file of scores"):
        read_score_file(path)
