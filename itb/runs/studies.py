"""`itb optimize list`: what searches there are, how far each is, and what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from itb.charts.data import Table
from itb.charts.wording import DASH, number
from itb.errors import RunError
from itb.market.bars import utc
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from itb.optimize.glance import Glance
    from itb.runs.workspace import Workspace


@dataclass(frozen=True)
class Progress:
    """A study in this project, as its storage and its verdict say.

    ``verdict`` is a word, empty while there is none; ``judged_on`` how many trials it knew where there are more by now
    (else 0). ``trouble`` says why the study cannot be read, where it cannot.
    """

    name: str
    written_ms: int
    glance: Glance | None = None
    verdict: str = ""
    judged_on: int = 0
    trouble: str = ""

    @property
    def state(self) -> str:
        """How it stands, in a word."""
        if self.glance is None:
            return "unreadable"
        if self.verdict and not self.judged_on:
            return "finished"
        return "running" if self.glance.is_running else "stopped"

    @property
    def trials(self) -> str:
        """How many trials it has, of how many."""
        if self.glance is None:
            return DASH
        wanted = f" of {self.glance.wanted:,}" if self.glance.wanted else ""
        return f"{self.glance.trials:,}{wanted}"

    @property
    def best(self) -> str:
        """What its best trial reached."""
        if self.glance is None or self.glance.best is None:
            return DASH
        return f"{self.glance.objective} {number(self.glance.best, 3)} in trial {self.glance.trial}"

    @property
    def judged(self) -> str:
        """What it is worth, and on how many trials that was said where there are more by now."""
        return f"{self.verdict}, on {self.judged_on:,} trials" if self.judged_on else self.verdict

    def plain(self) -> dict[str, Any]:
        """Give it as JSON knows it."""
        said = {"state": self.state, "progress": self.trials, "reached": self.best, "judged": self.judged}
        return {**asdict(self), **said}


def list_studies(workspace: Workspace, most: int = 20) -> Said:
    """List the project's own studies, those that were written last first; another database's are not known here."""
    found = studies(workspace, most)
    rows = tuple((one.name, one.state, one.trials, one.best, one.judged, utc(one.written_ms)) for one in found)
    lines = () if rows else (f"No search in {workspace.config.runs_root} yet: `itb optimize` begins one.",)
    told = tuple(f"{one.name}: {one.trouble}" for one in found if one.trouble)
    head = ("study", "state", "trials", "best", "verdict", "last written")
    return Said({"studies": [one.plain() for one in found]}, (*lines, *told), Table(head, rows) if rows else None)


def studies(workspace: Workspace, most: int) -> list[Progress]:
    """Read the newest studies of the project."""
    files = sorted(
        (workspace.config.runs_root / "studies").glob("*/journal.log"), key=lambda file: file.stat().st_mtime
    )
    return [_read(file.parent, round(file.stat().st_mtime * 1000)) for file in reversed(files[-most:])]


def _read(folder: Path, written_ms: int) -> Progress:
    from itb.optimize.glance import glance_at
    from itb.optimize.storage import storage_of

    try:
        glance = glance_at(storage_of("", folder), folder.name)
    except RunError as error:
        return Progress(folder.name, written_ms, trouble=str(error))
    verdict, judged_on = _verdict(folder)
    return Progress(folder.name, written_ms, glance, verdict, judged_on if judged_on < glance.trials else 0)


def _verdict(folder: Path) -> tuple[str, int]:
    """Give the word of the verdict and how many trials it knew; empty where there is none."""
    try:
        told = json.loads((folder / "verdict.json").read_text())
        return str(told["verdict"]["word"]), int(told["trials"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", 0
