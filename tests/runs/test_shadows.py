"""Shadows: several triggers on one stream of scores, thresholds of each symbol its own, every trade written down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from itb.config import stages
from itb.errors import ConfigError
from itb.runs.model import score_columns
from itb.runs.shadows import shadows
from itb.runs.steps import markets

NUMBERS = (
    "label={kind='future_return', horizon=6}",
    "model.algorithm=linear",
    "strategy={buy_threshold=0.01, sell_threshold=-0.01}",
    "thresholds.refit_every=100",
)
RULES = (
    *NUMBERS,
    (
        "shadows=[{policy='rolling_quantile', window=60}, {policy='mean_gap', move=0.0, p_value=1.0, name='eager'}, "
        "{policy='sweep', least_rows=9999}]"
    ),
)
BOTH = 'data.symbols=["ETH/USDT", "BTC/USDT"]'


def events_of(told):
    return [json.loads(line) for line in Path(told["file"]).read_text().splitlines()]


def test_every_rule_trades_the_same_scores_on_its_own(workspace):
    (told,) = shadows(workspace(*RULES)).data["shadows"]
    quantile, _, never = told["shadows"]
    assert [one["trigger"] for one in told["shadows"]] == ["rolling_quantile", "eager", "sweep"]
    assert quantile["triggers"] > quantile["trades_alone"] > 0
    assert never["triggers"] == 0
    assert never["silent_blocks"] == never["blocks"] > 0
    assert np.isfinite(quantile["mean"])
    assert {event["trigger"] for event in events_of(told)} <= {"rolling_quantile", "eager"}


def test_every_trade_is_opened_and_closed_a_horizon_later(workspace):
    place = workspace(*RULES)
    (told,) = shadows(place).data["shadows"]
    events = events_of(told)
    opened = [event for event in events if event["event"] == "OPEN_TRADE"]
    closed = [event for event in events if event["event"] == "CLOSE_TRADE"]
    assert len(opened) == len(closed) == sum(one["triggers"] for one in told["shadows"])
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)
    ((_, market),) = markets(place, "test")
    bars = market.bars
    scores = score_columns(place, market).scores["return_6_linear"]
    text = {str(np.datetime64(int(t), "ms"))[:16].replace("T", " ") + " UTC": i for i, t in enumerate(bars.open_time)}
    cost = 2 * place.config.costs.one_way_bps / 10_000
    for event in closed:
        begin, end = text[event["opened"]], text[event["time"]]
        assert end - begin == 6
        side = 1 if event["side"] == "long" else -1
        assert event["profit"] == pytest.approx(side * (bars.open[end] / bars.open[begin] - 1) - cost)
    for event in opened:
        score = scores.at(int(bars.open_time[text[event["time"]] - 1]))
        assert event["prediction"] == score
        if event["threshold"] is not None:
            assert score > event["threshold"] if event["side"] == "long" else score < event["threshold"]


def test_thresholds_of_a_block_know_nothing_of_it(workspace):
    """Only what a policy saw before a block decides in it: later bars change no earlier trade."""
    whole = events_of(shadows(workspace(*RULES)).data["shadows"][0])
    short = events_of(shadows(workspace(*RULES, "data.to=2023-01-22")).data["shadows"][0])
    assert short
    assert [event for event in whole if event in short] == short
    last = max(event["time"] for event in short)
    early = [event for event in whole if event["event"] == "CLOSE_TRADE" and event["time"] < last]
    assert [event for event in short if event["event"] == "CLOSE_TRADE" and event["time"] < last] == early


def test_each_symbol_has_its_own_trades_and_its_look_is_entered(workspace):
    place = workspace(*RULES, BOTH)
    eth, btc = shadows(place).data["shadows"]
    assert eth["file"] != btc["file"]
    assert events_of(eth) != events_of(btc)
    looks = [look for one in ("ETH", "BTC") for look in place.register.looks(f"{one} (synthetic, seed 7)", 0, 2**62)]
    assert [(look.command, look.trials) for look in looks] == [("shadows", 3)] * 2


def test_without_shadows_every_policy_that_needs_no_key_is_tried(workspace):
    assert list(stages.shadows(workspace(*NUMBERS).config)) == [
        "sweep",
        "rolling_quantile",
        "mean_gap",
        "gaussian_ratio",
    ]


def test_two_shadows_of_one_name_and_unknown_policies_are_refused(workspace):
    with pytest.raises(ConfigError, match='"sweep" is there twice'):
        shadows(workspace(*NUMBERS, "shadows=[{policy='sweep'}, {policy='sweep', points=5}]"))
    with pytest.raises(ConfigError, match='unknown policy "swep"'):
        shadows(workspace(*NUMBERS, "shadows=[{policy='swep'}]"))
