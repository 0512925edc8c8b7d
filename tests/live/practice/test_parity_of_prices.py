"""The practice exchange fills what a backtest fills: the same bars, the same prices, the same quantities."""

from __future__ import annotations

from decimal import Decimal as D

import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue as SimulatedVenue
from itb.indicators.score import ArrayScores
from itb.live.practice.orders import ZERO, Ask, OrderList
from itb.live.practice.settlement import Terms
from itb.live.practice.tape import Tape
from itb.live.practice.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.fills import Fill
from itb.market.instrument import Instrument
from itb.strategies.ml_threshold import MLThreshold

STOP, TARGET = D("0.006"), D("0.012")
RULES = Instrument("BTC/USDT", min_notional=D(5))


def backtest(bars: Bars, slippage_bps: float) -> list[Fill]:
    """Trade wavering scores with a stop and a target, in backtrader."""
    rng = np.random.default_rng(3)
    wave = np.convolve(rng.normal(size=len(bars) + 40), np.ones(8) / 3, "same")[: len(bars)]
    settings = {"buy_threshold": 0.6, "sell_threshold": 0.35, "fraction": 0.5,
                "stop_loss": float(STOP), "take_profit": float(TARGET)}  # fmt: skip
    venue = SimulatedVenue(costs=Costs(10, 7.5, "quote", slippage_bps, 0.0, 0.0), instrument=RULES, first="stop")
    scores = ArrayScores("score", bars.open_time, 1 / (1 + np.exp(-wave)), 0.0, 1.0)
    return list(Backtest(MLThreshold, settings, 10_000.0, venue).run(bars, {"score": scores}).fills)


def rehearse(bars: Bars, wanted: list[Fill], slippage_bps: float) -> list[tuple[int, float, float, float]]:
    """Send the same decisions at the same closes; stop and target rest as a pair and fill by themselves."""
    start = int(bars.close_time[0])
    terms = Terms(D("0.001"), D("0.00075"), "quote", D(repr(slippage_bps)) / 10_000)
    venue = Venue([Tape(bars, RULES, start)], {"USDT": D(10_000)}, terms, start_ms=start)
    pair: OrderList | None = None
    for fill in wanted:
        if fill.reason in {"stop", "target"}:
            continue  # not ours to send: the pair must do it
        venue.advance(fill.open_time)
        if pair is not None and pair.state == "EXECUTING":
            venue.cancel(pair.legs[0])
        side, qty = ("BUY" if fill.qty > 0 else "SELL"), D(repr(abs(fill.qty)))
        order = venue.place(Ask("BTCUSDT", side, "MARKET", qty))
        if side == "BUY":
            paid = order.fills[0].price
            stop, target = (RULES.quantise_price(paid * one, is_buy=False) for one in (1 - STOP, 1 + TARGET))
            pair = venue.place_pair(
                Ask("BTCUSDT", "SELL", "STOP_LOSS", qty, ZERO, stop), Ask("BTCUSDT", "SELL", "LIMIT_MAKER", qty, target)
            )
    venue.advance(int(bars.close_time[-1]))
    return [
        (int(bars.open_time.searchsorted(done.time, side="right")) - 1,
         float(done.qty if done.side == "BUY" else -done.qty), float(done.price), float(done.fee))
        for done in venue.fills("BTCUSDT")
    ]  # fmt: skip


@pytest.mark.parametrize("slippage_bps", [0.0, 5.0])
def test_the_same_decisions_give_the_fills_of_the_backtest(slippage_bps: float) -> None:
    bars = SyntheticMarket(bars=1500, timeframe="1h").bars()["BTC/USDT"]
    wanted = backtest(bars, slippage_bps)
    reasons = {fill.reason for fill in wanted}
    assert {"entry", "signal", "stop", "target"} <= reasons
    assert len(wanted) > 100
    found = rehearse(bars, wanted, slippage_bps)
    assert [one[0] for one in found] == [fill.bar for fill in wanted]
    for place, name in ((1, "qty"), (2, "price"), (3, "fee")):
        theirs = [getattr(fill, name) for fill in wanted]
        np.testing.assert_allclose([one[place] for one in found], theirs, rtol=0, atol=2e-8)
