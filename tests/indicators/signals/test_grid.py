import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.indicators.signals import Combine, SignalSet, Smoothen, ThresholdSignal, ThresholdSignal2
from itb.indicators.signals.grid import SignalGrid
from itb.ledger.alternating import alternate, performance
from itb.market.costs import Costs

RULE = ThresholdSignal("score", ("buy", "sell"), 0.0, 0.0)
SIGNALS = SignalSet((Combine(("up", "down"), "score", "difference"), RULE))
BUY, SELL = "buy_signal_threshold", "sell_signal_threshold"


def market(seed, rows=200):
    rng = np.random.default_rng(seed)
    return {"up": rng.random(rows), "down": rng.random(rows)}, 100 * np.exp(np.cumsum(rng.normal(0, 0.02, rows)))


@given(seed=st.integers(0, 1_000), direction=st.sampled_from(["long", "short", "both"]))
def test_the_best_come_first_and_are_what_a_plain_loop_finds(seed, direction):
    columns, prices = market(seed)
    grid = SignalGrid(SIGNALS, ((BUY, (0.2, 0.5)), (SELL, (-0.4, -0.1, 0.0))), direction, topn_to_store=3)
    trials = grid.run(columns, prices, costs=Costs(), months=6)
    score = columns["up"] - columns["down"]
    slow = []
    for buy in (0.2, 0.5):
        for sell in (-0.4, -0.1, 0.0):
            earned = performance(alternate(score >= buy, score <= sell, prices), Costs(), 6).of(direction)
            slow.append((-earned.profit_percent, len(slow), {BUY: buy, SELL: sell}))
    assert [dict(trial.parameters) for trial in trials] == [parameters for *_, parameters in sorted(slow)[:3]]
    assert trials[0].performance.of(direction).profit_percent == -min(slow)[0]


def test_equal_thresholds_mirror_each_other_in_both_dimensions():
    rule = ThresholdSignal2(("up", "down"), ("buy", "sell"), 1, -1, 1, -1)
    grid = SignalGrid(SignalSet((rule,)), ((BUY, (0.1,)), (f"{BUY}_2", (0.2, 0.3))), buy_sell_equal=True)
    assert grid.combinations() == [
        {BUY: 0.1, f"{BUY}_2": second, SELL: -0.1, f"{SELL}_2": -second} for second in (0.2, 0.3)
    ]
    assert len(grid) == 2


def test_the_number_of_the_original_stands_beside_what_was_earned():
    close = np.array([100.0, 102, 105, 108, 107, 103, 101, 99, 104, 106])
    score = np.zeros(10)
    score[[1, 4, 7]], score[[3, 5, 9]] = 1, -1
    grid = SignalGrid(SignalSet((RULE,)), ((BUY, (0.5, 2.0)),), buy_sell_equal=True)
    free = Costs(taker_fee_bps=0, slippage_bps=0)
    best, none = grid.run({"score": score}, close, costs=free, months=1)
    assert (best.performance.long.profit, best.legacy.long.profit) == (9.0, -2.0)
    assert none.performance.both.transactions == 0


def test_every_trial_is_told():
    told = []
    grid = SignalGrid(SIGNALS, ((BUY, (0.2, 0.5)),))
    grid.run(*market(1), costs=Costs(), months=1, progress=lambda *what: told.append(what))
    assert told == [(1, 2, "simulate"), (2, 2, "simulate")]


@given(seed=st.integers(0, 200))
def test_parameters_of_earlier_signals_vary_too(seed):
    columns, prices = market(seed)
    calm = Smoothen(("score",), "calm", window=1)
    signals = SignalSet((*SIGNALS.signals[:1], calm, ThresholdSignal("calm", ("buy", "sell"), 0, 0)))
    values = (("score.coefficient", (1.0, 2.0)), (BUY, (0.2, 0.5)), ("calm.window", (1, 5, 5.0)))
    grid = SignalGrid(signals, values, topn_to_store=12)
    trials = grid.run(columns, prices, costs=Costs(), months=6)
    assert len(trials) == len(grid) == 12
    for trial in trials:
        made = grid.with_parameters(dict(trial.parameters))(columns)
        earned = performance(alternate(made["buy"], made["sell"], prices), Costs(), 6)
        assert trial.performance == earned
    varied = grid.with_parameters({"score.coefficient": 2.0, "calm.window": 5, BUY: 0.2}).signals
    assert (varied[0].coefficient, varied[1].window, varied[2].buy_signal_threshold) == (2.0, 5, 0.2)


@pytest.mark.parametrize(
    ("signals", "options", "message"),
    [
        (SIGNALS, {"grid": (("names", (1.0,)),)}, "no parameter 'names'; there are buy_signal_threshold"),
        (SIGNALS, {"grid": ((BUY, ()),)}, "must list one number"),
        (SIGNALS, {"grid": (("other.window", (1,)),)}, "no signal makes 'other'; they make score, buy, sell"),
        (SIGNALS, {"grid": (("score.window", (1,)),)}, "has no number 'window'; there are coefficient, constant"),
        (SIGNALS, {"grid": (("score.coefficient", (0,)),)}, "grid: score.coefficient: coefficient must be a number"),
        (SIGNALS, {"grid": ()}, "grid must name one parameter"),
        (SIGNALS, {"grid": ((BUY, (1.0,)), (BUY, (2.0,)))}, "each once"),
        (SIGNALS, {"grid": ((SELL, (1.0,)),), "buy_sell_equal": True}, "leave it out"),
        (SIGNALS, {"grid": ((BUY, (1.0,)),), "direction": "up"}, "direction must be"),
        (SIGNALS, {"grid": ((BUY, (1.0,)),), "topn_to_store": 0}, "topn_to_store must be"),
        (
            SignalSet(SIGNALS.signals[:1]),
            {"grid": ((BUY, (1.0,)),)},
            "last signal must be a rule of thresholds or classes",
        ),
    ],
)
def test_wrong_grids_are_refused(signals, options, message):
    with pytest.raises(ValueError, match=message):
        SignalGrid(signals, **options)
