"""Fitted parts of a stage, kept beside the models: who speaks when, and the checked content of each file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.mlmodels.registry import Manifest, check_model, save_content
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.stages.column import ScoreColumn


@dataclass(frozen=True)
class FittedPart:
    """What a stage learned at one refit; numbers are rows of the column.

    ``content`` goes to a file; empty where nothing could be fitted, and then ``reason`` says why.
    """

    fit_bar: int
    speaks_from: int
    last_row: int
    rows: int
    content: bytes
    reason: str


@dataclass(frozen=True)
class StageKind:
    """What the files of a stage are: its name, that of the part, its settings, the end of file names."""

    name: str
    part: str
    settings: Mapping[str, Any]
    suffix: str = ".json"


def keep_parts(
    kind: StageKind, column: ScoreColumn, parts: Iterable[FittedPart], folder: Path, seed: int = 0
) -> ModelTimeline:
    """Write every part with a manifest and its hash into ``folder/<stage>``, and ``folder/<stage>.json`` about them."""
    timeline = ModelTimeline(column.name, column.low, column.high, (column.name,))
    times = column.open_time
    for part in parts:
        manifest = Manifest(
            column=column.name,
            label=column.label_name,
            algorithm=kind.part,
            settings=kind.settings,
            feature_names=timeline.feature_names,
            rows=part.rows,
            seed=seed,
            trained_from=int(times[0]),
            trained_until=int(times[part.last_row]),
            known_at=int(times[part.fit_bar]),
        )
        name = save_content(part.content, kind.suffix, manifest, folder / kind.name) if part.content else ""
        entry = TimelineEntry(
            trained_until=manifest.trained_until,
            known_at=manifest.known_at,
            speaks_from=int(times[part.speaks_from]),
            file=f"{kind.name}/{name}" if name else "",
            promoted=bool(name),
            reason=part.reason,
            rows=part.rows,
        )
        timeline = timeline.appended(entry)
    path = folder / f"{kind.name}.json"
    if not (path.exists() and ModelTimeline.load(path).begins_with(timeline)):  # it may have been continued live
        timeline.save(path)
    return timeline


def content_at(timeline: ModelTimeline, open_time: int, folder: Path) -> bytes | None:
    """Give the checked file of the part that speaks at a bar, ``None`` before there is one.

    Raises :class:`itb.errors.ModelError` if it is missing or altered.
    """
    entry = timeline.entry_at(open_time)
    return None if entry is None else check_model(folder / entry.file)[1]
