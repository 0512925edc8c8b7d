"""Where a search begins: at the first bar on which every score that may be traded can speak, stages included."""

from __future__ import annotations

import numpy as np
import pytest

from itb.runs.market import load_market
from itb.runs.model import score_columns, score_ranges
from itb.runs.search_build import first_bar
from itb.runs.search_space import search_space

TRADE = "search.space.strategy.buy_threshold={low=0.5, high=0.56}"
STACK = "stack={algorithm='logistic', train=100, refit_every=50, min_train_rows=50}"


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("calibration={method='platt', min_rows=80}",),
        ("calibration={method='isotonic', min_rows=120}", "walkforward.embargo_bars=5"),
        (STACK, "strategy.score=up_6_0bps_stack"),
        (
            "calibration={method='beta', min_rows=80}",
            "walkforward.refit_every=60",
            STACK,
            "strategy.score=up_6_0bps_stack",
        ),
    ],
    ids=["plain", "calibrated", "embargoed", "stacked", "both"],
)
def test_a_search_begins_with_the_first_bar_that_all_scores_speak_on(workspace, settings):
    place = workspace(TRADE, *settings)
    market = load_market(place, "BTC/USDT", run_id="1", command="test")
    start = first_bar(place.config, market.bars, search_space(place.config, score_ranges(place.config)))
    scores = score_columns(place, market).scores
    told = np.logical_and.reduce([np.isfinite(source.batch()) for source in scores.values()])
    assert start == int(told.argmax())


def test_a_calibrator_that_never_learns_leaves_no_days_to_search(workspace):
    place = workspace(TRADE, "calibration={method='platt', min_rows=5000}")
    market = load_market(place, "BTC/USDT", run_id="1", command="test")
    space = search_space(place.config, score_ranges(place.config))
    assert first_bar(place.config, market.bars, space) == len(market.bars) - 1
