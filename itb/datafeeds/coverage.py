"""Which spans of a series an exchange was asked for and answered: gaps in there are the exchange's, not ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from itb.datafeeds.atomic import locked, make_folder, replace_file
from itb.market.bars import IntArray
from itb.market.timeframe import Timeframe

Span = tuple[int, int]

_log = logging.getLogger(__name__)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Join half-open spans ``[start, stop)`` that touch or overlap; sorted.

    >>> merged([(5, 9), (0, 3), (3, 4), (6, 7)])
    [(0, 4), (5, 9)]
    """
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        elif start < stop:
            joined.append((start, stop))
    return joined


def without(spans: Iterable[Span], covered: Iterable[Span]) -> list[Span]:
    """Give the parts of ``spans`` that lie in none of ``covered``.

    >>> without([(0, 10), (20, 30)], [(2, 4), (8, 25)])
    [(0, 2), (4, 8), (25, 30)]
    """
    left: list[Span] = []
    holes = merged(covered)
    for start, stop in merged(spans):
        at = start
        for hole_start, hole_stop in holes:
            if hole_stop <= at or hole_start >= stop:
                continue
            if hole_start > at:
                left.append((at, hole_start))
            at = hole_stop
        if at < stop:
            left.append((at, stop))
    return left


def holes(open_time: IntArray, timeframe: Timeframe, since_ms: int, stop_ms: int) -> list[Span]:
    """Give the spans of ``[since_ms, stop_ms)``, both on the grid, in which no bar is stored.

    >>> holes(np.array([120_000, 180_000, 300_000]), Timeframe.parse("1m"), 0, 420_000)
    [(0, 120000), (240000, 300000), (360000, 420000)]
    """
    inside = open_time[np.searchsorted(open_time, since_ms) : np.searchsorted(open_time, stop_ms)]
    edges = np.concatenate(([since_ms - timeframe.ms], inside, [stop_ms]))
    gaps = np.flatnonzero(np.diff(edges) > timeframe.ms)
    return [(int(edges[gap]) + timeframe.ms, int(edges[gap + 1])) for gap in gaps]


class Coverage:
    """The spans of one stored series that were asked for and answered: ``asked.json`` beside its bars.

    The file is written after the bars: a crash in between costs one more request and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "asked.json"
        self.spans = merged(_load(self.path))

    def add(self, start_ms: int, stop_ms: int) -> None:
        """Remember that every bar of ``[start_ms, stop_ms)`` was asked for and answered."""
        self.spans = merged([*self.spans, (start_ms, stop_ms)])

    def forget(self) -> None:
        """Start anew, because the bars are gone."""
        self.spans = []
        self.path.unlink(missing_ok=True)

    def holds(self, start_ms: int, stop_ms: int) -> bool:
        """Whether all of ``[start_ms, stop_ms)`` was asked for and answered."""
        return not without([(start_ms, stop_ms)], self.spans)

    def save(self) -> None:
        """Write the file in one step, with what another download may have added meanwhile."""
        make_folder(self.path.parent)
        with locked(self.path.parent, timeout_s=10.0):
            self.spans = merged([*_load(self.path), *self.spans])
            content = json.dumps({"asked_ms": self.spans}).encode()
            replace_file(self.path, lambda file: file.write(content))


def _load(path: Path) -> list[Span]:
    if not path.exists():
        return []
    try:
        return [(int(start), int(stop)) for start, stop in json.loads(path.read_text("utf-8"))["asked_ms"]]
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("%s is not a list of spans (%s): gaps will be asked for again", path, error)
        return []
