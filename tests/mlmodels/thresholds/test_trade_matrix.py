from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.mlmodels.thresholds.class_rule import Probabilities, confusion
from itb.mlmodels.thresholds.trade_matrix import Assessment, ClassMatrix, ReturnMatrix

FREE = Assessment(fee=0.0)


def model(seed, rows=60):
    rng = np.random.default_rng(seed)
    shares = np.round(rng.dirichlet([0.5, 0.5, 0.5], rows), 1)
    return Probabilities(*shares.T), 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))


def slow_cell(probabilities, close, buy_line, sell_line, fee):
    """FollowUpward's loop: one state machine of one cell, its own precedence of operators."""
    gain, trades, entry, entered = 0.0, 0, None, None
    for row, price in enumerate(close):
        hold, buy, sell = probabilities.hold[row], probabilities.buy[row], probabilities.sell[row]
        if sell >= buy and sell >= hold:
            if entry is not None and sell >= sell_line:
                gain += (price * (1 - fee) - entry * (1 + fee)) / entry * (1 + fee)
                trades, entry = trades + 1, None
        elif buy > sell and buy >= hold and entry is None and buy >= buy_line:
            entry, entered = price, row
    if entry is not None and entered != len(close) - 1:
        gain += (close[-1] * (1 - fee) - entry * (1 + fee)) / entry * (1 + fee)
        trades += 1
    return gain, trades


@given(seed=st.integers(0, 10_000), fee=st.floats(0, 0.01))
def test_every_cell_is_a_trader_of_its_own(seed, fee):
    probabilities, close = model(seed)
    matrices = {
        gain: ClassMatrix(assessment=Assessment(fee, cast("Any", gain)))(probabilities, close)
        for gain in ("paid", "original", "entry_price")
    }
    for buy in (0.3, 0.6, 0.9):
        for sell in (0.3, 0.5, 0.8):
            gain, trades = slow_cell(probabilities, close, buy, sell, fee)
            assert matrices["original"].at(buy, sell) == (pytest.approx(gain, abs=1e-12), trades)
            assert matrices["entry_price"].at(buy, sell)[0] == pytest.approx(gain / (1 + fee), abs=1e-12)
            assert matrices["paid"].at(buy, sell)[0] == pytest.approx(gain / (1 + fee) ** 2, abs=1e-12)


def test_of_equal_classes_sell_comes_before_buy_before_hold():
    hold, buy, sell = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.4, 0.2, 0.4], [0.5, 0.3, 0.2], [np.nan] * 3]).T
    assert Probabilities(hold, buy, sell).classes.tolist() == [1, 2, 2, 0, 0]


def test_a_position_bought_on_the_last_row_never_was():
    ones, none = np.ones(2), np.zeros(2)
    late = np.array([0.0, 1.0])
    assert ClassMatrix(assessment=FREE)(Probabilities(1 - late, late, none), ones).at(0.3, 0.3) == (0.0, 0)
    early = np.array([1.0, 0.0])
    close = np.array([100.0, 120.0])
    assert ClassMatrix(assessment=FREE)(Probabilities(1 - early, early, none), close).at(0.3, 0.3) == (0.2, 1)


def test_strict_asks_for_more_than_the_threshold():
    buy, sell = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    given = Probabilities(np.zeros(2), buy, sell)
    close = np.array([100.0, 120.0])
    assert ClassMatrix(assessment=FREE)(given, close).at(0.5, 0.5)[1] == 1
    assert ClassMatrix(assessment=FREE, is_strict=True)(given, close).at(0.5, 0.5)[1] == 0


def test_the_best_thresholds_of_one_block_are_looked_up_in_the_next():
    (first, close), (second, later) = model(1), model(2)
    found = ClassMatrix()(first, close)
    assert found.at(*found.best)[0] == found.best_gain == found.gains.max()
    assert ClassMatrix()(second, later).at(*found.best)[0] <= ClassMatrix()(second, later).best_gain


def test_matrices_of_several_coins_add_up():
    one, other = (ClassMatrix()(*model(seed)) for seed in (1, 2))
    both = one + other
    np.testing.assert_array_equal(both.gains, one.gains + other.gains)
    np.testing.assert_array_equal(both.trades, one.trades + other.trades)
    with pytest.raises(ValueError, match="same thresholds"):
        _ = one + ClassMatrix(thresholds=(0.5,))(*model(1))


def test_a_model_of_returns_is_cut_by_its_own_thresholds():
    scores, close = np.array([0.006, 0.0, -0.006, 0.02]), np.array([100.0, 101.0, 110.0, 90.0])
    matrix = ReturnMatrix(assessment=FREE)(scores, close)
    assert matrix.gains.shape == (4, 3)
    assert matrix.at(0.005, -0.005) == (pytest.approx(0.1), 1)
    assert matrix.at(0.005, -0.01) == (pytest.approx(-0.1), 1)
    assert matrix.at(0.01, -0.001) == (0.0, 0)


def test_unknown_targets_are_not_counted():
    assert confusion(np.array([2.0, np.nan]), np.array([1.0, 1.0])).tolist() == [[0] * 3, [0] * 3, [0, 1, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Assessment(fee=-1), "fee must be"),
        (lambda: Assessment(gain=cast("Any", "net")), "gain must be"),
        (lambda: ClassMatrix(thresholds=()), "thresholds must be"),
        (lambda: ReturnMatrix(buy_thresholds=(0.1, 0.1)), "buy_thresholds must be"),
        (lambda: ReturnMatrix(sell_thresholds=(np.nan,)), "sell_thresholds must be"),
        (lambda: Probabilities(np.ones(2), np.ones(2), np.ones(3)), "as long as each other"),
        (lambda: ClassMatrix()(*model(1)).at(0.35, 0.3), r"no cell \(0.35, 0.3\)"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
