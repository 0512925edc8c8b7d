from decimal import Decimal

import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.errors import StrategyError
from itb.indicators.score import ArrayScores
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings

FREE = Venue(costs=Costs(0, 0, slippage_bps=0))
UP, DOWN, IDLE = 0.9, 0.1, 0.5


def bars_of(rows):
    """Bars from (open, high, low, close) rows, an hour each."""
    columns = dict(zip(("open", "high", "low", "close"), zip(*rows, strict=True), strict=True))
    return Bars.of("BTC/USDT", "1h", np.arange(len(rows)) * 3_600_000, **columns, volume=np.full(len(rows), 1e6))


def run(rows, scores, **settings):
    bars = bars_of(rows)
    source = {"s": ArrayScores("s", bars.open_time, np.array(scores, dtype=float), 0.0, 1.0)}
    chosen = {"sizing": "fixed_notional", "notional": 1000.0} | settings
    return Backtest(MLThreshold, chosen, 10_000.0, FREE).run(bars, source)


def fills_of(result):
    return [(fill.bar, round(fill.price, 6), fill.reason) for fill in result.fills]


def flat(price=100.0):
    return (price, price, price, price)


def test_a_decision_at_the_close_fills_at_the_next_open():
    rows = [flat(), (101, 102, 100, 101), (103, 103, 103, 103)]
    assert fills_of(run(rows, [UP, DOWN, IDLE])) == [(1, 101, "entry"), (2, 103, "signal")]


def test_a_stop_touched_in_the_entry_bar_fills_there():
    rows = [flat(), (100, 101, 97, 99), flat(99)]
    assert fills_of(run(rows, [UP, IDLE, IDLE], stop_loss=0.02)) == [(1, 100, "entry"), (1, 98, "stop")]


def test_the_stock_way_ignores_a_stop_in_the_entry_bar():
    rows = [flat(), (100, 101, 97, 99), (99, 99, 99, 99)]
    result = run(rows, [UP, IDLE, IDLE], stop_loss=0.02, protection_from="next_bar")
    assert fills_of(result) == [(1, 100, "entry")]


def test_the_stop_comes_before_the_target_in_the_headline():
    rows = [flat(), (100, 105, 95, 100), flat()]
    result = run(rows, [UP, IDLE, IDLE], stop_loss=0.02, take_profit=0.03)
    assert fills_of(result) == [(1, 100, "entry"), (1, 98, "stop")]
    assert len(result.ambiguous) == 1


def test_a_stop_that_the_market_gaps_through_fills_at_the_open():
    rows = [flat(), flat(), (95, 96, 94, 95), flat()]
    assert fills_of(run(rows, [UP, IDLE, IDLE, IDLE], stop_loss=0.02))[1] == (2, 95, "stop")


def test_an_exit_by_signal_precedes_a_stop_in_the_same_bar():
    rows = [flat(), flat(), (100, 100, 90, 95), flat()]
    assert fills_of(run(rows, [UP, DOWN, IDLE, IDLE], stop_loss=0.02))[1] == (2, 100, "signal")


def test_a_trailing_stop_moves_at_the_close_and_works_from_the_next_bar():
    rows = [flat(), (100, 110, 100, 110), (110, 111, 103, 104), flat(104)]
    result = run(rows, [UP, IDLE, IDLE, IDLE], trailing_stop=0.05)
    assert fills_of(result) == [(1, 100, "entry"), (2, 104.5, "trailing")]


def test_a_position_is_left_after_max_bars():
    result = run([flat()] * 8, [UP, *[IDLE] * 7], max_bars=3)
    assert fills_of(result) == [(1, 100, "entry"), (4, 100, "time")]


def test_no_entry_during_the_cooldown():
    result = run([flat()] * 9, [UP, DOWN, *[UP] * 7], cooldown_bars=3)
    assert [fill[0] for fill in fills_of(result)] == [1, 2, 6]


def test_short_positions_are_off_by_default():
    assert not run([flat()] * 4, [DOWN] * 4).fills


def test_the_opposite_signal_reverses_when_shorts_are_allowed():
    result = run([flat()] * 5, [UP, IDLE, DOWN, IDLE, IDLE], allow_short=True)
    assert fills_of(result) == [(1, 100, "entry"), (3, 100, "signal"), (3, 100, "entry")]
    assert result.position[-1] == -10


def test_an_exit_that_the_venue_refuses_leaves_the_stop_where_it_is():
    venue = Venue(costs=FREE.costs, instrument=Instrument("BTC/USDT", min_notional=Decimal(850)))
    bars = bars_of([flat(), flat(), (100, 100, 84, 84), (90, 112, 90, 111)])
    source = {"s": ArrayScores("s", bars.open_time, np.array([DOWN, IDLE, IDLE, IDLE]), 0.0, 1.0)}
    chosen = {"sizing": "fixed_notional", "notional": 1000.0, "allow_short": True, "stop_loss": 0.1, "max_bars": 2}
    result = Backtest(MLThreshold, chosen, 10_000.0, venue).run(bars, source)
    assert [case.reason for case in result.rejected] == ["time"]
    assert fills_of(result) == [(1, 100, "entry"), (3, 110, "stop")]


def test_what_fees_in_base_leave_of_a_short_is_bought_back_until_nothing_is_left():
    bars = bars_of([flat()] * 12)
    source = {"s": ArrayScores("s", bars.open_time, np.array([DOWN, *[UP] * 9, IDLE, IDLE]), 0.0, 1.0)}
    chosen = {"fraction": 0.5, "allow_short": True, "max_bars": 9}
    results = [
        Backtest(MLThreshold, chosen, venue=Venue(costs=Costs(10, 10, "base")), stepping=stepping).run(bars, source)
        for stepping in ("sparse", "dense")
    ]
    assert results[0].fills == results[1].fills
    assert results[0].trades[0].side == "short"
    assert not results[0].trades[0].is_open


def test_a_subclass_with_its_own_next_gets_every_bar():
    class Counting(MLThreshold):
        calls = 0

        def next(self):
            Counting.calls += 1
            super().next()

    bars = bars_of([flat()] * 50)
    source = {"s": ArrayScores("s", bars.open_time, np.full(50, IDLE), 0.0, 1.0)}
    result = Backtest(Counting).run(bars, source)
    assert (Counting.calls, result.stepped) == (50, "dense")
    assert "overrides next" in result.why_not_sparse


def test_an_entry_that_cannot_be_paid_is_counted():
    result = run([flat(), (150, 150, 150, 150)], [UP, IDLE], sizing="percent_of_equity", fraction=0.99)
    assert not result.fills
    assert [case.reason for case in result.rejected] == ["entry"]
    assert "short of the cash" in result.rejected[0].why


def test_a_missing_score_column_says_what_there_is():
    with pytest.raises(StrategyError, match=r"wants score column 'other', but the feed offers s"):
        run([flat()] * 3, [UP] * 3, score="other")


def test_a_threshold_outside_the_scores_range_is_refused():
    with pytest.raises(StrategyError, match=r"buy_threshold must lie in the score's range \[0, 1\], was 2"):
        run([flat()] * 3, [UP] * 3, buy_threshold=2.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stop_loss": 1.0}, "stop_loss must be a fraction"),
        ({"take_profit": -0.1}, "take_profit must be a fraction"),
        ({"trailing_stop": 1.5}, "trailing_stop must be a fraction"),
        ({"max_bars": -1}, "max_bars and cooldown_bars must be 0 or more"),
        ({"protection_from": "later"}, "protection_from must be"),
        ({"buy_threshold": 0.3}, "buy_threshold must be above sell_threshold"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ThresholdSettings(**settings)
