"""Fitted parts of a stage, kept beside the models: who speaks when, and the checked content of each file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
    """Write every part with a manifest and its hash into ``folder/<stage>``, and ``folder/<stage>.json`` about them.

    A coin of a pool may have no bar where a model was fitted or speaks: see :func:`heard_parts`.
    """
    timeline = ModelTimeline(column.name, column.low, column.high, (column.name,))
    times = column.times
    for part in heard_parts(parts, len(times)):
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


def heard_parts(parts: Iterable[FittedPart], bars: int) -> Iterator[FittedPart]:
    """Leave out what was fitted before a column's first of ``bars`` bars or speaks after its last.

    Of parts that were fitted in one hole of the column, and so after the same bar, the last one counts.

    >>> told = [(-1, 0, b""), (3, 4, b"a"), (3, 4, b"b"), (3, 4, b""), (7, 8, b"c")]
    >>> parts = [FittedPart(fit_bar, start, fit_bar, 0, content, "") for fit_bar, start, content in told]
    >>> [(one.fit_bar, one.content) for one in heard_parts(parts, 8)]
    [(3, b'b')]
    """
    waiting: FittedPart | None = None
    for part in parts:
        if part.fit_bar < 0 or part.speaks_from >= bars:
            continue
        if waiting is None or part.fit_bar > waiting.fit_bar:
            if waiting is not None:
                yield waiting
            waiting = part
        elif part.content:
            waiting = replace(part, speaks_from=waiting.speaks_from)
    if waiting is not None:
        yield waiting


def content_at(timeline: ModelTimeline, open_time: int, folder: Path) -> bytes | None:
    """Give the checked file of the part that speaks at a bar, ``None`` before there is one.

    Raises :class:`itb.errors.ModelError` if it is missing or altered.
    """
    entry = timeline.entry_at(open_time)
    return None if entry is None else check_model(folder / entry.file)[1]
