"""Pictures of a market and its score, on a schedule."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.notify.events import FillSeen, ScoreSaid, SignalSent
from itb.live.notify.message import Message
from itb.live.notify.notifier import checked
from itb.live.notify.people import People, render
from itb.market.timeframe import Timeframe

if TYPE_CHECKING:
    from itb.charts.score_picture import ScorePicture
    from itb.live.notify.events import Event
    from itb.live.notify.message import Drawing

TEMPLATE = "{{ symbol }} {{ timeframe }} at {{ time|clock }}: {{ close|price }}, score {{ score|signed }}"


@dataclass(frozen=True)
class Diagram:
    """Send a picture of each market: price, score, thresholds, averages, purchases and sales.

    Parameters
    ----------
    every
        How often, such as ``4h`` or ``1d``: at closes of bars on that raster (UTC).
    column
        The score column; empty: the first there is.
    resample
        Length of a block in the picture, such as ``1h``; empty: that of a bar. The score of a block is its largest
        where all are above 0, its smallest where all are below, else the mean.
    blocks
        How many blocks are shown.
    thresholds
        Lines across the score.
    price_averages, score_averages
        Lengths of moving averages in blocks, two of each at most.
    middle
        The score that says nothing: 0, or 0.5 for a probability.
    marks
        Whether ``fills`` or ``signals`` are marked.
    template
        The caption, in Jinja2's language.
    """

    every: str = "1d"
    column: str = ""
    resample: str = ""
    blocks: int = 168
    thresholds: tuple[float, ...] = ()
    price_averages: tuple[int, ...] = ()
    score_averages: tuple[int, ...] = ()
    middle: float = 0.0
    marks: str = "fills"
    template: str = TEMPLATE

    def __post_init__(self) -> None:
        for name, length in (("every", self.every), ("resample", self.resample)):
            try:
                Timeframe.parse(length or "1m")
            except ValueError:
                raise ValueError(f'{name} must be a length such as "4h" or "1d", was {length!r}') from None
        if not 2 <= self.blocks <= 2_000:
            raise ValueError(f"blocks must be from 2 to 2000, was {self.blocks}")
        for name, windows in (("price_averages", self.price_averages), ("score_averages", self.score_averages)):
            if len(windows) > 2 or any(window < 1 for window in windows):
                raise ValueError(f"{name} must be two lengths of 1 or more at most, was {list(windows)}")
        if self.marks not in {"fills", "signals"}:
            raise ValueError(f'marks must be "fills" or "signals", was {self.marks!r}')
        sample = {"symbol": "BTC/USDT", "timeframe": "1h", "time": 0, "close": 1.0, "score": 0.1, "column": "score"}
        checked(self.template, sample)

    def reporter(self, people: People) -> DiagramReporter:
        """Begin to work."""
        return DiagramReporter(self, people)


@dataclass(frozen=True, slots=True)
class _Row:
    time: int
    high: float
    low: float
    close: float
    score: float


@dataclass(frozen=True, eq=False)
class ScoreDrawing:
    """A picture that is put together when it is drawn."""

    own: Diagram
    symbol: str
    timeframe: str
    rows: tuple[_Row, ...]
    marks: tuple[tuple[int, float, str], ...]
    people: People

    def picture(self) -> ScorePicture:
        """Gather the rows into blocks."""
        import numpy as np

        from itb.charts.score_blocks import ScoreBlocks
        from itb.charts.score_picture import Mark, ScorePicture

        bar_ms = Timeframe.parse(self.timeframe).ms
        columns = np.array([(r.high, r.low, r.close, r.score) for r in self.rows], dtype=np.float64).T
        time = np.array([r.time - bar_ms for r in self.rows], dtype=np.int64)
        length = Timeframe.parse(self.own.resample or self.timeframe)
        blocks = ScoreBlocks(time, *columns).gathered(length).tail(self.own.blocks)
        shown = tuple(
            Mark(at, price, "buy" if side == "buy" else "sell")
            for at, price, side in self.marks
            if at >= blocks.time[0]
        )
        what = f"{len(shown)} {self.own.marks}" if shown else f"no {self.own.marks}"
        return ScorePicture(
            f"{self.symbol} {length}",
            f"{self.people.span(int(blocks.time[0]), self.rows[-1].time)}, {what}",
            blocks,
            self.own.thresholds,
            self.own.price_averages,
            self.own.score_averages,
            shown,
            self.own.middle,
            self.people.zone,
        )

    def plain(self) -> dict[str, Any]:
        """Give what is drawn as JSON knows it."""
        return self.picture().plain()

    def png(self, theme: Any = "dark") -> bytes:
        """Draw it."""
        return self.picture().png(theme)


class DiagramReporter:
    """Remembers each market's bars and marks, as many as a picture shows."""

    def __init__(self, notifier: Diagram, people: People) -> None:
        self._own, self._people = notifier, people
        self._template = people.template(notifier.template)
        self._every = Timeframe.parse(notifier.every).ms
        self._rows: dict[str, deque[_Row]] = {}
        self._timeframe: dict[str, str] = {}
        self._marks: dict[str, deque[tuple[int, float, str]]] = {}

    def tell(self, event: Event) -> list[Message]:
        """Take a bar, a fill or a signal; send the picture when it is time."""
        marked = FillSeen if self._own.marks == "fills" else SignalSent
        if isinstance(event, FillSeen | SignalSent):
            if isinstance(event, marked):
                kept = self._marks.setdefault(event.symbol, deque(maxlen=500))
                kept.append((event.time, event.price, event.side))
            return []
        if not isinstance(event, ScoreSaid):
            return []
        own = self._own
        score = event.scores.get(own.column, math.nan) if own.column else next(iter(event.scores.values()), math.nan)
        rows = self._rows.get(event.symbol)
        if rows is None:
            self._timeframe[event.symbol] = event.timeframe
            bar = Timeframe.parse(event.timeframe)
            bars_each = max(1, Timeframe.parse(own.resample or event.timeframe).ms // bar.ms)
            rows = self._rows[event.symbol] = deque(maxlen=own.blocks * bars_each + bars_each)
        rows.append(_Row(event.time, event.high, event.low, event.close, score))
        if event.time % self._every:
            return []
        values = {
            "symbol": event.symbol, "timeframe": own.resample or event.timeframe, "time": event.time,
            "close": event.close, "score": score, "column": own.column,
        }  # fmt: skip
        return [
            Message(event.time, "diagram", render(self._template, values), self.drawing(event.symbol), is_quiet=True)
        ]

    def drawing(self, symbol: str) -> Drawing:
        """Give the picture of a market as it is now; raise ``KeyError`` for one that had no bar yet."""
        rows = self._rows[symbol]
        return ScoreDrawing(
            self._own, symbol, self._timeframe[symbol], tuple(rows), tuple(self._marks.get(symbol, ())), self._people
        )
