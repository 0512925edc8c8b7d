"""A study at a glance: how many trials it has and shall have, its best, and whether somebody works on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.optimize.desk import WINDOW, Desk, stored_plan, told
from itb.optimize.objectives import OBJECTIVES
from itb.optimize.search import best_of

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Glance:
    """What a study's storage says of it.

    ``wanted`` is 0 where nobody has said how many trials there shall be; ``best`` and ``trial`` are ``None`` while none
    keeps the constraints.
    """

    name: str
    symbol: str
    objective: str
    trials: int
    wanted: int
    best: float | None
    trial: int | None
    is_running: bool


def glance_at(storage: optuna.storages.BaseStorage, name: str) -> Glance:
    """Read a study without touching it; one that searched again before each window is the sum of those searches.

    Raises :class:`itb.errors.RunError` where there is none of that name.
    """
    import optuna

    with told(name):
        parts = [one for one in optuna.get_all_study_names(storage) if one.startswith(f"{name}{WINDOW}")]
    plan, _ = stored_plan(storage, min(parts, default=name))
    objective = OBJECTIVES[plan["search"]["objectives"][0]]
    trials, is_running = 0, False
    for part in parts or [name]:
        with told(name):
            desk = Desk(optuna.load_study(study_name=part, storage=storage), owner="somebody who only looks")
            records, blocks = desk.records(), desk.blocks()
        trials += len(records)
        is_running |= any(not desk.is_free(block) for block in blocks.values())
    best = None if parts else best_of(records, objective)
    return Glance(
        name=name,
        symbol=plan["symbol"],
        objective=objective.name,
        trials=trials,
        wanted=0 if parts else desk.wanted,
        best=None if best is None or not best.values else best.values[0],
        trial=None if best is None else best.slot,
        is_running=is_running,
    )
