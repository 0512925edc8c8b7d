"""Tranches that take turns against a loop that steps all of them at once, bar by bar, as a running bot does."""

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest, run_scenarios
from itb.backtest.tranches import TranchedResult
from itb.engine.venue import Venue
from itb.laws.money import check_money
from itb.market.costs import Costs
from itb.mlmodels.thresholds.shadow import in_turn, shadow_trades
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.protections import StopLossGuard

FEE, SLIP = 0.001, 0.0005
COSTS = Costs(10, 10, slippage_bps=5)


class Slow:
    """One part of the account: cash, coins, the order on its way."""

    def __init__(self, cash):
        self.cash, self.size, self.entry, self.begun, self.order, self.entries = cash, 0.0, 0.0, -1, None, []

    def fill(self, bar, qty, market, why):
        price = market * (1 + SLIP if qty > 0 else 1 - SLIP)
        self.cash -= qty * price + abs(qty) * price * FEE
        self.size += qty
        if abs(self.size) < 1e-12:
            self.size = 0.0
        if why == "entry":
            self.entry, self.begun = price, bar
        self.entries.append((bar, round(qty, 9), why))

    def open_bar(self, bar, prices, stop_loss):
        opened, low = prices
        begin = opened
        if self.order is not None:
            (qty, why), self.order = self.order, None
            self.fill(bar, qty, opened, why)
        if self.size and stop_loss:
            level = self.entry * (1 - stop_loss)
            if begin <= level:
                self.fill(bar, -self.size, begin, "stop")
            elif low <= level:
                self.fill(bar, -self.size, level, "stop")

    @property
    def is_busy(self):
        return bool(self.size) or self.order is not None

    def decide(self, bar, close, score, s):
        if not self.size:
            if score >= s["buy_threshold"]:
                self.order = s["fraction"] * self.cash / (close * (1 + FEE + 0.005)), "entry"
        elif score <= s["sell_threshold"]:
            self.order = -self.size, "signal"
        elif s["max_bars"] and bar >= self.begun + s["max_bars"] - 1:
            self.order = -self.size, "time"


def slow(bars, scores, s, count, cash):
    parts, equity = [Slow(cash / count) for _ in range(count)], []
    for bar in range(len(bars)):
        for part in parts:
            part.open_bar(bar, (float(bars.open[bar]), float(bars.low[bar])), s["stop_loss"])
        free = [part for part in parts if not part.is_busy]
        for part in parts:
            if part.is_busy or part is free[0]:
                part.decide(bar, float(bars.close[bar]), float(scores[bar]), s)
        equity.append(sum(part.cash + part.size * bars.close[bar] for part in parts))
    return parts, np.array(equity)


def draw(seed):
    rng = np.random.default_rng(seed)
    settings = {"buy_threshold": 0.6, "sell_threshold": float(rng.choice([0.0, 0.3])), "fraction": 0.95}
    settings |= {"max_bars": int(rng.choice([0, 3, 9])), "stop_loss": float(rng.choice([0.0, 0.005]))}
    return settings, int(rng.choice([1, 2, 3, 5]))


@pytest.mark.parametrize("seed", range(24))
def test_each_trigger_enters_the_first_tranche_that_is_free(seed, by_hand, as_source):
    bars = by_hand.market(240, seed)
    scores = by_hand.scores(len(bars), seed, holes=0.0) if seed % 2 else by_hand.scores(len(bars), seed)
    settings, count = draw(seed)
    test = Backtest(MLThreshold, settings, 10_000.0, Venue(COSTS), tranches=count)
    found = test.run(bars, as_source(bars, scores))
    parts, equity = slow(bars, scores, settings, count, 10_000.0)
    assert found.stepped == "sparse"
    for ours, theirs in zip(found.tranches, parts, strict=True):
        assert [(f.bar, f.reason) for f in ours.fills] == [(bar, why) for bar, _, why in theirs.entries]
        np.testing.assert_allclose([f.qty for f in ours.fills], [qty for _, qty, _ in theirs.entries], rtol=1e-8)
    np.testing.assert_allclose(found.equity, equity, rtol=1e-10)
    assert sum(len(part.fills) for part in found.tranches) == len(found.fills) > 4


@pytest.mark.parametrize("seed", range(3))
def test_every_stepping_gives_the_same_tranches(seed, by_hand, as_source):
    bars = by_hand.market(240, seed)
    source = as_source(bars, by_hand.scores(len(bars), seed))
    settings = {"buy_threshold": 0.6, "sell_threshold": 0.2, "max_bars": 8, "stop_loss": 0.01, "take_profit": 0.01}
    more = {"protections": (StopLossGuard(40, 2, 10),), "trailing_stop": 0.01}
    runs = [
        Backtest(MLThreshold, settings | more, 10_000.0, Venue(COSTS), how, tranches=3).run(bars, source)
        for how in ("sparse", "dense", "plain")
    ]
    assert [run.stepped for run in runs] == ["sparse", "dense", "plain"]
    for other in runs[1:]:
        assert other.fills == runs[0].fills
        assert other.orders == runs[0].orders
        assert np.array_equal(other.equity, runs[0].equity)


