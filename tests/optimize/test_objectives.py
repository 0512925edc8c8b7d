import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from itb.ledger.metrics import compute
from itb.market.bars import Bars
from itb.optimize.objectives import OBJECTIVES, Constraints, Windows
from itb.optimize.performance import Performance

RETURNS = st.lists(st.floats(-0.2, 0.2).map(lambda value: round(value, 9)), min_size=12, max_size=60)


def performance(daily, trades=(), cost=0.0):
    exits = np.array([day for day, _ in trades], dtype=np.int64)
    return Performance(
        np.array(daily), np.full(len(daily), cost), exits, np.array([value for _, value in trades], dtype=float)
    )


def ledger(daily):
    """The ledger's own figures of the same equity, one bar a day."""
    equity = 1000.0 * np.cumprod(1 + np.array(daily))
    prices = {name: np.full(len(daily), 100.0) for name in ("open", "high", "low", "close", "volume")}
    bars = Bars.of("BTC/USDT", "1d", np.arange(len(daily)) * 86_400_000, **prices)
    return compute(bars, equity, np.zeros(len(daily)), [], [], start_cash=1000.0)


@given(daily=RETURNS)
@pytest.mark.parametrize("name", ["sharpe", "sortino", "total_return", "annual_return", "max_drawdown", "calmar"])
def test_figures_are_those_of_the_ledger(name, daily):
    assume(any(daily) or name != "max_drawdown")  # of a flat line nothing is minimised
    told = OBJECTIVES[name].value(performance(daily), Windows(len(daily), 3).bounds)

    assert told == pytest.approx(getattr(ledger(daily), name), rel=1e-6, abs=1e-9, nan_ok=True)


def test_trade_figures_by_hand():
    made = performance([0.0] * 6, [(0, 0.02), (2, -0.01), (5, 0.03)])
    windows = Windows(6, 2).bounds

    assert OBJECTIVES["profit_factor"].value(made, windows) == pytest.approx(5.0)
    assert OBJECTIVES["expectancy"].value(made, windows) == pytest.approx(0.04 / 3)
    mean, deviation = 0.04 / 3, np.std([0.02, -0.01, 0.03], ddof=1)
    assert OBJECTIVES["sqn"].value(made, windows) == pytest.approx(math.sqrt(3) * mean / deviation)


def test_window_figures_by_hand():
    made = performance([0.1, 0.0, -0.1, 0.0, 0.2, 0.0])
    windows = Windows(6, 3).bounds

    assert OBJECTIVES["worst_window"].value(made, windows) == pytest.approx(-0.1)
    low, middle, high = np.percentile([0.1, -0.1, 0.2], [25, 50, 75])
    assert OBJECTIVES["steady_window"].value(made, windows) == pytest.approx(middle - (high - low) / 2)


def test_ulcer_index_by_hand():
    made = performance([0.1, -0.5, 1.0, 0.0])

    assert OBJECTIVES["ulcer"].value(made, Windows(4, 2).bounds) == pytest.approx(math.sqrt(0.5**2 / 4))


def test_probabilistic_sharpe_agrees_with_the_normal_table():
    rng = np.random.default_rng(4)
    daily = rng.normal(0.001, 0.02, 500)
    ratio = daily.mean() / daily.std(ddof=1)
    centred = (daily - daily.mean()) / daily.std()
    spread = 1 - (centred**3).mean() * ratio + ((centred**4).mean() - 1) / 4 * ratio**2
    from scipy.stats import norm

    told = OBJECTIVES["probabilistic_sharpe"].value(performance(daily), Windows(500, 5).bounds)

    assert told == pytest.approx(norm.cdf(ratio * math.sqrt(499 / spread)), abs=1e-12)


def test_twice_the_cost_takes_the_cost_again():
    daily = np.array([0.01, -0.02, 0.03, 0.01])

    told = OBJECTIVES["edge_at_twice_the_cost"].value(performance(daily, cost=0.002), Windows(4, 2).bounds)

    assert told == OBJECTIVES["sharpe"].value(performance(daily - 0.002), Windows(4, 2).bounds)


@given(days=st.integers(2, 400), count=st.integers(2, 30))
def test_windows_cover_every_day_once(days, count):
    if count > days:
        with pytest.raises(ValueError, match="windows must be at least 2 and at most"):
            Windows(days, count)
        return
    covered = [day for first, last in Windows(days, count).bounds for day in range(first, last)]
    assert covered == list(range(days))


@given(daily=RETURNS, first=st.integers(0, 5), length=st.integers(1, 6))
def test_prefix_of_windows_reads_those_days_only(daily, first, length):
    made = performance(daily)
    part = made.between(first, first + length)

    assert OBJECTIVES["total_return"].value(made, ((first, first + length),)) == pytest.approx(
        float(np.prod(1 + part.daily)) - 1, rel=1e-12, abs=1e-15
    )


def test_constraints_count_trades_in_the_poorest_window():
    made = performance([0.0, 0.0, -0.3, 0.0], [(0, 0.1), (1, 0.1), (3, 0.1)])
    windows = Windows(4, 2).bounds

    assert Constraints(min_trades=2, max_drawdown=0.2).excess(made, windows) == {
        "min_trades": 1.0,
        "max_drawdown": pytest.approx(0.1),
    }
    assert Constraints().excess(made, windows) == {}
    assert Constraints(min_trades=1, max_drawdown=0.3001).kept(made, windows)


def test_trade_that_ends_after_the_last_window_is_in_none():
    made = performance([0.0, 0.01, 0.02, 0.0], [(0, 0.1), (2, 0.1)])

    assert Constraints(min_trades=1).excess(made, ((0, 1), (1, 2))) == {"min_trades": 1.0}


@pytest.mark.parametrize("name", ["ulcer", "max_drawdown"])
def test_doing_nothing_is_not_the_best_of_what_is_minimised(name):
    windows = Windows(4, 2).bounds
    flat, falls = performance([0.0] * 4, []), performance([0.1, -0.1, 0.0, 0.1], [(1, 0.1)])

    assert math.isnan(OBJECTIVES[name].value(flat, windows))
    assert OBJECTIVES[name].value(falls, windows) > 0
    assert Constraints(max_drawdown=0.5).kept(flat, windows)


def test_storage_precision_is_kept_by_storing():
    rng = np.random.default_rng(0)
    made = Performance(rng.normal(size=9), rng.random(9), np.array([1, 8]), rng.normal(size=2), "backtrader", "why")

    back = Performance.decoded(made.rounded.encoded())

    for name in ("daily", "daily_cost", "exit_day", "trade_return"):
        assert np.array_equal(getattr(back, name), getattr(made.rounded, name))
    assert (back.engine, back.refused) == ("backtrader", "why")
    assert np.allclose(back.daily, made.daily, rtol=1e-7)
