"""Which model speaks when: one list of refits, written by the walk-forward and continued live."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from itb.errors import ModelError
from itb.market.bars import utc
from itb.mlmodels.algorithm import Algorithm
from itb.mlmodels.files import write_whole
from itb.mlmodels.registry import StoredModel, load_model

_FORMAT = 1


@dataclass(frozen=True)
class TimelineEntry:
    """One refit; times are open times of bars in UTC milliseconds.

    ``trained_until`` is the last bar it learned from (its label was known at ``known_at`` or before), ``known_at`` the
    bar at whose close it was fitted, ``speaks_from`` the first bar it may score. ``file`` is its manifest, seen from
    the timeline's folder, empty if nothing could be fitted; ``trained_until`` is then ``known_at``. Only a
    ``promoted`` model speaks; ``reason`` says why.
    """

    trained_until: int
    known_at: int
    speaks_from: int
    file: str
    promoted: bool
    reason: str
    rows: int = 0

    def __post_init__(self) -> None:
        if not self.trained_until <= self.known_at < self.speaks_from:
            raise ValueError(
                f"expected trained_until <= known_at < speaks_from, were {self.trained_until}, {self.known_at}, "
                f"{self.speaks_from}"
            )
        if self.promoted and not self.file:
            raise ValueError("a promoted model needs a file")


@dataclass(frozen=True)
class ModelTimeline:
    """Refits of one score column, oldest first; only ever appended to. ``low`` and ``high`` are the declared range.

    >>> entry = TimelineEntry(0, 60_000, 120_000, "models/1.json", promoted=True, reason="sane")
    >>> timeline = ModelTimeline("up_lightgbm", 0.0, 1.0, ("rsi",)).appended(entry)
    >>> timeline.entry_at(60_000) is None, timeline.entry_at(180_000).file
    (True, 'models/1.json')
    """

    column: str
    low: float
    high: float
    feature_names: tuple[str, ...]
    entries: tuple[TimelineEntry, ...] = ()

    def __post_init__(self) -> None:
        for before, after in zip(self.entries, self.entries[1:], strict=False):
            if before.known_at >= after.known_at or before.speaks_from > after.speaks_from:
                raise ValueError(
                    f"entries must follow each other: one fitted at {utc(after.known_at)} comes after one fitted at "
                    f"{utc(before.known_at)}"
                )

    def appended(self, entry: TimelineEntry) -> ModelTimeline:
        """Give the timeline with one more refit, which must be later than all others."""
        return replace(self, entries=(*self.entries, entry))

    def entry_at(self, open_time: int) -> TimelineEntry | None:
        """Give the refit that scores the bar which opens at ``open_time``, or ``None`` if nobody speaks yet."""
        spoken = [entry for entry in self.entries if entry.promoted]
        place = bisect.bisect_right([entry.speaks_from for entry in spoken], open_time)
        return spoken[place - 1] if place else None

    def model_at(self, open_time: int, folder: Path, algorithm: Algorithm | None = None) -> StoredModel | None:
        """Load the model that scores the bar which opens at ``open_time``; ``folder`` is the timeline's own."""
        entry = self.entry_at(open_time)
        return None if entry is None else load_model(folder / entry.file, algorithm)

    def begins_with(self, other: ModelTimeline) -> bool:
        """Whether this timeline is the other one, or a continuation of it."""
        return replace(self, entries=self.entries[: len(other.entries)]) == other

    def save(self, path: Path) -> None:
        """Write the timeline as JSON; refuse with :class:`ModelError` to drop or change entries that are there."""
        if path.exists():
            before = ModelTimeline.load(path)
            if not self.begins_with(before):
                raise ModelError(
                    f"{path}: holds {len(before.entries)} refits of {before.column} that the new timeline does not "
                    f"continue. Write it to another folder."
                )
        fields = asdict(self) | {"low": _bound(self.low), "high": _bound(self.high)}
        write_whole(path, json.dumps({"format": _FORMAT, **fields}, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> ModelTimeline:
        """Read a timeline; raise :class:`ModelError` if it is missing or not one."""
        try:
            fields = json.loads(path.read_bytes())
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}). Run `itb walkforward` first.") from None
        except ValueError as error:
            raise ModelError(f"{path}: not a timeline ({error}). Run `itb walkforward` again.") from None
        try:
            return cls(
                column=fields["column"],
                low=-np.inf if fields["low"] is None else float(fields["low"]),
                high=np.inf if fields["high"] is None else float(fields["high"]),
                feature_names=tuple(fields["feature_names"]),
                entries=_entries(fields["entries"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: not a timeline ({error}). Run `itb walkforward` again.") from None


def _bound(value: float) -> float | None:
    return value if np.isfinite(value) else None  # JSON knows no infinity


def _entries(rows: Iterable[dict[str, object]]) -> tuple[TimelineEntry, ...]:
    return tuple(TimelineEntry(**row) for row in rows)  # type: ignore[arg-type]  # checked by the entry itself
