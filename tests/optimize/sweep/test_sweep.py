"""The sweep gives what backtrader gives, to the bar and to a billionth, and leaves to it what it cannot do."""

import dataclasses
import pickle

import numpy as np
import pytest

from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.ledger.difference import first_difference
from itb.ledger.metrics import compute, units
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.optimize.sweep import Sweep
from itb.strategies.ml_threshold import MLThreshold, ThresholdSettings
from itb.strategies.protections import Cooldown, MaxDrawdown

HOUR = 3_600_000
FREE = Costs(taker_fee_bps=0, maker_fee_bps=0, slippage_bps=0)
BLOCK = 20  # seeds a test
EVERY_FIGURE = tuple(units())


def in_backtrader(sweep, settings):
    """Run the same thing through the public backtest, assembled here by hand."""
    score = ArrayScores("score", sweep.bars.open_time, sweep.score)
    settings = dataclasses.asdict(settings) | {"protections": sweep.protections}
    test = Backtest(MLThreshold, settings, sweep.cash, sweep.venue)
    return test.run(sweep.bars, {"score": score}, int(sweep.bars.open_time[sweep.start]))


def assert_same(swept, run):
    assert first_difference(swept.fills, run.fills, names=("sweep", "backtrader"), tolerance=1e-9) is None
    np.testing.assert_allclose(swept.equity, run.equity, rtol=1e-9, atol=0)
    assert swept.ambiguous == len(run.ambiguous)
    figures = compute(
        run.bars, run.equity, run.position, run.fills, run.trades, start_cash=run.starting_cash, start_bar=run.start,
        dust=run.dust, slippage=sum(f.qty * (f.price - m) for f, m in zip(run.fills, run.market_prices, strict=True)),
    )  # fmt: skip
    theirs = np.array([getattr(figures, name) for name in EVERY_FIGURE], dtype=float)
    ours = np.array([swept.metrics[name] for name in EVERY_FIGURE])
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def agree(draw, seeds):
    """Compare on many seeds; give how many the sweep took itself and how many fills there were."""
    taken = fills = 0
    for seed in seeds:
        case = draw(seed)
        swept = case.sweep.run(case.settings, EVERY_FIGURE)
        run = in_backtrader(case.sweep, case.settings)
        assert_same(swept, run)
        taken += swept.source == "vectorbt"
        fills += len(run.fills)
    return taken, fills


@pytest.mark.parametrize("block", range(5))
def test_the_sweep_does_what_backtrader_does(random_case, block):
    taken, fills = agree(random_case, range(block * BLOCK, (block + 1) * BLOCK))
    assert taken >= 0.9 * BLOCK
    assert fills > 1000


@pytest.mark.soak
@pytest.mark.parametrize("block", range(5, 55))
def test_the_sweep_does_what_backtrader_does_a_thousand_times(random_case, block):
    taken, fills = agree(random_case, range(block * BLOCK, (block + 1) * BLOCK))
    assert taken >= 0.8 * BLOCK
    assert fills > 1000


def bars_of(*rows):
    """Bars from rows of open, high, low, close."""
    columns = dict(zip(("open", "high", "low", "close"), np.array(rows, dtype=float).T, strict=True))
    return Bars.of("BTC/USDT", "1h", HOUR * np.arange(len(rows)), **columns, volume=np.ones(len(rows)))


def one_trade(*rows, score, venue=None, **settings):
    """Sweep a few bars with whole coins."""
    given = {"sizing": "fixed_notional", "notional": 1000.0, "buy_threshold": 0.5, "sell_threshold": -0.5} | settings
    sweep = Sweep(bars_of(*rows), np.array(score, dtype=float), venue=venue or Venue(costs=FREE))
    return sweep.run(ThresholdSettings(**given))


def told(result):
    return [(fill.bar, fill.qty, fill.price, fill.reason) for fill in result.fills]


FLAT = (100, 100, 100, 100)


def test_an_exit_by_signal_fills_before_the_stop_of_its_bar():
    result = one_trade(FLAT, FLAT, FLAT, (99, 99, 80, 80), FLAT, score=[1, 0, -1, 0, 0], stop_loss=0.05)
    assert told(result) == [(1, 10.0, 100.0, "entry"), (3, -10.0, 99.0, "signal")]


