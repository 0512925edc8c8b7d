"""`itb backtest` with strategies of one's own, protections, and what it refuses of either."""

from __future__ import annotations

import pytest

from itb.errors import BarsError, ConfigError, StrategyError
from itb.runs.backtest import backtest

ALTERNATES = """
    params = (("every", 5),)

    def next(self):
        if len(self) % self.p.every == 0:
            self.buy(size=0.01) if not self.position else self.close()
"""


@pytest.fixture
def run(workspace):
    """Run one backtest."""

    def go(*settings, **more):
        (done,) = backtest(workspace(*settings, **more))
        return done

    return go


def test_a_strategy_that_reads_no_score_trains_nothing(run, own_strategy, tmp_path):
    done = run(own_strategy(ALTERNATES))
    assert done.outcome.scored is None
    assert done.capsule.manifest["models"] == []
    assert done.outcome.result.start == 0
    assert not (tmp_path / "runs" / ".cache").exists()
    assert not (done.capsule.folder / "scores.parquet").exists()
    assert len(done.outcome.result.fills) == 599 // 5


def test_a_strategy_takes_its_own_parameters_from_the_config(run, own_strategy):
    done = run(own_strategy(ALTERNATES), "strategy.every=50")
    assert len(done.outcome.result.fills) == 599 // 50
    assert done.capsule.manifest["strategy"]["every"] == 50


def test_a_misspelt_parameter_of_an_own_strategy_is_named(run, own_strategy):
    with pytest.raises(ConfigError, match=r'strategy.evry: unknown key; did you mean "every"\?'):
        run(own_strategy(ALTERNATES), "strategy.evry=50")


def test_an_own_strategy_reads_the_score(run, own_strategy):
    body = """
    def __init__(self):
        self.score = MLScore(self.data)

    def next(self):
        if self.score[0] >= 0.5 and not self.position:
            self.buy(size=0.01)
        elif self.score[0] < 0.5 and self.position:
            self.close()
"""
    done = run(own_strategy(body))
    assert done.outcome.scored is not None
    assert list(done.outcome.scores) == ["up_6_0bps_logistic"]
    assert len(done.outcome.result.fills) > 10


def test_a_strategy_that_raises_is_one_clear_error(run, own_strategy, workspace):
    with pytest.raises(StrategyError) as caught:
        run(own_strategy("    def next(self):\n        raise ValueError('no idea')\n"))
    assert (
        str(caught.value)
        == "Own: ValueError: no idea (in next, own.py line 8); run with --debug to see the whole trace"
    )
    assert workspace().register.looks() == []


def test_a_strategy_that_is_not_there_is_told(run, tmp_path):
    with pytest.raises(StrategyError, match=r'did you mean "MLThreshold"\?'):
        run("strategy.name=MLTreshold")


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_outside_the_score_s_range_is_refused_before_training(threshold, run, tmp_path):
    key = "sell_threshold" if threshold < 0 else "buy_threshold"
    with pytest.raises(ConfigError, match=rf"strategy.{key}: must lie in the score's range \[0, 1\], was {threshold}"):
        run(f"strategy.{key}={threshold}")
    assert not (tmp_path / "runs" / ".cache").exists()


def test_no_bars_in_the_range_are_told_with_the_way_out(run):
    with pytest.raises(BarsError, match="no bars from 2030-01-01 00:00 UTC to the end; see `itb data list`"):
        run("data.from=2030-01-01")


def test_protections_hold_entries_back_and_are_told(run):
    settings = ("strategy.buy_threshold=0.51", "strategy.sell_threshold=0.49")
    free = run(*settings)
    held = run(*settings, "protections=[{kind='cooldown', stop_duration='12h'}]")
    count = held.outcome.result.blocked["cooldown"]
    assert len(held.outcome.result.fills) < len(free.outcome.result.fills)
    manifest = held.capsule.manifest
    assert manifest["blocked_entries"] == {"cooldown": count}
    assert f"Protections held an entry back at {count:,} bars: cooldown at {count:,}." in manifest["notes"]
    assert free.outcome.result.blocked == {}


def test_protections_are_refused_for_a_strategy_that_would_not_ask(workspace, own_strategy):
    name = own_strategy("    def next(self):\n        pass\n")
    with pytest.raises(ConfigError, match=r"protections: Own would not ask them; derive it from itb\.strategies\.base"):
        backtest(workspace(name, "protections=[{kind='cooldown'}]"))
