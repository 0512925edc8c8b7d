"""Each protection on a history written by hand."""

import pytest

from itb.strategies.protections import Cooldown, LowProfitSymbol, MaxDrawdown, StopLossGuard
from itb.strategies.protections.locks import Gate, locks
from itb.strategies.protections.max_drawdown import drawdown

HOUR = 3_600_000


@pytest.fixture
def ended(slow):
    return slow.ended


def spans(rule, trades):
    """Locks in hours."""
    return [(lock.from_ms // HOUR, lock.until_ms // HOUR) for lock in locks([rule], trades, HOUR)]


def test_a_cooldown_follows_every_trade_of_its_symbol(ended):
    (lock,) = locks([Cooldown(2)], [ended(5)], HOUR)
    assert [lock.holds(hour * HOUR, "BTC/USDT", "short") for hour in (4, 5, 6, 7)] == [False, True, True, False]
    assert not lock.holds(5 * HOUR, "ETH/USDT", "long")


def test_the_guard_counts_losing_stops_alone(ended):
    history = [ended(1, -0.01, "stop"), ended(2, -0.01, "signal"), ended(3, 0.01, "trailing"), ended(4, -0.01, "stop")]
    assert spans(StopLossGuard(lookback=10, trade_limit=2, stop_duration=5), history) == [(4, 9)]
    assert spans(StopLossGuard(lookback=10, trade_limit=3, stop_duration=5), history) == []
    more = StopLossGuard(lookback=10, trade_limit=3, stop_duration=5, required_profit=0.02)
    assert spans(more, history) == [(4, 9)]


def test_a_lookback_of_n_bars_ends_n_bars_back(ended):
    history = [ended(1, -0.01, "stop"), ended(4, -0.01, "stop")]
    assert spans(StopLossGuard(lookback=3, trade_limit=2, stop_duration=5), history) == []
    assert spans(StopLossGuard(lookback=4, trade_limit=2, stop_duration=5), history) == [(4, 9)]


def test_a_guard_of_one_side_leaves_the_other_alone(ended):
    history = [ended(1, -0.01, "stop", "short"), ended(2, -0.01, "stop", "long"), ended(3, -0.01, "stop", "short")]
    (lock,) = locks([StopLossGuard(10, 2, 5, only_per_side=True)], history, HOUR)
    assert lock.holds(4 * HOUR, "ETH/USDT", "short")
    assert not lock.holds(4 * HOUR, "BTC/USDT", "long")


def test_low_profit_is_the_sum_over_the_symbol(ended):
    history = [ended(1, 0.02), ended(2, -0.03), ended(3, -0.5, symbol="ETH/USDT")]
    assert spans(LowProfitSymbol(10, 2, 4), history) == [(2, 6)]
    assert spans(LowProfitSymbol(10, 2, 4, required_profit=-0.02), history) == []


def test_drawdown_begins_at_nothing_or_at_the_best_so_far(ended):
    history = [ended(1, -0.05), ended(2, 0.2), ended(3, -0.04), ended(4, -0.02)]
    assert drawdown([trade.return_ for trade in history]) == pytest.approx(0.06)
    assert spans(MaxDrawdown(10, 1, 2, 0.045), history) == [(1, 3), (2, 4), (3, 5), (4, 6)]
    assert spans(MaxDrawdown(10, 4, 2, 0.055), history) == [(4, 6)]
    assert spans(MaxDrawdown(2, 1, 2, 0.055), history) == [(4, 6)]


def test_a_later_gain_lifts_no_lock(ended):
    gate = Gate([LowProfitSymbol(10, 1, 8)], HOUR)
    history = [ended(1, -0.1)]
    assert gate.forbids(history, 2 * HOUR, "BTC/USDT", "long") == "low_profit_symbol"
    assert gate.forbids([*history, ended(3, 0.5)], 4 * HOUR, "BTC/USDT", "long") == "low_profit_symbol"
    assert gate.forbids([*history, ended(3, 0.5)], 9 * HOUR, "BTC/USDT", "long") == ""


def test_only_a_cooldown_forbids_to_turn_round():
    rules = [MaxDrawdown(), StopLossGuard(), LowProfitSymbol()]
    assert Gate(rules, HOUR).forbids([], 0, "BTC/USDT", "long", is_reversal=True) == ""
    assert Gate([*rules, Cooldown()], HOUR).forbids([], 0, "BTC/USDT", "long", is_reversal=True) == "cooldown"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cooldown(0), 'stop_duration must be a length such as "12h" or a number of bars above 0, was 0'),
        (lambda: StopLossGuard(lookback="1y"), "lookback must be a length such as .*, was '1y'"),
        (lambda: LowProfitSymbol(trade_limit=0), "trade_limit must be at least 1 trade, was 0"),
        (lambda: MaxDrawdown(max_allowed_drawdown=-0.1), "max_allowed_drawdown must be a fraction of 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