def test_a_reversal_at_an_open_beyond_the_stop_is_a_reversal():
    rows = FLAT, FLAT, FLAT, (90, 91, 80, 80), (80, 80, 80, 80)
    result = one_trade(*rows, score=[1, 0, -1, 0, 0], stop_loss=0.05, allow_short=True)
    assert told(result) == [
        (1, 10.0, 100.0, "entry"), (3, -10.0, 90.0, "signal"), (3, -10.0, 90.0, "entry"),
    ]  # fmt: skip


def test_a_stop_works_in_the_bar_of_the_entry():
    result = one_trade(FLAT, (100, 100, 94, 98), FLAT, score=[1, 0, 0], stop_loss=0.05)
    assert told(result) == [(1, 10.0, 100.0, "entry"), (1, -10.0, 95.0, "stop")]
    assert result.source == "vectorbt"


def test_a_stopped_position_comes_back_at_the_next_signal():
    rows = FLAT, FLAT, (100, 100, 90, 92), (92, 92, 92, 92), FLAT, FLAT
    result = one_trade(*rows, score=[1, 1, 1, 1, -1, 0], stop_loss=0.05)
    assert told(result)[:3] == [
        (1, 10.0, 100.0, "entry"), (2, -10.0, 95.0, "stop"), (3, 1000 / 92, 92.0, "entry"),
    ]  # fmt: skip


def test_an_open_beyond_the_target_fills_there_though_the_bar_touches_the_stop_later():
    rows = FLAT, FLAT, (110, 111, 90, 95), FLAT
    result = one_trade(*rows, score=[1, 0, 0, 0], stop_loss=0.05, take_profit=0.05)
    assert told(result) == [(1, 10.0, 100.0, "entry"), (2, -10.0, 110.0, "target")]
    assert result.source == "vectorbt"


def test_a_bar_that_touches_both_levels_takes_the_stop_and_is_counted():
    rows = FLAT, FLAT, (100, 106, 94, 100), FLAT
    result = one_trade(*rows, score=[1, 0, 0, 0], stop_loss=0.05, take_profit=0.05)
    assert told(result)[1] == (2, -10.0, 95.0, "stop")
    assert (result.source, result.ambiguous) == ("vectorbt", 1)


def test_stops_slip_and_pay_the_taker_fee_while_targets_do_neither():
    costs = Costs(taker_fee_bps=10, maker_fee_bps=2, slippage_bps=100)
    rows = FLAT, FLAT, (100, 120, 100, 120), FLAT, FLAT, (100, 100, 50, 50)
    result = one_trade(
        *rows, score=[1, 0, 0, 1, 0, 0], venue=Venue(costs=costs), stop_loss=0.1, take_profit=0.1
    )  # fmt: skip
    entry, target, _, stop = result.fills
    assert entry.price == 101.0
    assert (target.price, target.fee) == pytest.approx((111.1, 10 * 111.1 * 2e-4))
    assert (stop.price, stop.fee) == pytest.approx((90.9 * 0.99, 10 * 90.9 * 0.99 * 1e-3))


def test_decisions_count_from_the_start():
    sweep = Sweep(bars_of(*[FLAT] * 6), np.array([1.0, 1, 1, 1, 1, 1]), start=3, venue=Venue(costs=FREE))
    assert sweep.run(ThresholdSettings(sizing="fixed_notional")).fills[0].bar == 4


def test_no_signal_is_no_trade():
    result = one_trade(*[FLAT] * 4, score=[0, 0, 0, np.nan])
    assert result.fills == ()
    assert result.equity.tolist() == [10_000.0] * 4


def refusal(result):
    assert result.source == "backtrader"
    return result.refused.cause


def test_protections_go_to_backtrader(random_case):
    case = random_case(1, stop_loss=0.01)
    free = case.sweep.run(case.settings)
    assert free.source == "vectorbt"
    sweep = dataclasses.replace(case.sweep, protections=(Cooldown(5), MaxDrawdown(200, 2, 50, 0.01)))
    swept = sweep.run(case.settings, EVERY_FIGURE)
    assert refusal(swept) == "protections"
    assert_same(swept, in_backtrader(sweep, case.settings))
    assert 0 < len(swept.fills) < len(free.fills)


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"trailing_stop": 0.02}, "trailing stop"),
        ({"max_bars": 5}, "time exit"),
        ({"cooldown_bars": 2}, "cool-down"),
        ({"stop_loss": 0.02, "protection_from": "next_bar"}, "protection_from"),
    ],
)
def test_a_setting_that_vectorbt_cannot_do_goes_to_backtrader(random_case, settings, cause):
    case = random_case(1, **settings)
    swept = case.sweep.run(case.settings, EVERY_FIGURE)
    assert refusal(swept) == cause
    assert case.sweep.causes == {cause: 1}
    assert_same(swept, in_backtrader(case.sweep, case.settings))


