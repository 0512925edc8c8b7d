"""Shadow trades against a loop that holds each trade by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.thresholds.shadow import shadow_trades

SIDES = st.lists(st.integers(-1, 1), min_size=1, max_size=40)


@given(SIDES, st.integers(1, 6), st.integers(0, 5))
def test_each_trade_is_that_of_a_slow_loop(sides, hold, seed):
    opens = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(sides))))
    trades = shadow_trades(np.array(sides, dtype=np.int8), opens, hold, 0.002)
    expected, busy_until = [], -1
    for row, side in enumerate(sides):
        if side and row + 1 + hold < len(sides):
            profit = side * (opens[row + 1 + hold] / opens[row + 1] - 1) - 0.002
            alone = row + 1 >= busy_until  # the trade before has been closed at the open at which this one begins
            busy_until = row + 1 + hold if alone else busy_until
            expected.append((row, side, profit, alone))
    found = list(zip(trades.row, trades.side, trades.profit, trades.is_alone, strict=True))
    assert len(trades) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one[0], one[1], bool(one[3])) == (other[0], other[1], other[3])
        assert one[2] == pytest.approx(other[2])


def test_a_trade_must_be_held():
    with pytest.raises(ValueError, match="hold must be at least 1 bar, was 0"):
        shadow_trades(np.zeros(3, dtype=np.int8), np.ones(3), 0, 0.0)
