"""What a backtest lets expect of what a bot sends: which backtest that is, and how its grades are kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from itb.errors import ConfigError, RunError
from itb.live.notify.grades import Expectation
from itb.mlmodels.files import write_whole
from itb.runs.asides import aside
from itb.runs.capsule import read_capsule, run_ids
from itb.runs.graded import expected_of
from itb.runs.history import capsule_config
from itb.runs.live_models import model_side

if TYPE_CHECKING:
    from pathlib import Path

    from itb.config import Config
    from itb.runs.capsule import Capsule
    from itb.runs.workspace import Workspace

_LOOKED_AT = 200  # runs, the newest


def measure(workspace: Workspace) -> Capsule | None:
    """Give the backtest that live is measured against: the one that is named, else the longest that fits.

    One fits that has the same markets, bars, models and strategy; of equally long ones the newest is taken.
    """
    name = workspace.config.notify.expect_run
    if name:
        return read_capsule(workspace.runs, name)
    fitting = []
    for run_id in reversed(run_ids(workspace.runs)[-_LOOKED_AT:]):
        try:
            capsule = read_capsule(workspace.runs, run_id)
            if _sides(capsule_config(workspace, capsule)) == _sides(workspace.config):
                fitting.append((float(capsule.manifest["metrics"]["duration_days"]), capsule))
        except (RunError, ConfigError, KeyError, TypeError, ValueError):
            continue  # of another version, or damaged: no measure
    return max(fitting, key=lambda one: one[0])[1] if fitting else None


def refuse_unknown_run(workspace: Workspace) -> None:
    """Refuse a config that names a backtest which is not there."""
    config = workspace.config
    try:
        if config.notify.expect_run:
            read_capsule(workspace.runs, config.notify.expect_run)
    except RunError as error:
        raise ConfigError(config.complaint(("notify", "expect_run"), str(error))) from None


def _sides(config: Config) -> tuple[str, Any]:
    return model_side(config), config.plain()["strategy"]


def expectations_of(workspace: Workspace, capsule: Capsule) -> list[Expectation]:
    """Give what a backtest lets expect, graded now where that was not done before."""
    file = _file(workspace, capsule)
    if not file.exists():
        keep_expectations(workspace, capsule.run_id)
    return [Expectation(**told) for told in json.loads(file.read_text())]


async def expectations_beside(workspace: Workspace, capsule: Capsule) -> list[Expectation]:
    """Give the same; what was not graded before is graded in a process beside the bot.

    Raises :class:`itb.errors.ItbError` where it cannot be graded.
    """
    if not _file(workspace, capsule).exists():
        await aside(workspace.config, "expected", run=capsule.run_id)
    return expectations_of(workspace, capsule)


def keep_expectations(workspace: Workspace, run_id: str) -> None:
    """Grade a backtest and keep what came of it in the cache."""
    capsule = read_capsule(workspace.runs, run_id)
    found = [asdict(one) for one in expected_of(workspace, capsule)]
    write_whole(_file(workspace, capsule), json.dumps(found).encode())


def _file(workspace: Workspace, capsule: Capsule) -> Path:
    """Name the file of a run's grades: other outputs send other scores."""
    tables = workspace.config.plain()
    told = json.dumps([capsule.run_id, tables.get("outputs"), tables["notify"]["zone"]], sort_keys=True, default=str)
    return workspace.cache / "expected" / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