def test_one_tranche_is_the_plain_backtest(by_hand, as_source):
    bars = by_hand.market(240, 1)
    source = as_source(bars, by_hand.scores(len(bars), 1))
    settings = {"buy_threshold": 0.6, "sell_threshold": 0.4, "stop_loss": 0.01, "allow_short": True}
    plain = Backtest(MLThreshold, settings, 10_000.0, Venue(COSTS)).run(bars, source)
    one = Backtest(MLThreshold, settings, 10_000.0, Venue(COSTS), tranches=1).run(bars, source)
    assert one.fills == plain.fills
    assert one.trades == plain.trades
    assert np.array_equal(one.equity, plain.equity)


def test_the_account_is_the_sum_of_its_tranches_and_each_keeps_the_money_law(by_hand, as_source):
    bars = by_hand.market(240, 2)
    source = as_source(bars, by_hand.scores(len(bars), 2))
    settings = {"buy_threshold": 0.55, "sell_threshold": 0.2, "max_bars": 12, "stop_loss": 0.01}
    found = Backtest(MLThreshold, settings, 9_000.0, Venue(COSTS), tranches=3).run(bars, source)
    assert isinstance(found, TranchedResult)
    for part in found.tranches:
        assert part.starting_cash == pytest.approx(3_000.0)
        law = check_money(
            bars, part.fills, start_cash=part.starting_cash, equity=part.equity, cash=part.cash,
            position=part.position, trades=part.trades, dust=part.dust,
        )  # fmt: skip
        assert law, law.evidence
    np.testing.assert_allclose(found.equity, found.cash + found.position * bars.close, rtol=1e-12)
    assert sum(trade.pnl for trade in found.trades) == pytest.approx(found.end_value - 9_000.0)
    ids = [order.order_id for order in found.orders]
    assert len(set(ids)) == len(ids)
    assert {fill.order_id for fill in found.fills} <= set(ids)
    assert max(np.sum([part.position > 0 for part in found.tranches], axis=0)) == 3


@pytest.mark.parametrize("tranches", [1, 2, 4])
def test_shadows_in_tranches_are_the_trades_of_the_backtest(tranches, by_hand, as_source):
    """A fixed holding time, no other exit: the shadow's triggers in turn are the backtest's entries."""
    hold, free = 5, Costs(0, 0, slippage_bps=0)
    for seed in range(6):
        bars = by_hand.market(240, seed)
        scores = by_hand.scores(len(bars), seed)
        settings = {"buy_threshold": 0.6, "sell_threshold": 0.0, "max_bars": hold}
        found = Backtest(MLThreshold, settings, 10_000.0, Venue(free), tranches=tranches).run(
            bars, as_source(bars, scores)
        )
        sides = np.where(np.nan_to_num(scores) >= 0.6, 1, 0).astype(np.int8)
        if np.diff(bars.open_time).max() > 3_600_000:
            continue
        trades = shadow_trades(sides, bars.open, hold, 0.0)
        taken = in_turn(trades.row, hold, tranches)
        closed = sorted((trade for trade in found.trades if not trade.is_open), key=lambda trade: trade.entry_bar)
        assert [trade.entry_bar for trade in closed] == (trades.row[taken] + 1).tolist()
        np.testing.assert_allclose([trade.return_ for trade in closed], trades.profit[taken], rtol=1e-9, atol=1e-12)


def test_any_strategy_of_backtraders_takes_turns(by_hand):
    class Monday(bt.Strategy):
        def __init__(self):
            self.begun = 0

        def nextstart(self):
            self.begun += 1
            self.next()

        def next(self):
            if not self.position:
                self.buy(size=1.0)
            elif len(self) % 24 == 0:
                self.close()

    bars = by_hand.market(120, 3)
    found = Backtest(Monday, {}, 10_000.0, Venue(COSTS), tranches=2).run(bars)
    first, second = (part.fills for part in found.tranches)
    assert [fill.bar for fill in first[:2]] == [1, 24]
    assert [fill.bar for fill in second[:2]] == [2, 24]
    assert found.stepped == "dense"


def test_tranches_pass_through_both_orders_of_events(by_hand, as_source):
    bars = by_hand.market(240, 4)
    source = as_source(bars, by_hand.scores(len(bars), 4))
    settings = {"buy_threshold": 0.55, "sell_threshold": 0.2, "stop_loss": 0.003, "take_profit": 0.003}
    found = run_scenarios(Backtest(MLThreshold, settings, 9_000.0, Venue(COSTS), tranches=3), bars, source)
    assert found.headline.ambiguous
    assert isinstance(found.other, TranchedResult)


def test_tranches_below_zero_are_refused():
    with pytest.raises(ValueError, match="tranches must be 0 or more, was -1"):
        Backtest(MLThreshold, tranches=-1)
