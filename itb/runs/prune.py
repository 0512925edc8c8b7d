"""`itb runs prune`: give back the disk that trained folds and scores take, once nobody has asked for them for long."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from itb.errors import ConfigError
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from itb.runs.workspace import Workspace

_DAY_S = 86_400
_MIB = 1024**2


def prune(workspace: Workspace, days: int) -> Said:
    """Remove from the cache what no command has written to for ``days`` days; all of it can be computed again.

    A walk-forward's folder is written to each time that a command takes scores from it. Capsules, trained models,
    studies and the register are never touched.
    """
    if days < 1:
        raise ConfigError(f"--days: expected at least 1 day, was {days}")
    oldest = workspace.clock() / 1000 - days * _DAY_S
    removed, kept, freed, left = 0, 0, 0, 0
    for place in _places(workspace.cache):
        files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
        stats = [file.stat() for file in files]
        size = sum(stat.st_size for stat in stats)
        if max((stat.st_mtime for stat in stats), default=0.0) >= oldest:
            kept, left = kept + 1, left + size
            continue
        removed, freed = removed + 1, freed + size
        if place.is_file():
            place.unlink()
        else:
            shutil.rmtree(place)
    told = f"{removed} of {removed + kept} cached results removed, {freed / _MIB:.1f} MiB"
    line = f"{told}; {left / _MIB:.1f} MiB were used in the last {days} days and stay in {workspace.cache}"
    return Said({"removed": removed, "kept": kept, "freed_bytes": freed, "left_bytes": left}, (line,))


def _places(cache: Path) -> Iterator[Path]:
    """Give each cached result: what stands in the folders of each kind."""
    for kind in sorted(cache.iterdir()) if cache.is_dir() else ():
        if kind.is_dir():
            yield from sorted(kind.iterdir())
