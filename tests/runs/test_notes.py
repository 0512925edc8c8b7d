"""The honest notes: each of them appears when it is true, and only then."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from itb.backtest.run import Scenarios
from itb.config import load_config
from itb.engine.venue import Rejection
from itb.ledger.breakeven import BreakEven
from itb.ledger.metrics import Metrics
from itb.runs.backtest import backtest
from itb.runs.notes import notes
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=600",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "model.algorithm=logistic",
    "walkforward.train=300",
    "walkforward.refit_every=100",
    "walkforward.min_train_rows=50",
    "walkforward.workers=1",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def configured(project):
    def make(*settings):
        return load_config(overrides=[*SMALL, *settings], folder=project, environ={})

    return make


@pytest.fixture(scope="module")
def outcome(configured):
    """One small run, whose parts the tests replace."""
    return backtest(Workspace(configured()))[0].outcome


@pytest.fixture(scope="module")
def shorting(configured):
    settings = ("strategy.allow_short=true", "strategy.buy_threshold=0.52", "strategy.sell_threshold=0.48")
    return backtest(Workspace(configured(*settings)))[0].outcome


@pytest.fixture
def told(outcome, configured):
    """Give the notes of the run with some of its parts replaced, as text -> tone."""

    def tell(*settings, of=outcome, **changes):
        return dict(notes(configured(*settings), dataclasses.replace(of, **changes)))

    return tell


def tone_of(found, start):
    tones = [tone for text, tone in found.items() if text.startswith(start)]
    return tones[0] if tones else None


def with_result(outcome, **changes):
    return {"scenarios": Scenarios(dataclasses.replace(outcome.result, **changes), outcome.scenarios.other)}


def test_a_synthetic_market_says_nothing_about_real_coins(told, outcome):
    assert tone_of(told(), "Synthetic market (seed 7): a weak structure was planted") == "warn"
    real = dataclasses.replace(outcome.market, is_synthetic=False)
    assert tone_of(told(market=real), "Synthetic") is None


def test_free_trading_is_bad(told):
    free = ("costs.taker_fee_bps=0", "costs.maker_fee_bps=0", "costs.slippage_bps=0")
    assert tone_of(told(*free), "Trading was free") == "bad"
    assert tone_of(told(), "Trading was free") is None


@pytest.mark.parametrize(
    ("profit", "start", "tone"),
    [
        (100.0, "The edge dies at 50.0 bps one way; 15.0 bps were charged.", "plain"),
        (10.0, "The edge dies at 5.0 bps one way; 15.0 bps were charged.", "bad"),
        (-10.0, "There is no gross edge: these fills lose money even at zero cost.", "bad"),
    ],
)
def test_the_cost_at_which_the_edge_dies_is_told(profit, start, tone, told):
    assert tone_of(told(edge=BreakEven(profit, 20_000.0, 15.0, 1_000.0)), start) == tone


def test_without_fills_there_is_no_edge_to_speak_of(told):
    found = told(edge=BreakEven(0.0, 0.0, float("nan"), 1_000.0), metrics=Metrics())
    assert tone_of(found, "There is no gross edge") is None
    assert tone_of(found, "The edge dies") is None


def test_shorts_on_a_spot_market_are_not_charged_for_borrowing(told, shorting):
    assert any(trade.side == "short" for trade in shorting.result.trades)
    assert tone_of(told(of=shorting), "Short positions on a spot market: borrowing") == "warn"
    assert tone_of(told(), "Short positions") is None


def test_refused_orders_are_counted(told, outcome):
    refused = tuple(Rejection(bar, 1.0, 1.0, "too small", reason) for bar, reason in enumerate(("entry", "stop")))
    found = told(**with_result(outcome, rejected=refused))
    assert tone_of(found, "2 orders were refused or could not be paid for, 1 of them entries.") == "warn"


def test_entries_held_back_are_counted_by_protection(told, outcome):
    found = told(**with_result(outcome, blocked={"max_drawdown": 3, "cooldown": 1_000}))
    assert (
        tone_of(found, "Protections held an entry back at 1,003 bars: cooldown at 1,000, max_drawdown at 3.") == "plain"
    )
    assert tone_of(told(), "Protections") is None
    assert tone_of(told("protections=[{kind='cooldown'}]"), "The protections held no entry back.") == "plain"


def test_looser_protection_is_told(told):
    assert tone_of(told("strategy.protection_from=next_bar"), "Stops and targets were not tested") == "warn"


def test_skill_is_good_only_beyond_its_margin(told, outcome):
    (quality,) = outcome.qualities
    pooled = quality.pooled
    skilled = dataclasses.replace(quality, pooled=dataclasses.replace(pooled, auc=0.7, margin=0.05))
    lucky = dataclasses.replace(quality, pooled=dataclasses.replace(pooled, auc=0.54, margin=0.05))
    harmful = dataclasses.replace(quality, pooled=dataclasses.replace(pooled, auc=0.3, margin=0.05))
    assert [tone_of(told(qualities=(each,)), "AUC 0.") for each in (skilled, lucky, harmful)] == [
        "good",
        "warn",
        "warn",
    ]


def test_refits_that_had_something_to_say_are_told_and_then_counted(told, outcome):
    (walked,) = outcome.walked
    folds = tuple(dataclasses.replace(walked.folds[0], note=f"did not converge ({n})") for n in range(5))
    found = told(scored=dataclasses.replace(outcome.scored, walked=(dataclasses.replace(walked, folds=folds),)))
    assert tone_of(found, "Refit 0: did not converge (2).") == "warn"
    assert tone_of(found, "Refit 0: did not converge (3).") is None
    assert tone_of(found, "2 more refits had something to say") == "warn"


def test_few_trades_are_called_few(told):
    assert tone_of(told(metrics=Metrics(trades=29)), "Only 29 closed trades") == "warn"
    assert tone_of(told(metrics=Metrics(trades=30)), "Only") is None


def test_looks_are_counted(told):
    assert tone_of(told(looks=0), "This is the first look at this market") == "plain"
    assert tone_of(told(looks=41), "Look number 42 at this market") == "warn"


def test_a_run_that_reaches_into_the_hold_out_is_bad(told, outcome):
    seen = dataclasses.replace(outcome.market.holdout, from_ms=outcome.market.stop_ms - 1, seen_by=("r1",))
    market = dataclasses.replace(outcome.market, holdout=seen)
    assert tone_of(told(market=market), "The hold-out of BTC (synthetic, seed 7)") == "bad"
    later = dataclasses.replace(outcome.market.holdout, from_ms=outcome.market.stop_ms)
    assert tone_of(told(market=dataclasses.replace(outcome.market, holdout=later)), "The hold-out of BTC") == "plain"


def test_no_note_is_said_twice_and_none_is_empty(outcome, configured):
    texts = [text for text, _ in notes(configured(), outcome)]
    assert len(set(texts)) == len(texts)
    assert all(text and text[-1] in ".)" for text in texts)
    assert np.isfinite(outcome.metrics.total_return)
