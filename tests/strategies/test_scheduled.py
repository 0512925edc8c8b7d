import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.indicators.score import ArrayScores
from itb.laws.parity import check_parity
from itb.ledger.difference import first_difference
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings
from itb.strategies.scheduled import Change, ScheduledThreshold


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=500).bars()["BTC/USDT"]


def score(bars, seed=0):
    rng = np.random.default_rng(seed)
    values = 0.5 + 0.2 * np.sin(np.arange(len(bars)) / 7) + rng.normal(0, 0.03, len(bars))
    values[rng.random(len(bars)) < 0.05] = np.nan
    return {"s": ArrayScores("s", bars.open_time, values, 0.0, 1.0)}


def changes(bars, *given):
    return tuple(Change(int(bars.open_time[bar]), ThresholdSettings(**settings)) for bar, settings in given)


LOW = {"buy_threshold": 0.52, "sell_threshold": 0.48}
HIGH = {"buy_threshold": 0.6, "sell_threshold": 0.55, "stop_loss": 0.01, "take_profit": 0.02, "fraction": 0.5}
BOTH = {"buy_threshold": 0.55, "sell_threshold": 0.45, "allow_short": True, "trailing_stop": 0.01, "max_bars": 9}


@pytest.mark.parametrize("settings", [LOW, HIGH, BOTH])
def test_one_change_is_the_plain_strategy_from_that_bar_on(bars, settings):
    scheduled = Backtest(ScheduledThreshold, {"changes": changes(bars, (60, settings))}).run(bars, score(bars))
    plain = Backtest(MLThreshold, settings).run(bars, score(bars), int(bars.open_time[60]))

    assert first_difference(scheduled.fills, plain.fills) is None
    assert len(plain.fills) > 4
    assert np.array_equal(scheduled.equity[60:], plain.equity[60:])


@pytest.mark.parametrize("seed", range(4))
def test_every_stepping_takes_the_same_decisions(bars, seed):
    given = {"changes": changes(bars, (40, LOW), (150, HIGH), (260, BOTH), (390, LOW))}

    found = check_parity(Backtest(ScheduledThreshold, given), bars, score(bars, seed), int(bars.open_time[40]))

    assert found, found.evidence


def test_decisions_before_a_change_know_nothing_of_it(bars):
    one = Backtest(ScheduledThreshold, {"changes": changes(bars, (40, LOW), (200, HIGH))}).run(bars, score(bars))
    other = Backtest(ScheduledThreshold, {"changes": changes(bars, (40, LOW), (200, BOTH))}).run(bars, score(bars))

    before = [[fill for fill in result.fills if fill.bar <= 200] for result in (one, other)]
    assert before[0] == before[1]
    assert [fill for fill in one.fills if fill.bar > 201] != [fill for fill in other.fills if fill.bar > 201]


def test_position_is_carried_over_a_change(bars):
    always = {"s": ArrayScores("s", bars.open_time, np.full(len(bars), 0.9), 0.0, 1.0)}

    result = Backtest(ScheduledThreshold, {"changes": changes(bars, (10, LOW), (250, HIGH))}).run(bars, always)

    assert [fill.bar for fill in result.fills] == [11]


@pytest.mark.parametrize("given", [(), ((60, LOW), (60, HIGH)), ((80, LOW), (60, HIGH))])
def test_changes_must_be_in_order(bars, given):
    from itb.errors import StrategyError

    with pytest.raises(StrategyError, match="changes must hold at least one, ordered in time"):
        Backtest(ScheduledThreshold, {"changes": changes(bars, *given)}).run(bars, score(bars))
