"""Entries by limit orders: bar by bar as a slow loop does it, and the same however the bars are stepped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.backtest.run import Backtest, TradedMarket
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.laws.parity import check_parity
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.optimize.sweep import unsupported
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

COSTS = Costs(taker_fee_bps=10, maker_fee_bps=2, slippage_bps=5)
BUY, SELL, NOTIONAL = 0.8, 0.2, 1_000.0


def draw_scores(bars: Bars, seed: int) -> Any:
    return np.random.default_rng(seed).uniform(size=len(bars))


def run(bars: Bars, scores: Any, **asked: Any) -> Any:
    chosen = {
        "entry": "limit", "buy_threshold": BUY, "sell_threshold": SELL, "sizing": "fixed_notional",
        "notional": NOTIONAL, **asked,
    }  # fmt: skip
    source = {"s": ArrayScores("s", bars.open_time, np.asarray(scores, dtype=float), 0.0, 1.0)}
    return Backtest(MLThreshold, chosen, 100_000.0, Venue(COSTS)).run(bars, source)


def by_hand(bars: Bars, scores: Any, asked: ThresholdSettings) -> list[tuple[int, float, float, float]]:
    """Fills (bar, quantity, price, fee) of the strategy without protection, one bar after the other."""
    taker, maker, slip = COSTS.taker_fee_bps / 1e4, COSTS.maker_fee_bps / 1e4, COSTS.slippage_bps / 1e4
    found: list[tuple[int, float, float, float]] = []
    held, pending, rest = 0.0, 0.0, None

    def fill(bar: int, qty: float, price: float, rate: float) -> None:
        nonlocal held
        held = held + qty if held * qty >= 0 else 0.0
        found.append((bar, qty, price, abs(qty) * price * rate))

    for bar in range(len(bars)):
        first, high, low, close = (float(getattr(bars, name)[bar]) for name in ("open", "high", "low", "close"))
        if pending:
            fill(bar, pending, first * (1 + slip if pending > 0 else 1 - slip), taker)
            pending = 0.0
        if rest:
            side, qty, limit, placed, since = rest
            if side * (limit - first) >= 0:
                is_new = placed == bar - 1
                slipped = first * (1 + side * slip)
                price = (min(slipped, limit) if side > 0 else max(slipped, limit)) if is_new else first
                fill(bar, qty, price, taker if is_new else maker)
                rest = None
            elif side * (limit - (low if side > 0 else high)) >= 0:
                fill(bar, qty, limit, maker)
                rest = None
        bullish, bearish = scores[bar] >= BUY, scores[bar] <= SELL
        if rest:
            side, qty, limit, placed, since = rest
            is_over = asked.entry_bars and bar - since >= asked.entry_bars
            if bearish if side > 0 else bullish:
                rest = None
            elif is_over:
                rest, pending = None, qty if asked.entry_timeout == "market" else 0.0
            elif asked.entry_reprice:
                price = close * (1 - side * asked.entry_offset_bps / 1e4)
                rest = (side, qty, price, bar if price != limit else placed, since)
        elif held:
            if bearish if held > 0 else bullish:
                pending = -held
        elif bullish or (bearish and asked.allow_short):
            side = 1 if bullish else -1
            price = close * (1 - side * asked.entry_offset_bps / 1e4)
            rest = (side, side * NOTIONAL / max(close, price), price, bar, bar)
    return found


ENTRIES = st.fixed_dictionaries(
    {
        "entry_offset_bps": st.sampled_from((-8.0, 0.0, 3.0, 12.0)),
        "entry_reprice": st.booleans(),
        "entry_bars": st.sampled_from((0, 1, 2, 5)),
        "entry_timeout": st.sampled_from(("cancel", "market")),
        "allow_short": st.booleans(),
    }
)


@settings(max_examples=30)
@given(asked=ENTRIES, seed=st.integers(0, 1_000))
def test_fills_are_those_of_a_slow_loop_over_the_bars(asked: dict[str, Any], seed: int) -> None:
    bars = SyntheticMarket(150, "1m", seed=seed).bars()["BTC/USDT"]
    scores = draw_scores(bars, seed)
    result = run(bars, scores, **asked)
    wanted = by_hand(bars, scores, ThresholdSettings(entry="limit", **asked))
    got = [(fill.bar, fill.qty, fill.price, fill.fee) for fill in result.fills]
    assert len(got) == len(wanted)
    np.testing.assert_allclose(np.array(got).ravel(), np.array(wanted).ravel(), rtol=1e-9)


def test_the_loop_by_hand_meets_every_way_in() -> None:
    """The comparison above is worth something only where limits fill, take, run out of time and are overtaken."""
    bars = SyntheticMarket(600, "1m", seed=3).bars()["BTC/USDT"]
    result = run(bars, draw_scores(bars, 3), entry_offset_bps=3, entry_bars=2, entry_timeout="market", allow_short=True)
    kinds = {(order.kind, order.status) for order in result.orders}
    assert {("Limit", "completed"), ("Limit", "canceled"), ("Market", "completed")} <= {
        (kind.capitalize(), status) for kind, status in kinds
    }
    assert {fill.reason for fill in result.fills} == {"entry", "signal"}


@pytest.mark.parametrize("asked", [
    {"entry_offset_bps": 3, "entry_bars": 3, "stop_loss": 0.002, "take_profit": 0.003, "trailing_stop": 0.002},
    {"entry_offset_bps": 2, "entry_bars": 0, "entry_reprice": False, "cooldown_bars": 4, "max_bars": 20},
    {"entry_offset_bps": 5, "entry_bars": 2, "entry_timeout": "market", "allow_short": True, "stop_loss": 0.003},
])  # fmt: skip
def test_every_stepping_does_the_same(asked: dict[str, Any]) -> None:
    bars = SyntheticMarket(500, "1m", seed=5).bars()["BTC/USDT"]
    source = {"s": ArrayScores("s", bars.open_time, draw_scores(bars, 6), 0.0, 1.0)}
    chosen = {"entry": "limit", "buy_threshold": 0.97, "sell_threshold": 0.03, **asked}
    found = check_parity(Backtest(MLThreshold, chosen, venue=Venue(COSTS)), bars, source)
    assert found.passed, found.evidence
    assert found.figures["fills"] > 8
    assert found.figures["visited"] < len(bars)


def test_several_symbols_share_cash_and_places_alike_however_they_are_stepped() -> None:
    made = SyntheticMarket(symbols=("A/USDT", "B/USDT", "C/USDT"), bars=300, timeframe="1m").bars()
    markets = [
        TradedMarket(bars, {"s": ArrayScores("s", bars.open_time, draw_scores(bars, place), 0.0, 1.0)})
        for place, bars in enumerate(made.values())
    ]
    chosen = {
        "entry": "limit", "entry_offset_bps": 3, "entry_bars": 4, "buy_threshold": 0.9, "sell_threshold": 0.1,
        "stop_loss": 0.004, "allocation": Allocation(max_open_trades=2),
    }  # fmt: skip
    plain, sparse = (
        Backtest(MLThreshold, chosen, venue=Venue(COSTS), stepping=stepping).run_shared(markets)
        for stepping in ("plain", "sparse")
    )
    assert plain.fills == sparse.fills
    assert len(plain.fills) > 20
    assert plain.blocked == sparse.blocked
    assert plain.blocked["max_open_trades"] > 0


def test_an_entry_that_the_cash_no_longer_pays_for_is_given_up() -> None:
    rows = np.array([100.0, 100.0, 104.0, 104.0, 90.0, 90.0])
    bars = Bars.of(
        "BTC/USDT", "1h", np.arange(6) * 3_600_000, open=rows, high=rows, low=rows, close=rows, volume=np.ones(6)
    )
    asked = {"sizing": "percent_of_equity", "fraction": 0.98, "entry_bars": 0, "entry_offset_bps": 100}
    result = run(bars, [0.9, 0.5, 0.5, 0.5, 0.5, 0.5], **asked)
    assert result.fills == ()
    assert result.blocked == {"cash": 1}


@pytest.mark.parametrize(("asked", "told"), [
    ({"entry": "stop"}, 'entry must be "market" or "limit"'),
    ({"entry_timeout": "wait"}, 'entry_timeout must be "cancel" or "market"'),
    ({"entry_offset_bps": 10_000}, "entry_offset_bps must lie between"),
    ({"entry_bars": -1}, "entry_bars must be 0 or more"),
    ({"entry": "limit", "protection_from": "next_bar"}, 'needs protection_from = "fill"'),
])  # fmt: skip
def test_what_cannot_be_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ThresholdSettings(**asked)


def test_the_sweep_leaves_limit_entries_to_backtrader() -> None:
    refused = unsupported(ThresholdSettings(entry="limit"), Venue(), ())
    assert refused is not None
    assert refused.cause == "limit entry"
