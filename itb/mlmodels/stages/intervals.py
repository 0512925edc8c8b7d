"""Conformal intervals around a score column, and what live scoring needs to go on with them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.conformal import Conformal, ConformalState
from itb.mlmodels.files import write_whole
from itb.mlmodels.labels.column import label_reach
from itb.mlmodels.quality import jackknife_margin
from itb.mlmodels.registry import Manifest, check_model, save_content

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.conformal import Intervals
    from itb.mlmodels.stages.column import ScoreColumn

Method = Literal["split", "adaptive"]
NAME = "conformal"


@dataclass(frozen=True)
class ConformalIntervals:
    """Give each score the lowest and highest label to expect, so that a share ``coverage`` of labels lies inside.

    ``"split"`` takes the width from the newest ``window`` errors (0: all) once ``min_rows`` are known; ``"adaptive"``
    also follows the misses by ``rate`` a step (:class:`itb.mlmodels.conformal.Conformal`), which keeps the promise
    when markets change.
    """

    method: Method = "adaptive"
    coverage: float = 0.9
    rate: float = 0.02
    window: int = 1_000
    min_rows: int = 100

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f'method must be "split" or "adaptive", was {self.method!r}')
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1, was {self.coverage}")
        if not self.rate > 0:
            raise ValueError(f"rate must be above 0, was {self.rate}")
        self.conformal  # noqa: B018  building it checks window and min_rows

    @property
    def conformal(self) -> Conformal:
        """The same in the words of the value object."""
        gamma = self.rate if self.method == "adaptive" else 0.0
        return Conformal(1 - self.coverage, gamma, self.window, self.min_rows)

    def walk(self, column: ScoreColumn) -> tuple[Intervals, LiveIntervals]:
        """Give every row's interval, and what live scoring goes on with after the last row."""
        if column.is_probability:
            raise ValueError(f"{column.name} is a probability; intervals are for scores that estimate a number")
        found, state = self.conformal.walk(column.scores, column.label)
        unknown = np.flatnonzero((column.label.known_at < 0) & np.isfinite(column.scores))
        unknown = unknown[unknown >= len(column.scores) - label_reach(column.label.known_at)]
        waiting = {
            int(column.open_time[row]): (float(column.scores[row]), float(found.low[row]), float(found.high[row]))
            for row in unknown
        }
        return found, LiveIntervals(state, waiting)


class LiveIntervals:
    """Intervals bar by bar: scores wait here until their label is known.

    >>> live = LiveIntervals(ConformalState(Conformal(alpha=0.5, min_rows=1)), {0: (1.0, float("nan"), float("nan"))})
    >>> live.step(60_000, 2.0, known=[(0, 1.25)])
    (1.75, 2.25)
    """

    def __init__(self, state: ConformalState, waiting: dict[int, tuple[float, float, float]]) -> None:
        self.state = state
        self.waiting = dict(waiting)

    def step(self, open_time: int, score: float, known: Iterable[tuple[int, float]]) -> tuple[float, float]:
        """Give a bar's interval; ``known``: (open time, label) of rows whose label the close of this bar settled."""
        for told, label in sorted(known):
            if told in self.waiting:
                before, low, high = self.waiting.pop(told)
                self.state.learn(before, label, low, high)
        low, high, _ = self.state.interval(score)
        if np.isfinite(score):
            self.waiting[open_time] = score, low, high
        return low, high

    def to_bytes(self) -> bytes:
        """Give the content of its file, JSON; :meth:`load` reads every number back bit for bit."""
        rows = [[time, *(None if np.isnan(one) else one for one in told)] for time, told in self.waiting.items()]
        return json.dumps({"state": self.state.to_bytes().decode(), "waiting": rows}).encode()

    @classmethod
    def load(cls, content: bytes) -> LiveIntervals:
        """Read it back; raise :class:`itb.errors.ModelError` for anything else."""
        try:
            told = json.loads(content)
            state, rows = told["state"].encode(), told["waiting"]
            waiting = {int(time): (float(score), _number(low), _number(high)) for time, score, low, high in rows}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"not the state of intervals ({error}). Run `itb walkforward` again.") from None
        return cls(ConformalState.load(state), waiting)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class Coverage:
    """How many labels lay inside their intervals: a ``share`` of ``rows``, give or take ``margin`` (95 %).

    ``width`` is the median width of the intervals that are neither empty nor infinite.
    """

    rows: int
    share: float
    margin: float
    asked: float
    width: float

    @property
    def sentence(self) -> str:
        """The figures in words."""
        if not self.rows:
            return "no interval has met a known label yet"
        margin = "" if np.isnan(self.margin) else f" ± {100 * self.margin:.1f}"
        told = f"intervals held {100 * self.share:.1f}{margin} % of {self.rows:,} labels"
        return f"{told}, {100 * self.asked:g} % were promised; their median width is {self.width:.4g}"


def cover(stage: ConformalIntervals, intervals: Intervals, column: ScoreColumn) -> Coverage:
    """Count what the intervals held; the margin minds that neighbouring labels overlap."""
    judged = ~np.isnan(intervals.low) & (column.label.known_at >= 0)
    labels = column.label.values[judged]
    inside = (intervals.low[judged] <= labels) & (labels <= intervals.high[judged])
    width = (intervals.high - intervals.low)[judged]
    width = width[np.isfinite(width) & (width >= 0)]
    rows = int(judged.sum())
    reach = label_reach(column.label.known_at)
    return Coverage(
        rows=rows,
        share=float(inside.mean()) if rows else float("nan"),
        margin=jackknife_margin(rows, reach, lambda kept: float(inside[kept].mean())),
        asked=stage.coverage,
        width=float(np.median(width)) if len(width) else float("nan"),
    )


def keep_intervals(stage: ConformalIntervals, column: ScoreColumn, live: LiveIntervals, folder: Path) -> None:
    """Write what live scoring goes on with into ``folder``: checked content, and ``conformal.json`` that names it.

    A state that has gone on to later bars is left as it is.
    """
    times = column.open_time
    if _known_at(folder) > int(times[-1]):
        return
    manifest = Manifest(
        column=column.name,
        label=column.label_name,
        algorithm=stage.method,
        settings=asdict(stage),
        feature_names=(column.name,),
        rows=len(live.state.newest),
        seed=0,
        trained_from=int(times[0]),
        trained_until=int(times[-1]),
        known_at=int(times[-1]),
    )
    name = save_content(live.to_bytes(), ".json", manifest, folder / NAME)
    write_whole(folder / f"{NAME}.json", json.dumps({"file": f"{NAME}/{name}", "known_at": manifest.known_at}).encode())


def _known_at(folder: Path) -> int:
    """Give the last bar that the kept state has seen; before all bars if there is none that can be read."""
    try:
        load_intervals(folder)
        return int(json.loads((folder / f"{NAME}.json").read_bytes())["known_at"])
    except (ModelError, ValueError, KeyError, TypeError):
        return -1


def load_intervals(folder: Path) -> LiveIntervals:
    """Read it back; raise :class:`itb.errors.ModelError` for a file that is missing, altered or of another kind."""
    path = folder / f"{NAME}.json"
    try:
        file = str(json.loads(path.read_bytes())["file"])
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Run `itb walkforward` first.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: names no state of intervals ({error}). Run `itb walkforward` again.") from None
    return LiveIntervals.load(check_model(folder / NAME / file.rpartition("/")[2])[1])