@pytest.mark.parametrize(
    ("terms", "cause"),
    [
        ({"costs": Costs(impact_bps=5)}, "impact"),
        ({"costs": Costs(fee_currency="base")}, "fee currency"),
        ({"funding": {3: 1e-4}}, "funding"),
        ({"buy_price": np.full(5, 100.0), "sell_price": np.full(5, 100.0)}, "fill price"),
    ],
)
def test_a_venue_that_vectorbt_cannot_be_goes_to_backtrader(terms, cause):
    result = one_trade(*[FLAT] * 5, score=[1, 0, 0, -1, 0], venue=Venue(**terms), stop_loss=0.05)
    assert refusal(result) == cause


def test_both_levels_in_a_bar_that_finer_bars_settle_go_to_backtrader():
    venue = Venue(costs=FREE, settle=lambda *_: "target")
    rows = FLAT, FLAT, (100, 106, 94, 100), FLAT
    result = one_trade(*rows, score=[1, 0, 0, 0], venue=venue, stop_loss=0.05, take_profit=0.05)
    assert refusal(result) == "both levels"
    assert "bar 2 (1970-01-01 02:00 UTC)" in str(result.refused)
    assert told(result)[1] == (2, -10.0, 105.0, "target")


def test_an_entry_that_is_not_paid_for_goes_to_backtrader():
    rows = FLAT, (120, 120, 120, 120), FLAT, FLAT, FLAT
    result = one_trade(*rows, score=[1, 1, -1, 1, 0], sizing="percent_of_equity", fraction=0.95)
    assert refusal(result) == "unpaid entry"
    assert [fill.bar for fill in result.fills] == [2, 3, 4]


def test_a_quantity_of_nothing_goes_to_backtrader():
    from decimal import Decimal

    coarse = Venue(costs=FREE, instrument=Instrument("BTC/USDT", step=Decimal(20)))
    result = one_trade(*[FLAT] * 4, score=[1, 0, 0, 0], venue=coarse)
    assert refusal(result) == "no quantity"
    assert result.fills == ()


def test_an_order_below_the_minimum_goes_to_backtrader():
    from decimal import Decimal

    strict = Venue(costs=FREE, instrument=Instrument("BTC/USDT", min_notional=Decimal(900)))
    result = one_trade(FLAT, FLAT, (80, 80, 80, 80), FLAT, FLAT, score=[1, 0, -1, 0, 0], venue=strict)
    assert refusal(result) == "small order"
    assert [fill.reason for fill in result.fills] == ["entry"]  # the exit of 800 was refused too


def test_thresholds_outside_the_range_of_the_score_are_refused():
    sweep = Sweep(bars_of(*[FLAT] * 4), np.zeros(4), score_range=(0.0, 1.0))
    with pytest.raises(ValueError, match=r"buy_threshold must lie in the score's range \[0, 1\], was 2"):
        sweep.run(ThresholdSettings(buy_threshold=2.0))


def test_an_unknown_figure_is_refused_by_name():
    with pytest.raises(ValueError, match="no 'sharp'; there are total_return"):
        Sweep(bars_of(*[FLAT] * 4), np.zeros(4)).run(ThresholdSettings(), metrics=("sharp",))


def test_a_score_must_fit_the_bars():
    with pytest.raises(ValueError, match="each of 4 bars, had 3"):
        Sweep(bars_of(*[FLAT] * 4), np.zeros(3))


def test_a_sweep_travels_to_another_process(random_case):
    case = random_case(3)
    there = pickle.loads(pickle.dumps(case.sweep))  # as multiprocessing does it
    assert there.run(case.settings).fills == case.sweep.run(case.settings).fills


def test_the_sweep_loads_no_vectorbt():
    import subprocess
    import sys

    code = (
        "import sys; from itb.optimize.sweep import Sweep; from itb.datafeeds.waves import sinus; import numpy as np;"
        "from itb.strategies.ml_threshold import ThresholdSettings;"
        "Sweep(sinus(bars=99), np.sin(np.arange(99))).run(ThresholdSettings());"
        "assert 'vectorbt_rust' in sys.modules; print([n for n in ('vectorbt', 'numba') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
