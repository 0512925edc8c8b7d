"""The compiled half of vectorbt does what `Portfolio.from_signals` does; the one place where vectorbt is imported."""

import importlib.metadata
import warnings

import numpy as np
import pytest

from itb.optimize import engine
from itb.optimize.engine import Rows, simulate


@pytest.fixture(scope="module")
def vectorbt():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        import vectorbt

        yield vectorbt


def rows(seed, *, protects):
    rng = np.random.default_rng(seed)
    n = 400
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = close * np.exp(rng.normal(0, 0.003, n))
    high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    bullish = rng.random(n) < 0.1
    bearish = ~bullish & (rng.random(n) < 0.1)
    if not protects:
        return Rows(bullish, bearish, opened), close
    stop, target = (rng.choice([0.01, 0.03], n) for _ in range(2))
    return Rows(bullish, bearish, opened, opened, high, low, opened * 1.001, stop, target), close


@pytest.mark.parametrize("allow_short", [False, True])
@pytest.mark.parametrize("protects", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_simulator_is_portfolio_from_signals(vectorbt, seed, protects, allow_short):
    shown, close = rows(seed, protects=protects)
    ours = simulate(shown, allow_short=allow_short, slippage=0.002)
    sides = (
        {"entries": shown.bullish, "exits": np.zeros_like(shown.bullish), "short_entries": shown.bearish,
         "short_exits": np.zeros_like(shown.bullish)}
        if allow_short
        else {"entries": shown.bullish, "exits": shown.bearish, "direction": "longonly"}
    )  # fmt: skip
    stops = (
        {"open": shown.open, "high": shown.high, "low": shown.low, "sl_stop": shown.stop, "tp_stop": shown.target,
         "val_price": shown.base, "stop_entry_price": "valprice", "stop_exit_price": "stoplimit",
         "upon_stop_exit": "close"}
        if protects
        else {}
    )  # fmt: skip
    portfolio = vectorbt.Portfolio.from_signals(
        close, **sides, **stops, price=shown.price, size=1.0, size_type="amount", slippage=0.002, init_cash=1e18,
        accumulate=False, upon_opposite_entry="reverse", allow_partial=False, freq="1h", engine="rust",
    )  # fmt: skip
    orders = portfolio.order_records
    signed = orders["size"] * np.where(orders["side"] == 0, 1.0, -1.0)
    assert len(orders) > 20
    np.testing.assert_array_equal(ours.row, orders["idx"])
    np.testing.assert_array_equal(ours.size, signed)
    np.testing.assert_array_equal(ours.price, orders["price"])


def test_the_types_of_records_are_those_of_vectorbt(vectorbt):
    from vectorbt.portfolio import enums

    assert enums.order_dt == engine.ORDER_TYPE
    assert enums.log_dt == engine.LOG_TYPE


def test_the_members_of_vectorbts_enumerations_are_those_that_are_sent(vectorbt):
    from vectorbt.portfolio import enums

    assert engine._REVERSE.item() == enums.OppositeEntryMode.Reverse
    assert engine._AMOUNT.item() == enums.SizeType.Amount
    assert engine._AT_VALUATION.item() == enums.StopEntryPrice.ValPrice
    assert engine._AT_STOP.item() == enums.StopExitPrice.StopLimit
    assert engine._CLOSE.item() == enums.StopExitMode.Close
    assert engine._LONG.item() == enums.Direction.LongOnly


def test_the_compiled_half_is_the_pinned_one():
    assert importlib.metadata.version("vectorbt-rust") == importlib.metadata.version("vectorbt") == "1.2.0"


def test_on_a_row_of_the_open_alone_no_level_fills():
    nan = np.nan
    shown = Rows(
        np.array([True, False, False]), np.array([False, False, True]), np.array([100.0, 90.0, 90.0]),
        np.array([nan, 100.0, nan]), np.array([nan, 100.0, nan]), np.array([nan, 99.0, nan]),
        np.array([95.0, 95.0, 95.0]), np.zeros(3),
    )  # fmt: skip
    assert simulate(shown, allow_short=False, slippage=0.0).row.tolist() == [0, 2]
