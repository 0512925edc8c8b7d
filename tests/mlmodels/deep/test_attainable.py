"""How much of what can be known a network finds, where that is known because it was planted."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

from itb.datafeeds.planted import PlantedPanel
from itb.mlmodels.deep.panel import Panel, Targets
from itb.mlmodels.deep.resnet import Resnet1d
from itb.mlmodels.deep.walk import PanelWalk
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.promotion import bootstrap_interval
from itb.mlmodels.walkforward import WalkForward

LABEL = FutureReturn(1)
PART = Resnet1d(
    steps=4, blocks=1, filters=32, dropout=0.0, columns=("close",), learning_rate=0.003, batch_rows=128, epochs=12
)


class Skill(NamedTuple):
    """The followers' information coefficient, its interval at 99.9 %, and what the planted expectation reaches."""

    ic: float
    low: float
    high: float
    attainable: float


def graded(market, scores, targets, first):
    """Pool the followers' rows: each one's scores and labels are standardised, a block bootstrap gives the interval."""
    found, best = [], []
    expected = market.expected()
    for coin, symbol in enumerate(sorted(market.symbols)):
        if symbol.startswith("F"):
            rows = np.arange(first, len(scores) - 1)
            label, score, told = (
                np.asarray(one)[rows] for one in (targets.values[:, coin], scores[:, coin], expected[symbol])
            )
            found.append(standard(score) * standard(label))
            best.append(standard(told) * standard(label))
    each = np.mean(found, axis=0)
    low, high = bootstrap_interval(each, 20, confidence=0.999, resamples=2000, seed=0)
    return Skill(float(each.mean()), low, high, float(np.mean(best)))


def standard(values):
    return (values - values.mean()) / values.std() if values.std() else np.zeros_like(values)


def ridge(market, targets, first, steps=4, penalty=10.0):
    """Regress every coin's label on the last returns of all coins, learned before ``first``."""
    moves = np.stack([np.diff(np.log(bars.close), prepend=np.nan) for _, bars in sorted(market.bars().items())], axis=1)
    inputs = np.concatenate([np.roll(moves, back, axis=0) for back in range(steps)], axis=1) / market.volatility
    learned = slice(steps + 1, first - 1)
    x, y = inputs[learned], targets.values[learned]
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return inputs @ weights


def targets_of(market, shuffled=False):
    bars = market.bars()
    panel = Panel.of(bars, PART.reading)
    targets = panel.targets(bars, {symbol: LABEL(one) for symbol, one in bars.items()})
    if shuffled:
        order = np.random.default_rng(7).permutation(len(panel) - 1)
        targets = Targets(np.concatenate([targets.values[order], targets.values[-1:]]), targets.known_at)
    return panel, targets


def network(market, folder, shuffled=False, part=PART):
    panel, targets = targets_of(market, shuffled)
    train = int(0.75 * market.length)
    walk = WalkForward(mode="expanding", train_bars=train, refit_every=market.length, min_train_rows=100)
    run = PanelWalk(walk, panel, targets, part, LABEL.name, "planted").run(folder)
    first = run.folds[0].block.test_start
    return graded(market, run.scores, targets, first), graded(market, ridge(market, targets, first), targets, first)


@pytest.mark.torch
def test_a_linear_lead_is_found_nearly_whole(tmp_path):
    skill, plain = network(PlantedPanel("linear", length=8_000, ic=0.2, seed=3), tmp_path)
    assert skill.attainable > 0.15
    assert skill.ic >= 0.8 * skill.attainable
    assert skill.low > 0
    assert plain.ic >= skill.ic - 0.02  # a line is all there is to find: ridge may win


@pytest.mark.torch
def test_a_gated_effect_is_found_where_ridge_sees_nothing(tmp_path):
    skill, plain = network(PlantedPanel("gated", length=20_000, ic=0.2, seed=3), tmp_path)
    assert skill.attainable > 0.15
    assert skill.ic >= 0.6 * skill.attainable
    assert skill.low > 0
    assert plain.low < 0 < plain.high


@pytest.mark.torch
@pytest.mark.parametrize("effect", ["linear", "gated"])
def test_shuffled_targets_give_nothing(effect, tmp_path):
    skill, plain = network(PlantedPanel(effect, length=8_000, ic=0.2, seed=3), tmp_path, shuffled=True)
    assert skill.low < 0 < skill.high
    assert plain.low < 0 < plain.high


@pytest.mark.torch
@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("effect", "share"), [("linear", 0.8), ("gated", 0.6)])
def test_the_bars_are_reached_on_every_column_and_other_seeds(effect, share, seed, tmp_path):
    part = dataclasses.replace(PART, columns=(), epochs=20, plateau_epochs=2)
    skill, plain = network(PlantedPanel(effect, length=60_000, ic=0.2, seed=seed), tmp_path, part=part)
    assert skill.ic >= share * skill.attainable
    assert (plain.low < 0 < plain.high) == (effect == "gated")


@pytest.mark.parametrize("effect", ["linear", "gated", "none"])
def test_what_is_expected_reaches_the_planted_coefficient_and_nothing_else_does(effect):
    market = PlantedPanel(effect, length=40_000, ic=0.3, seed=1)
    expected, bars = market.expected(), market.bars()
    for symbol in market.symbols:
        move = LABEL(bars[symbol]).values[:-1]
        told = expected[symbol][:-1]
        if effect == "none" or not symbol.startswith("F"):
            assert not told.any()
        else:
            assert np.corrcoef(told, move)[0, 1] == pytest.approx(0.3, abs=0.02)
