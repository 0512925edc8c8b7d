"""Law 4 on the live path: a market that is played again through the scheduler is decided on as in a backtest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.backtest.account import account, fills
from itb.backtest.result import BacktestResult, OrderRecord
from itb.backtest.run import Backtest, TradedMarket
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.engine.venue_broker import VenueBroker
from itb.indicators.score import ArrayScores
from itb.laws.parity import difference
from itb.live.bars.barrier import BarrierRules
from itb.live.bars.played import Stage, play
from itb.live.bars.replay import BarFaults
from itb.live.bars.schedule import BarRules
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Hosting, LiveHost, LiveMarket
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import MLThreshold

WARM = 50


NO_FAULTS = BarFaults()


def market(bars: int, seed: int = 7) -> Bars:
    return SyntheticMarket(bars, "1m", seed=seed).bars()["BTC/USDT"]


def live(
    test: Backtest, bars: Bars, scores: Mapping[str, Any], warm: int, faults: BarFaults = NO_FAULTS, keep: int = 0
) -> Any:
    """Run the backtest's own strategy and venue on live steps; give the same kind of result."""
    venue = dataclasses.replace(test.venue, trading_start=warm)
    broker = VenueBroker(venue=venue)
    broker.setcash(test.cash)
    troubles: list[Any] = []
    lived = LiveMarket(GrowingBars(bars.head(warm), keep), scores)
    host = LiveHost(test.strategy, test.settings, broker, {bars.symbol: lived}, Hosting(trouble=troubles.append))
    stage = Stage(
        BarRules(bars.timeframe, gaps="drop", give_up_ms=50_000), BarrierRules(bars.timeframe, fresh_ms=60_000), faults
    )
    for step in play({bars.symbol: bars}, warm, stage).steps:
        host.step(step)
    host.stop()
    host.run()
    assert troubles == []
    books = account(bars, test.cash, broker.log)
    return BacktestResult(
        bars=bars, start=warm, starting_cash=test.cash, costs=venue.costs, dust=venue.dust,
        cash=books.cash, position=books.position, equity=books.equity,
        fills=tuple(fills(bars, broker.log, venue.costs.fee_currency)),
        market_prices=np.array([one.market_price for one in broker.log]),
        orders=tuple(OrderRecord.of(order, broker) for order in broker.sent), rejected=tuple(broker.rejected),
        ambiguous=tuple(broker.shields.ambiguous), stepped="blind", visited=len(bars), why_not_sparse="",
    )  # fmt: skip


def scores_of(bars: Bars, seed: int, column: str = "up") -> dict[str, ArrayScores]:
    draw = np.random.default_rng(seed).uniform(size=len(bars))
    draw[np.random.default_rng(seed + 1).uniform(size=len(bars)) < 0.02] = np.nan
    return {column: ArrayScores(column, bars.open_time, draw, 0.0, 1.0)}


SETTINGS: list[dict[str, Any]] = [
    {"buy_threshold": 0.9, "sell_threshold": 0.1},
    {"buy_threshold": 0.8, "sell_threshold": 0.3, "allow_short": True, "cooldown_bars": 3},
    {"buy_threshold": 0.7, "sell_threshold": 0.05, "stop_loss": 0.002, "take_profit": 0.003, "max_bars": 30},
    {"buy_threshold": 0.9, "sell_threshold": 0.02, "trailing_stop": 0.002, "sizing": "volatility_target"},
    {"buy_threshold": 0.9, "sell_threshold": 0.1, "stop_loss": 0.003, "protection_from": "next_bar"},
]


@pytest.mark.parametrize("asked", SETTINGS)
def test_live_sends_the_same_orders_and_gets_the_same_fills_as_the_backtest(asked: dict[str, Any]) -> None:
    bars = market(500, 7)
    scores = scores_of(bars, seed=3)
    test = Backtest(MLThreshold, asked, venue=Venue(Costs(taker_fee_bps=5, slippage_bps=1)))
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    lived = live(test, bars, scores, WARM)
    assert len(backtest.fills) > 10
    assert difference(backtest, lived, ("backtest", "live")) == ""


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(0, 1_000))
def test_faults_of_the_exchange_that_change_no_bar_change_no_decision(seed: int, faults: int) -> None:
    bars = market(120, seed)
    scores = scores_of(bars, seed)
    test = Backtest(MLThreshold, SETTINGS[1])
    plan = BarFaults(late=0.3, late_ms=20_000, repeated=0.3, shuffled=0.3, failing=0.1, silent=0.3, seed=faults)
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    assert difference(backtest, live(test, bars, scores, WARM, plan), ("backtest", "live")) == ""


