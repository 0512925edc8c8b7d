"""What vectorbt is shown leaves nothing out: crossings and bars in reach, against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.indicators.signals import ThresholdRule
from itb.market.bars import Bars
from itb.optimize.crossings import Crossings
from itb.optimize.reach import Reach

scores = st.lists(st.one_of(st.just(float("nan")), st.integers(-5, 5).map(float)), min_size=2, max_size=40)


@given(scores, st.integers(-4, 5), st.integers(1, 6), st.integers(0, 39))
def test_changes_are_those_of_a_loop_over_the_bars(values, buy, apart, first):
    score, rule, first = np.array(values), ThresholdRule(float(buy), float(buy - apart)), min(first, len(values) - 1)
    expected, last = [], None
    for bar in range(first, len(score)):
        said = True if score[bar] >= rule.buy else False if score[bar] <= rule.sell else None
        if said is not None and said is not last:
            expected.append((bar, said))
            last = said
    bars, bullish = Crossings(score).changes(rule, first)
    assert list(zip(bars.tolist(), bullish.tolist(), strict=True)) == expected


@given(scores, st.integers(-4, 5), st.integers(1, 6), st.sets(st.integers(0, 39)))
def test_the_first_signal_from_each_end_on_is_among_the_returns(values, buy, apart, ended):
    score, rule = np.array(values), ThresholdRule(float(buy), float(buy - apart))
    ends = np.array(sorted(bar for bar in ended if bar < len(score)), dtype=np.int64)
    bars, bullish = Crossings(score).with_returns(rule, ends, 0, allow_short=True)
    assert [bool(score[bar] >= rule.buy) for bar in bars] == bullish.tolist()
    assert (np.diff(bars) > 0).all()
    signals = np.flatnonzero((score >= rule.buy) | (score <= rule.sell))
    for end in ends:
        for kind in (score >= rule.buy, score <= rule.sell):
            following = [bar for bar in signals if bar >= end and kind[bar]]
            assert not following or following[0] in bars


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("allow_short", [False, True])
def test_every_bar_that_can_end_a_position_is_in_reach(seed, allow_short):
    rng = np.random.default_rng(seed)
    n, stop, target, slip = 150, 0.02, 0.03, 0.001
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = close * np.exp(rng.normal(0, 0.004, n))
    high, low = np.maximum(opened, close) * 1.003, np.minimum(opened, close) * 0.997
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones(n)}
    bars = Bars.of("BTC/USDT", "1h", 3_600_000 * np.arange(n), **columns)
    reach = Reach.of(bars).touched(stop, target, allow_short=allow_short, slippage=slip, slack=1e-12)
    for side in (1, -1) if allow_short else (1,):
        for entry in range(n):
            price = opened[entry] * (1 + side * slip)
            below, above = sorted((price * (1 - side * stop), price * (1 + side * target)))
            touches = np.flatnonzero((low[entry:] <= below) | (high[entry:] >= above))
            assert not len(touches) or reach[entry + touches[0]]
    assert reach.sum() < n
