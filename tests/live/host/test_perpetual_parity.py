"""Law 4 on perpetuals: shorts, reversals, stops and funding come out on paper as in a backtest."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.backtest.result import BacktestResult
from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.strategies.ml_threshold import MLThreshold
from tests.live.host.paper_run import PaperRun, difference

PERP = "BTC/USDT:USDT"
RULES = Instrument(PERP, tick=Decimal("0.1"), step=Decimal("0.001"), min_notional=Decimal(5))
WARM = 40
MIRRORED: dict[str, Any] = {"buy_threshold": 0.85, "sell_threshold": 0.15, "allow_short": True}
SETTINGS: list[dict[str, Any]] = [
    MIRRORED,
    {**MIRRORED, "stop_loss": 0.003, "cooldown_bars": 2},
    {**MIRRORED, "stop_loss": 0.003, "take_profit": 0.004, "trailing_stop": 0.004, "max_bars": 30},
]
ON_THE_EDGE: dict[str, Any] = {**MIRRORED, "fraction": 0.99, "cushion": 0.0, "stop_loss": 0.02}


def market(bars: int, seed: int) -> Bars:
    made = SyntheticMarket(bars, "1m", seed=seed).bars()["BTC/USDT"]
    return Bars.of(PERP, made.timeframe, made.open_time, **made.columns)


def scores_of(bars: Bars, seed: int) -> dict[str, ArrayScores]:
    draw = np.random.default_rng(seed).uniform(size=len(bars))
    return {"up": ArrayScores("up", bars.open_time, draw, 0.0, 1.0)}


def run_of(bars: Bars, asked: dict[str, Any], rates: dict[int, float]) -> Backtest:
    venue = Venue(Costs(taker_fee_bps=5, slippage_bps=1), instrument=RULES, funding=rates)
    return Backtest(MLThreshold, asked, venue=venue)


def both(file: Path, test: Backtest, bars: Bars, seed: int) -> tuple[BacktestResult, BacktestResult]:
    scores = scores_of(bars, seed)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    return backtest, PaperRun(file, test, bars, scores, WARM).run()


def sides(result: BacktestResult) -> set[int]:
    return {int(np.sign(size)) for size in result.position}


@pytest.mark.parametrize("asked", SETTINGS)
def test_shorts_reversals_and_funding_are_booked_alike(tmp_path: Path, asked: dict[str, Any]) -> None:
    bars = market(300, 7)
    rates = {bar: (-1) ** (bar // 7) * 0.0003 for bar in range(0, 300, 7)}
    backtest, paper = both(tmp_path / "j.sqlite", run_of(bars, asked, rates), bars, 3)
    assert difference(backtest, paper) == ""
    assert sides(backtest) == {-1, 0, 1}
    settled = [fill for fill in backtest.fills if fill.reason == "funding"]
    assert len(settled) > 10
    assert {fill.fee > 0 for fill in settled} == {True, False}
    reversed_ = zip(backtest.position[WARM:], backtest.position[WARM + 1 :], strict=False)
    assert any(before * after < 0 for before, after in reversed_)


def test_orders_beyond_the_margin_are_refused_alike(tmp_path: Path) -> None:
    bars = market(300, 9)
    venue = Venue(Costs(taker_fee_bps=5, slippage_bps=101), instrument=RULES)  # all that fraction leaves, and a little
    test = Backtest(MLThreshold, ON_THE_EDGE, cash=1e6, venue=venue)
    backtest, paper = both(tmp_path / "j.sqlite", test, bars, 3)
    assert difference(backtest, paper) == ""
    refused, filled = len(backtest.rejected), sum(fill.reason == "entry" for fill in backtest.fills)
    assert refused > 5
    assert filled > 5
    assert len(paper.rejected) == refused


@settings(max_examples=5, deadline=None)
@given(
    st.integers(0, 10_000),
    st.dictionaries(st.integers(0, 89), st.floats(-0.01, 0.01, allow_subnormal=False), max_size=30),
    st.sampled_from(SETTINGS),
)
def test_any_rates_at_any_bars_are_booked_alike(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rates: dict[int, float], asked: dict[str, Any]
) -> None:
    bars = market(90, seed)
    file = tmp_path_factory.mktemp("perp") / "j.sqlite"
    assert difference(*both(file, run_of(bars, asked, rates), bars, seed)) == ""
