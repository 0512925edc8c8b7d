import numpy as np
import pytest

from itb.mlmodels.labels.column import LabelColumn
from itb.mlmodels.stages.flags import ThresholdFlags, rule_at
from itb.mlmodels.thresholds import POLICIES, GaussianRatio, MeanGap, Sweep

SETTINGS = {
    "recalibrated": {"buy": 0.002, "sell": -0.002},
    "rolling_quantile": {"window": 40, "high": 0.8, "low": 0.2},
    "gaussian_ratio": {"least_rows": 10, "ratio": 1.1},
    "sweep": {"points": 100, "least_rows": 10},
}


def returns_of(column, skill=0.05, horizon=3, seed=5):
    noise = np.random.default_rng(seed).normal(0, 0.01, len(column.scores))
    return LabelColumn.after(skill * (np.nan_to_num(column.scores, nan=0.5) - 0.5) + noise, horizon)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("lookback", [0, 120])
def test_a_flag_computed_from_files_is_that_of_the_batch(policy, lookback, column, tmp_path):
    stage = ThresholdFlags(POLICIES[policy](**SETTINGS.get(policy, {})), refit_every=50, lookback=lookback)
    found, timeline = stage.keep(column, returns_of(column), tmp_path)
    buy, sell = found.flags.values()
    assert (np.nansum(buy) > 5, np.nansum(sell) > 5) == (True, True)
    for row in range(column.first, len(column.scores)):
        rule = rule_at(timeline, int(column.open_time[row]), tmp_path)
        start = row - (row - column.first) % 50
        side = rule.sides(column.scores[start : row + 1])[-1]
        flags = (np.nan, np.nan) if np.isnan(column.scores[row]) else (float(side == 1), float(side == -1))
        assert np.array_equal((buy[row], sell[row]), flags, equal_nan=True)


def test_thresholds_are_those_of_the_rows_known_before_the_block(column):
    returns = returns_of(column)
    found = ThresholdFlags(MeanGap(move=0.005), refit_every=70).walk(column, returns)
    start = column.first + 140
    known = (returns.known_at >= 0) & (returns.known_at < start) & (np.arange(len(returns)) >= column.first)
    fitted = MeanGap(move=0.005).fit(column.scores[known], returns.values[known])
    assert found.walked.fits[2].rule == fitted
    entry = found.part(found.walked.fits[2])
    assert (entry.fit_bar, entry.speaks_from) == (start - 1, start)
    assert entry.rows == (known & np.isfinite(column.scores)).sum()


def test_flags_are_named_after_the_column_and_say_nothing_without_a_score(column):
    flags = ThresholdFlags(GaussianRatio(least_rows=10), refit_every=50).walk(column, returns_of(column)).flags
    assert list(flags) == ["up_logistic_buy", "up_logistic_sell"]
    for values in flags.values():
        assert np.isnan(values).tolist() == np.isnan(column.scores).tolist()
        assert set(values[np.isfinite(values)]) <= {0.0, 1.0}


def test_a_coin_without_edge_flags_nothing_and_says_so(column):
    flat = LabelColumn.after(np.full(len(column.scores), -1e-4), 3)
    found = ThresholdFlags(Sweep(cost=0.01), refit_every=50).walk(column, flat)
    assert all(np.nansum(values) == 0 for values in found.flags.values())
    assert found.sentence == "thresholds: no edge was found before any of 5 blocks, so nothing is flagged"
    assert found.judge(cost=0.01).rows == 0


def test_blocks_without_edge_are_counted(column):
    found = ThresholdFlags(MeanGap(p_value=0.02), refit_every=30).walk(column, returns_of(column, skill=0.01))
    blocks = len(found.walked.fits) - 1
    assert 0 < found.silent < blocks
    assert f"{found.silent} of {blocks} blocks had none to go by" in found.sentence


def test_what_was_never_scored_is_never_flagged(make_column):
    silent = make_column(scores=np.full(400, np.nan))
    found = ThresholdFlags(Sweep(), refit_every=50).walk(silent, returns_of(silent))
    assert all(np.isnan(values).all() for values in found.flags.values())
    assert found.sentence == "thresholds: there was nothing earlier to choose them by, so nothing is flagged"


@pytest.mark.parametrize("settings", [{"refit_every": 0}, {"refit_every": 1, "lookback": -1}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"{list(settings)[-1]} must be"):
        ThresholdFlags(Sweep(), **settings)
