"""Which stored model speaks on which bars: model files and timelines, on bars they have not learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.market.bars import utc
from itb.mlmodels.registry import Manifest, check_features, check_model, load_model
from itb.mlmodels.timeline import ModelTimeline

if TYPE_CHECKING:
    from itb.market.bars import FloatArray, IntArray
    from itb.mlmodels.algorithm import FloatMatrix

NOBODY = -1
_TIMELINE = "timeline.json"


@dataclass(frozen=True)
class Speaker:
    """A stored model and the open time of the first bar that it may score, UTC milliseconds."""

    path: Path
    manifest: Manifest
    speaks_from: int


@dataclass(frozen=True, eq=False)
class Spoken:
    """Scores of one column; ``speaker`` is the position of the model that gave each, -1 where none spoke.

    ``in_sample`` marks the bars that the model had learned from, or that came before those.
    """

    scores: FloatArray
    speaker: IntArray
    in_sample: IntArray


def find_speakers(places: Sequence[Path], delay_ms: int) -> Mapping[str, tuple[Speaker, ...]]:
    """Read model files, timelines and folders of either; give the models of each score column, oldest first.

    A model of a timeline speaks when that says so. A model on its own speaks ``delay_ms`` after the bar at whose close
    it was fitted. Raises :class:`itb.errors.ModelError` for what is no model, and where two models of a column would
    begin to speak at the same bar.
    """
    found: dict[str, list[Speaker]] = {}
    for place in places:
        for speaker in _speakers(place, delay_ms):
            found.setdefault(speaker.manifest.column, []).append(speaker)
    return {column: _ordered(column, speakers) for column, speakers in found.items()}


def speak(
    speakers: Sequence[Speaker],
    features: FloatMatrix,
    feature_names: tuple[str, ...],
    open_time: IntArray,
    *,
    in_sample: bool = False,
    start: int = 0,
    coin: str = "",
) -> Spoken:
    """Score the rows from ``start`` on, each by the newest model that speaks then; earlier rows are NaN.

    ``in_sample`` lets the first model also score the bars before it speaks, those that it learned from among them.
    ``coin`` is whose rows they are. Raises :class:`itb.errors.ModelError` when a model learned from other features, or
    scales coin by coin and does not know this one.
    """

    def scores_of(speaker: Speaker, first: int, stop: int) -> FloatArray:
        stored = load_model(speaker.path)
        check_features(stored.manifest, feature_names)
        return stored.scores(features[first:stop], coin)

    return spoken_by(speakers, scores_of, open_time, in_sample=in_sample, start=start)


def spoken_by(
    speakers: Sequence[Speaker],
    scores_of: Callable[[Speaker, int, int], FloatArray],
    open_time: IntArray,
    *,
    in_sample: bool = False,
    start: int = 0,
) -> Spoken:
    """Let each of ``speakers`` score its rows by ``scores_of`` (who, first row, the row after the last one)."""
    scores = np.full(len(open_time), np.nan)
    who = np.full(len(open_time), NOBODY, dtype=np.int64)
    begins = np.searchsorted(open_time, [speaker.speaks_from for speaker in speakers])
    seen = np.arange(len(open_time)) < begins[0]
    stops = [*begins[1:], len(open_time)]
    for number, (begin, stop) in enumerate(zip(begins, stops, strict=True)):
        first = max(start, 0 if in_sample and number == 0 else int(begin))
        if first >= stop:
            continue
        scores[first:stop] = scores_of(speakers[number], first, int(stop))
        who[first:stop] = number
    return Spoken(scores, who, seen & (who != NOBODY))


def _speakers(place: Path, delay_ms: int) -> Iterator[Speaker]:
    if place.is_dir():
        if (place / _TIMELINE).is_file():
            yield from _speakers(place / _TIMELINE, delay_ms)
            return
        folder = place / "models" if (place / "models").is_dir() else place
        files = sorted(folder.glob("*.json"))
        if not files:
            raise ModelError(f"{place}: holds no model; `itb train` writes models, `itb walkforward` timelines")
        for file in files:
            yield _alone(file, delay_ms)
    elif place.name == _TIMELINE:
        for entry in ModelTimeline.load(place).entries:
            if entry.promoted:
                path = place.parent / entry.file
                yield Speaker(path, check_model(path)[0], entry.speaks_from)
    else:
        yield _alone(place, delay_ms)


def _alone(path: Path, delay_ms: int) -> Speaker:
    manifest, _ = check_model(path)
    return Speaker(path, manifest, manifest.known_at + delay_ms)


def _ordered(column: str, speakers: Sequence[Speaker]) -> tuple[Speaker, ...]:
    ordered = sorted(speakers, key=lambda speaker: speaker.speaks_from)
    for before, after in pairwise(ordered):
        if before.speaks_from == after.speaks_from:
            raise ModelError(
                f"{column}: two models would speak from {utc(after.speaks_from)} on, {before.path} and {after.path}; "
                f"name one of them"
            )
    return tuple(ordered)
