"""Protections in the strategies: the same whichever way the bars are stepped, and whatever is forgotten in between."""

import dataclasses

import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.score import ArrayScores
from itb.laws.parity import check_parity
from itb.laws.strategy import check_strategy_causal
from itb.ledger.trades import TradeBook
from itb.strategies.base import Strategy
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings
from itb.strategies.protections import Cooldown, LowProfitSymbol, MaxDrawdown, StopLossGuard
from itb.strategies.scheduled import Change, ScheduledThreshold
from itb.strategies.signal_strategy import SignalStrategy

RULES = {
    "cooldown": (Cooldown(7),),
    "guard": (StopLossGuard("1d", 2, "9h"),),
    "guard of a side": (StopLossGuard(40, 1, 25, only_per_side=True),),
    "low profit": (LowProfitSymbol(60, 2, 30),),
    "drawdown": (MaxDrawdown("3d", 2, "20h", 0.01),),
    "all": (Cooldown(2), StopLossGuard(20, 2, 8), LowProfitSymbol(50, 3, 12), MaxDrawdown(80, 4, 24, 0.02)),
}
SETTINGS = {
    "long": {"stop_loss": 0.01, "take_profit": 0.02},
    "both sides": {"allow_short": True, "stop_loss": 0.006},
    "trailing": {"trailing_stop": 0.008, "max_bars": 15, "cooldown_bars": 3},
}


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=300).bars()["BTC/USDT"]


def score(bars, seed=0):
    rng = np.random.default_rng(seed)
    values = 0.5 + 0.2 * np.sin(np.arange(len(bars)) / 5) + rng.normal(0, 0.08, len(bars))
    values[rng.random(len(bars)) < 0.05] = np.nan
    return {"s": ArrayScores("s", bars.open_time, values, 0.0, 1.0)}


def flags(bars, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: ArrayScores(name, bars.open_time, (rng.random(len(bars)) < 0.2).astype(float), 0.0, 1.0)
        for name in ("buy", "sell")
    }


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_every_stepping_takes_the_same_decisions_and_holds_the_same_entries_back(bars, rules, settings):
    for kind, scores in ((MLThreshold, score(bars)), (SignalStrategy, flags(bars))):
        test = Backtest(kind, {**settings, "protections": rules})
        found = check_parity(test, bars, scores, int(bars.open_time[60]))
        assert found, found.evidence
    assert test.run(bars, scores).blocked


def test_sparse_stepping_still_visits_few_bars(bars):
    rare = ArrayScores("s", bars.open_time, (np.arange(len(bars)) % 50 == 0) * 0.6 + 0.3, 0.0, 1.0)
    settings = {"max_bars": 5, "buy_threshold": 0.8, "sell_threshold": 0.1}
    result = Backtest(MLThreshold, {**settings, "protections": (Cooldown(60),)}).run(bars, {"s": rare})
    assert result.stepped == "sparse"
    assert result.visited < len(bars) / 4
    assert result.blocked == {"cooldown": 3}  # at bars 50, 150 and 250


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_schedule_of_settings_asks_them_too(bars, rules):
    low = ThresholdSettings(buy_threshold=0.52, sell_threshold=0.48, stop_loss=0.01)
    both = ThresholdSettings(buy_threshold=0.55, sell_threshold=0.45, allow_short=True, stop_loss=0.006)
    changes = tuple(Change(int(bars.open_time[bar]), each) for bar, each in ((40, low), (200, both), (260, low)))
    found = check_parity(Backtest(ScheduledThreshold, {"changes": changes, "protections": rules}), bars, score(bars))
    assert found, found.evidence


