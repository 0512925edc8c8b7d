import numpy as np
import pytest

from itb.backtest.prices import FinerBars, funding_by_bar, market_prices, vwap
from itb.errors import BarsError
from itb.market.bars import Bars

MINUTE, HOUR = 60_000, 3_600_000


def hours(n, **extras):
    columns = {"open": 100.0, "high": 110.0, "low": 90.0, "close": 104.0, "volume": 10.0}
    arrays = {name: np.full(n, value) for name, value in columns.items()}
    return Bars.of("BTC/USDT", "1h", np.arange(n) * HOUR, **arrays, **extras)


def minutes(opens, *, start=0, highs=None, lows=None):
    opens = np.asarray(opens, dtype=float)
    high = opens if highs is None else np.asarray(highs, dtype=float)
    low = opens if lows is None else np.asarray(lows, dtype=float)
    times = start + np.arange(len(opens)) * MINUTE
    return Bars.of("BTC/USDT", "1m", times, open=opens, high=high, low=low, close=opens, volume=np.ones(len(opens)))


def test_the_open_is_the_default():
    assert market_prices(hours(2), "open", 0, None) is None


def test_the_average_price_comes_from_the_turnover():
    assert vwap(hours(1, quote_volume=[1020.0])).tolist() == [102.0]


def test_without_turnover_the_average_is_that_of_high_low_and_close():
    assert vwap(hours(1)).tolist() == [pytest.approx(304 / 3)]


def test_a_nonsense_turnover_stays_within_the_bar():
    assert vwap(hours(1, quote_volume=[5000.0])).tolist() == [110.0]


def test_worst_of_is_worse_for_either_side():
    buy, sell = market_prices(hours(1, quote_volume=[1020.0]), "worst_of", 0, None)
    assert (buy.tolist(), sell.tolist()) == ([102.0], [100.0])


def test_a_delay_takes_the_finer_bar_that_opens_after_it():
    buy, sell = market_prices(hours(1), "open", 30_000, minutes(100 + np.arange(60.0) / 10))
    assert buy.tolist() == sell.tolist() == [100.1]


def test_a_delay_past_the_last_finer_bar_takes_the_close():
    buy, _ = market_prices(hours(1), "open", 30_000, minutes([100.0]))
    assert buy.tolist() == [104.0]


def test_a_delay_without_finer_bars_is_refused():
    with pytest.raises(BarsError, match=r"a fill delay of 5 s needs bars finer than 1h"):
        market_prices(hours(1), "open", 5000, None)


def test_a_delay_as_long_as_a_bar_is_refused():
    with pytest.raises(BarsError, match="a fill delay of 3600 s is as long as a bar of 1h"):
        market_prices(hours(1), "open", HOUR, minutes([100.0]))


def test_finer_bars_tell_which_leg_was_touched_first():
    path = minutes([100, 100, 100], highs=[101, 109, 101], lows=[99, 99, 91])
    settle = FinerBars(hours(1), path)
    assert settle(0, 92.0, 108.0, True) == "target"
    assert settle(0, 108.0, 92.0, False) == "stop"


def test_finer_bars_that_touch_both_at_once_do_not_know():
    settle = FinerBars(hours(1), minutes([100, 100], highs=[109, 100], lows=[91, 100]))
    assert settle(0, 92.0, 108.0, True) is None


def test_missing_finer_bars_do_not_know():
    settle = FinerBars(hours(2), minutes([100], start=0))
    assert settle(1, 92.0, 108.0, True) is None


def test_finer_bars_of_another_symbol_are_refused():
    other = Bars.of("ETH/USDT", "1m", [0], open=[1], high=[1], low=[1], close=[1], volume=[1])
    with pytest.raises(BarsError, match="cannot settle"):
        FinerBars(hours(1), other)


def test_a_missing_finer_bar_before_the_touch_leaves_the_question_open():
    path = minutes([100, 100, 100], highs=[101, 101, 109], lows=[99, 99, 99])
    assert FinerBars(hours(1), path)(0, 92.0, 108.0, True) == "target"
    holed = path.slice(0, 1), path.slice(2, None)
    columns = {name: np.concatenate([part[name] for part in holed]) for name in path.columns}
    times = np.concatenate([part.open_time for part in holed])
    settle = FinerBars(hours(1), Bars.of("BTC/USDT", "1m", times, **columns))
    assert settle(0, 92.0, 108.0, True) is None


def test_funding_at_an_open_is_charged_there_though_the_stamp_is_a_little_late():
    bars = hours(10)
    times = np.array([-8 * HOUR, 0, 8 * HOUR + 1, 8 * HOUR + 2, 99 * HOUR])
    assert funding_by_bar(bars, times, np.array([9.0, 0.1, 0.2, 0.3, 9.0])) == {0: 0.1, 8: pytest.approx(0.5)}


def test_funding_inside_a_bar_is_charged_at_the_next_open_to_who_still_holds():
    times = np.array([0, HOUR // 2, 9 * HOUR + 1001])
    assert funding_by_bar(hours(10), times, np.array([0.1, 0.2, 0.3])) == {0: 0.1, 1: 0.2}


def test_funding_where_bars_are_missing_is_charged_at_the_next_open():
    full = hours(10)
    keep = [0, 1, 6, 7]
    bars = Bars.of("BTC/USDT", "1h", full.open_time[keep], **{name: full[name][keep] for name in full.columns})
    assert funding_by_bar(bars, np.array([4 * HOUR]), np.array([0.1])) == {2: 0.1}


def test_funding_that_misses_every_bar_is_refused():
    with pytest.raises(BarsError, match="no funding settlement lies between"):
        funding_by_bar(hours(2), np.array([99 * HOUR]), np.array([0.1]))
