import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.datafeeds.synthetic import SyntheticMarket
from itb.engine.venue import Venue
from itb.errors import StrategyError
from itb.indicators.score import ArrayScores
from itb.laws.parity import check_parity
from itb.ledger.alternating import alternate, fill_prices
from itb.market.costs import Costs
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.signal_strategy import SignalSettings, SignalStrategy

FREE = Venue(costs=Costs(taker_fee_bps=0, maker_fee_bps=0, slippage_bps=0))


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=400).bars()["BTC/USDT"]


def flags(bars, seed, share=0.2):
    rng = np.random.default_rng(seed)
    made = {}
    for name in ("buy", "sell"):
        values = (rng.random(len(bars)) < share).astype(float)
        values[rng.random(len(bars)) < 0.05] = np.nan
        made[name] = ArrayScores(name, bars.open_time, values, 0.0, 1.0)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_its_fills_are_the_deals_of_the_alternating_ledger(bars, seed):
    columns = flags(bars, seed)
    buys, sells = (columns[name].values == 1 for name in ("buy", "sell"))
    deals = alternate(buys, sells, fill_prices(bars))
    result = Backtest(SignalStrategy, {"sizing": "fixed_notional"}, venue=FREE).run(bars, columns)
    assert [fill.bar - 1 for fill in result.fills if fill.qty > 0] == deals.buy_rows.tolist()
    assert [fill.bar - 1 for fill in result.fills if fill.qty < 0] == deals.sell_rows.tolist()
    assert [fill.price for fill in result.fills if fill.qty < 0] == deals.sell_prices.tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"allow_short": True, "stop_loss": 0.01, "take_profit": 0.02},
        {"trailing_stop": 0.01, "max_bars": 9, "cooldown_bars": 5},
        {"allow_short": True, "max_bars": 4},
    ],
)
def test_every_stepping_takes_the_same_decisions(bars, settings):
    for seed in range(4):
        found = check_parity(Backtest(SignalStrategy, settings), bars, flags(bars, seed), int(bars.open_time[60]))
        assert found, found.evidence
        assert found.figures["fills"] > 10


def test_it_trades_what_thresholds_on_the_score_trade(bars):
    values = np.random.default_rng(0).random(len(bars))
    score = ArrayScores("up", bars.open_time, values, 0.0, 1.0)
    raised = {
        name: ArrayScores(name, bars.open_time, flag.astype(float), 0.0, 1.0)
        for name, flag in (("buy", values >= 0.7), ("sell", values <= 0.2))
    }
    more = {"allow_short": True, "stop_loss": 0.01, "cooldown_bars": 2}
    by_flags = Backtest(SignalStrategy, more).run(bars, raised)
    by_score = Backtest(MLThreshold, {"buy_threshold": 0.7, "sell_threshold": 0.2, **more}).run(bars, {"up": score})
    assert by_flags.fills == by_score.fills
    assert len(by_flags.fills) > 20


@pytest.mark.parametrize(("short", "after"), [(False, 0), (True, -1)])
def test_where_both_flags_are_up_the_one_whose_turn_it_is_counts(bars, short, after):
    few = bars.head(6)
    both = ArrayScores("buy", few.open_time, np.array([1.0, 0, 1, 0, 0, 0]), 0.0, 1.0)
    columns = {"buy": both, "sell": ArrayScores("sell", few.open_time, both.values, 0.0, 1.0)}
    result = Backtest(SignalStrategy, {"allow_short": short}, venue=FREE).run(few, columns)
    assert np.sign(result.position).tolist() == [0, 1, 1, after, after, after]


def test_a_score_that_is_no_flag_is_refused(bars):
    wide = {name: ArrayScores(name, bars.open_time, np.zeros(len(bars)), -1.0, 1.0) for name in ("buy", "sell")}
    with pytest.raises(StrategyError, match=r"buy_column must be a column of flags, 0 or 1; 'buy' runs from -1 to 1"):
        Backtest(SignalStrategy).run(bars, wide)


def test_a_column_that_is_not_there_is_named(bars):
    with pytest.raises(StrategyError, match="wants score column 'up', but the feed offers buy, sell"):
        Backtest(SignalStrategy, {"buy_column": "up"}).run(bars, flags(bars, 0))


def test_one_column_for_both_is_refused():
    with pytest.raises(ValueError, match="must be two different columns, were 'buy' and 'buy'"):
        SignalSettings(sell_column="buy")
