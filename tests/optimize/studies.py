"""A search that needs no market: what a trial earns is a function of its parameters."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from itb.optimize.desk import Desk, open_desk
from itb.optimize.journal import journal_storage
from itb.optimize.objectives import OBJECTIVES, Windows
from itb.optimize.performance import Performance
from itb.optimize.search import Search, Worker
from itb.optimize.space import Choice, Condition, FloatRange, IntRange, Space

DAYS = 120
SPACE = Space(
    model=(FloatRange("model.learning_rate", 0.01, 0.3, log=True), IntRange("model.num_leaves", 4, 64, log=True)),
    trade=(
        FloatRange("strategy.buy_threshold", 0.5, 0.7),
        FloatRange("strategy.stop_loss", 0.0, 0.1, step=0.01),
        Choice("strategy.allow_short", (True, False)),
        FloatRange("strategy.take_profit", 0.01, 0.1, when=Condition("strategy.allow_short", (True,))),
    ),
)


@dataclass(frozen=True)
class Pretended:
    """Earns most at a buy threshold of 0.6 and a high learning rate."""

    learning_rate: float

    def trade(self, parameters, *, until_day=None):
        buy = parameters["strategy.buy_threshold"]
        noise = np.random.default_rng(int(buy * 1e6)).normal(0, 0.02, DAYS)
        daily = noise + 0.01 * (self.learning_rate - 5 * abs(buy - 0.6))
        whole = Performance(daily, np.full(DAYS, 1e-4), np.arange(DAYS), daily.copy())
        return whole if until_day is None else whole.between(0, until_day)


def build(parameters):
    return Pretended(float(parameters["model.learning_rate"]))


def search(sampler="tpe", **changed):
    given = {"space": SPACE, "objectives": (OBJECTIVES["sharpe"],), "windows": Windows(DAYS, 6), "trade_sides": 5}
    return Search(**{**given, "sampler": sampler, **changed})


def desk(folder: Path, searched: Search, name="study", storage=None, **changed) -> Desk:
    folder.mkdir(parents=True, exist_ok=True)
    local = folder if storage is None else None
    storage = journal_storage(folder / "journal.log") if storage is None else storage
    plan = {"space": searched.space.plain(), "data": "d"}
    opened = open_desk(storage, name, plan, searched.space, directions=searched.directions, local=local)
    for key, value in changed.items():
        setattr(opened, key, value)
    return opened


def run(folder: Path, total: int, sampler="tpe", **changed):
    searched = search(sampler, **changed)
    opened = desk(folder, searched)
    Worker(searched, opened, build).work(total)
    return opened.records()


def told(records):
    """What must be equal between two searches."""
    return [(r.slot, r.block, dict(r.parameters), r.state, r.values, r.reason) for r in records]