def in_hours(rule):
    """Give the same rule with its lengths counted in bars."""
    units = {"d": 24, "h": 1}
    told = {name: value for name, value in vars(rule).items() if isinstance(value, str)}
    return dataclasses.replace(rule, **{name: int(value[:-1]) * units[value[-1]] for name, value in told.items()})


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_no_entry_is_decided_while_a_lock_stands(bars, rules, slow):
    settings = {**SETTINGS["both sides"], "protections": rules}
    result = Backtest(MLThreshold, settings).run(bars, score(bars))
    closed = [trade for trade in result.trades if not trade.is_open]
    assert len(closed) > 3
    for trade in result.trades:
        hour = (trade.entry_time - bars.timeframe.ms) // slow.HOUR
        before = [other for other in closed if other.exit_time <= hour * slow.HOUR]
        assert not any(slow.forbidden(in_hours(rule), before, hour, trade.symbol, trade.side) for rule in rules)


class Forgetful(MLThreshold):
    """Restarts before every bar: knows its fills, and nothing else that it has learned."""

    def __init__(self):
        super().__init__()
        self.fills = []

    def _fill(self, order, bit):
        self.fills.append(super()._fill(order, bit))
        return self.fills[-1]

    @property
    def history(self):
        book = TradeBook(self.data.bars.symbol, self.venue.dust)
        for fill in self.fills:
            book.add(fill)
        return book

    def next(self):
        self._gate = None
        super().next()


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_restart_changes_nothing(bars, rules):
    few = bars.head(200)
    settings = {**SETTINGS["long"], "protections": rules}
    usual, restarted = (Backtest(kind, settings).run(few, score(few)) for kind in (MLThreshold, Forgetful))
    assert restarted.fills == usual.fills
    assert restarted.blocked == usual.blocked
    assert len(usual.fills) > 5


def test_a_protection_that_never_locks_changes_nothing(bars):
    settings = {**SETTINGS["both sides"]}
    rules = (MaxDrawdown(48, 1, 10, 5.0), StopLossGuard(48, 10_000, 10))
    with_rules = Backtest(MLThreshold, {**settings, "protections": rules}).run(bars, score(bars))
    assert with_rules.fills == Backtest(MLThreshold, settings).run(bars, score(bars)).fills
    assert with_rules.blocked == {}


def test_a_cooldown_of_a_long_only_strategy_is_the_setting_of_that_name(bars):
    settings = {"stop_loss": 0.01, "cooldown_bars": 9}
    by_setting = Backtest(MLThreshold, settings).run(bars, score(bars))
    by_rule = Backtest(MLThreshold, {**settings, "cooldown_bars": 0, "protections": (Cooldown(9),)})
    assert by_rule.run(bars, score(bars)).fills == by_setting.fills


def test_a_cooldown_makes_an_exit_of_a_reversal(bars):
    result = Backtest(MLThreshold, {"allow_short": True, "protections": (Cooldown(1),)}).run(bars, score(bars))
    ends = {trade.exit_bar for trade in result.trades if not trade.is_open}
    assert ends.isdisjoint({trade.entry_bar for trade in result.trades})
    assert {trade.side for trade in result.trades} == {"long", "short"}


def test_protections_are_causal(bars):
    test = Backtest(MLThreshold, {**SETTINGS["long"], "protections": RULES["all"]})
    found = check_strategy_causal(test, bars, score(bars))
    assert found, found.evidence


class Impatient(Strategy):
    """A strategy of somebody's own, that buys whenever it may and holds for two bars."""

    def next(self):
        if self.is_waiting:
            return
        if self.held:
            if len(self.data) - self.history.open.entry_bar > 2:
                self.send(-self.held, "signal")
        elif self.entries_allowed():
            self.send(0.01, "entry")


def test_a_strategy_of_ones_own_asks_whether_it_may_enter(bars):
    few = bars.head(12)
    result = Backtest(Impatient, {"protections": (Cooldown(3),)}).run(few)
    assert [(fill.bar, fill.reason) for fill in result.fills] == [
        (1, "entry"),
        (4, "signal"),
        (8, "entry"),
        (11, "signal"),
    ]
    assert result.blocked == {"cooldown": 4}  # at bars 4, 5, 6 and 11