@pytest.mark.parametrize("asked", SETTINGS[:4])
def test_several_symbols_on_one_account_are_decided_on_alike_live(asked: dict[str, Any]) -> None:
    made = SyntheticMarket(symbols=("A/USDT", "B/USDT", "C/USDT"), bars=400, timeframe="1m").bars()
    traded, rng = [], np.random.default_rng(4)
    for place, bars in enumerate(made.values()):
        keep = (np.arange(400) < WARM) | (rng.random(400) > 0.03 * place)  # gaps, each at times of its own
        part = Bars.of(
            bars.symbol, bars.timeframe, bars.open_time[keep], **{k: v[keep] for k, v in bars.columns.items()}
        )
        traded.append(TradedMarket(part, scores_of(part, seed=place)))
    given = {**asked, "allocation": Allocation(max_open_trades=2)}
    venue, start = Venue(Costs(taker_fee_bps=5, slippage_bps=1)), int(traded[0].bars.open_time[WARM])
    backtest = Backtest(MLThreshold, given, venue=venue).run_shared(traded, start)
    broker = VenueBroker(venue=venue)
    broker.setcash(10_000.0)
    troubles: list[Any] = []
    markets = {one.bars.symbol: LiveMarket(GrowingBars(one.bars.head(WARM)), one.scores) for one in traded}
    host = LiveHost(MLThreshold, given, broker, markets, Hosting(trouble=troubles.append))
    stage = Stage(
        BarRules(traded[0].bars.timeframe, gaps="drop", give_up_ms=50_000),
        BarrierRules(traded[0].bars.timeframe, fresh_ms=60_000),
        NO_FAULTS,
    )
    for step in play({one.bars.symbol: one.bars for one in traded}, WARM, stage).steps:
        host.step(step)
    host.stop()
    host.run()
    assert troubles == []
    assert len(backtest.fills) > 20
    ours = [(fill.symbol, fill.bar, fill.qty, fill.price, fill.reason) for fill in backtest.fills]
    assert [(one.symbol, one.bar, one.qty, one.price, one.reason) for one in broker.log] == ours
    assert broker.getcash() == backtest.cash[-1]


def test_a_changed_bar_is_found_by_the_comparison() -> None:
    """The test that says so must be able to fail."""
    bars = market(300, 7)
    scores = scores_of(bars, seed=3)
    test = Backtest(MLThreshold, SETTINGS[0])
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    lived = live(test, bars, scores, WARM, BarFaults(revised=1.0))
    assert "differ" in difference(backtest, lived, ("backtest", "live"))


@pytest.mark.real
def test_two_real_days_of_minutes_are_decided_on_alike(real_data: Callable[[str], Path]) -> None:
    from itb.datafeeds.importers import read_file

    bars = read_file(real_data("binance/BTCUSDT-1m.parquet")).tail(2_880 + WARM)
    scores = scores_of(bars, seed=5)
    test = Backtest(MLThreshold, {"buy_threshold": 0.97, "sell_threshold": 0.03, "stop_loss": 0.004})
    backtest = test.run(bars, scores, int(bars.open_time[WARM]))
    assert len(backtest.fills) > 50
    assert difference(backtest, live(test, bars, scores, WARM), ("backtest", "live")) == ""


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_thirty_real_days_of_minutes_are_decided_on_alike(real_data: Callable[[str], Path], symbol: str) -> None:
    from itb.datafeeds.importers import read_file

    bars = read_file(real_data(f"binance/{symbol}-1m.parquet")).tail(30 * 1_440 + WARM)
    for asked in SETTINGS:
        scores = scores_of(bars, seed=5)
        test = Backtest(MLThreshold, asked)
        backtest = test.run(bars, scores, int(bars.open_time[WARM]))
        assert difference(backtest, live(test, bars, scores, WARM), ("backtest", "live")) == ""
