"""Where a command works: its config, its clock, its folders and the register."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from itb.ledger.register import Register

if TYPE_CHECKING:
    from pathlib import Path

    from itb.config import Config
    from itb.datafeeds.store import BarStore

Progress = Callable[[int, int, str], None]


def wall_clock() -> int:
    """UTC milliseconds now."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Workspace:
    """Everything a command needs beside its own options; ``progress`` hears (done, total, what).

    ``window`` (UTC milliseconds, the end excluded) narrows the bars to those that an earlier run saw. ``memo`` keeps
    what several symbols of one command share. A command that ``judges_nothing``, such as training for tomorrow, shows
    no figure: it may read the hold-out, which stays sealed for all others.
    """

    config: Config
    include_holdout: bool = False
    judges_nothing: bool = False
    progress: Progress | None = None
    clock: Callable[[], int] = field(default=wall_clock)
    window: tuple[int, int] | None = None
    memo: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def runs(self) -> Path:
        """Folder of the capsules."""
        return self.config.runs_root

    @property
    def cache(self) -> Path:
        """Folder of what can be computed again: trained folds, scores."""
        return self.config.runs_root / ".cache"

    @property
    def register(self) -> Register:
        """The register of every look at a performance figure."""
        return Register(self.config.runs_root / "register.sqlite")

    @property
    def store(self) -> BarStore:
        """The bar store."""
        from itb.datafeeds.store import BarStore

        return BarStore(self.config.data_root)

    @property
    def opens_holdout(self) -> bool:
        """Whether bars of the hold-out are read."""
        return self.include_holdout and not self.config.data.is_before_holdout

    def report(self, done: int, total: int, what: str) -> None:
        """Tell how far the work is."""
        if self.progress is not None:
            self.progress(done, total, what)
