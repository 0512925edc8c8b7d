"""Messages about scores: by bands with edges, or by signs that are counted in steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.notify.bands import Band, Ladder, is_due, steps
from itb.live.notify.events import ScoreSaid
from itb.live.notify.message import Message
from itb.live.notify.notifier import checked
from itb.live.notify.people import People, coin, render, signed

if TYPE_CHECKING:
    from itb.live.notify.events import Event

BAND_TEMPLATE = (
    "{% if bold %}<b>{% endif %}{{ sign }} {{ coin }} {{ close|grouped }} Indicator: {{ score|signed }} {{ arrow }} "
    "{{ secondary }} {{ text }} {{ timeframe }}{% if bold %}</b>{% endif %}"
)
STEP_TEMPLATE = '{{ coin }} {{ close|grouped(mark=".") }} {{ signs }} Score: {{ score|signed }}'
_SAMPLE: dict[str, Any] = {
    "symbol": "BTC/USDT", "coin": "₿", "timeframe": "1h", "time": 0, "close": 24033.0, "score": 0.08, "column": "score",
    "scores": {"score": 0.08},
}  # fmt: skip


def _score(event: ScoreSaid, column: str) -> float:
    if not column:
        return next(iter(event.scores.values()), math.nan)
    return event.scores.get(column, math.nan)


def _values(event: ScoreSaid, column: str) -> dict[str, Any]:
    return {
        "symbol": event.symbol, "coin": coin(event.symbol), "timeframe": event.timeframe, "time": event.time,
        "close": event.close, "score": _score(event, column), "column": column, "scores": event.scores,
    }  # fmt: skip


@dataclass(frozen=True)
class ScoreBands:
    """Say a score when its band changes, and at every so many minutes while it stays in a band.

    A score that is no number says nothing, and the band before it stays in memory. The first score of a market counts
    as a change both up and down.

    Parameters
    ----------
    columns
        One score column, or two: the second is told beside the first. Empty: the first column there is.
    positive_bands, negative_bands
        Tables with ``edge``, ``frequency`` (minutes, 0: none), ``sign``, ``bold`` and ``text``. A score is in the
        highest positive band whose edge it reaches, else in the lowest negative band whose edge lies above it.
    notify_band_up
        Whether a move into a stronger band is told.
    notify_band_dn
        Whether a move into a weaker band is told.
    template
        The message, in Jinja2's language.
    """

    positive_bands: tuple[Band, ...] = ()
    negative_bands: tuple[Band, ...] = ()
    columns: tuple[str, ...] = ()
    notify_band_up: bool = True
    notify_band_dn: bool = False
    template: str = BAND_TEMPLATE

    def __post_init__(self) -> None:
        if len(self.columns) > 2:
            raise ValueError(f"columns must be one or two, were {len(self.columns)}")
        if not self.positive_bands and not self.negative_bands:
            raise ValueError("positive_bands must hold a band at least, or negative_bands")
        checked(
            self.template, {**_SAMPLE, "sign": "", "bold": True, "arrow": "↑", "secondary": "", "text": "", "band": 1}
        )
        self.ladder  # noqa: B018  refuses edges that are there twice

    @property
    def ladder(self) -> Ladder:
        """The bands in order."""
        return Ladder(self.positive_bands, self.negative_bands)

    def reporter(self, people: People) -> BandReporter:
        """Begin to work."""
        return BandReporter(self, people)


class BandReporter:
    """Remembers the band of every market's last score."""

    def __init__(self, notifier: ScoreBands, people: People) -> None:
        self._own, self._template = notifier, people.template(notifier.template)
        self._ladder = notifier.ladder
        self._bands: dict[str, int] = {}

    def tell(self, event: Event) -> list[Message]:
        """Say the score of a bar if its band asks for it."""
        if not isinstance(event, ScoreSaid):
            return []
        first, second = (*self._own.columns, "", "")[:2]
        values = _values(event, first)
        if math.isnan(values["score"]):
            return []
        number, band = self._ladder.place(values["score"])
        before = self._bands.get(event.symbol)
        self._bands[event.symbol] = number
        is_up = before is None or abs(number) > abs(before)
        is_down = before is None or abs(number) < abs(before)
        wanted = (self._own.notify_band_up and is_up) or (self._own.notify_band_dn and is_down)
        if not wanted and not (band is not None and is_due(event.time, band.frequency)):
            return []
        shown = band or Band(0.0)
        values |= {
            "band": number, "sign": shown.sign, "bold": shown.bold, "text": shown.text,
            "arrow": "↑" if is_up else "↓" if is_down else "",
            "secondary": signed(_score(event, second)) if second else "",
        }  # fmt: skip
        return [Message(event.time, "score", render(self._template, values), is_quiet=not shown.bold)]


@dataclass(frozen=True)
class ScoreSteps:
    """Say a score that is strong enough at every bar, with one sign for each step of its strength.

    Parameters
    ----------
    column
        The score column; empty: the first there is.
    quiet_below
        A score whose size is not above this is not told.
    first_edge
        The size at which there is one sign.
    step
        How much more each further sign stands for.
    up, down
        The signs of scores above and below 0.
    template
        The message, in Jinja2's language.
    """

    column: str = ""
    quiet_below: float = 0.20
    first_edge: float = 0.15
    step: float = 0.05
    up: str = "📈"
    down: str = "📉"
    template: str = STEP_TEMPLATE

    def __post_init__(self) -> None:
        if not self.step > 0:
            raise ValueError(f"step must be above 0, was {self.step}")
        if not 0 <= self.first_edge < math.inf:
            raise ValueError(f"first_edge must be 0 or more, was {self.first_edge}")
        if not 0 <= self.quiet_below < math.inf:
            raise ValueError(f"quiet_below must be 0 or more, was {self.quiet_below}")
        checked(self.template, {**_SAMPLE, "signs": self.up})

    def reporter(self, people: People) -> StepReporter:
        """Begin to work."""
        return StepReporter(self, people)


class StepReporter:
    """Remembers nothing."""

    def __init__(self, notifier: ScoreSteps, people: People) -> None:
        self._own, self._template = notifier, people.template(notifier.template)

    def tell(self, event: Event) -> list[Message]:
        """Say a score that is strong enough."""
        if not isinstance(event, ScoreSaid):
            return []
        values = _values(event, self._own.column)
        score = values["score"]
        if not abs(score) > self._own.quiet_below:
            return []
        count = min(steps(score, self._own.first_edge, self._own.step), 40)
        values["signs"] = (self._own.up if score > 0 else self._own.down) * count
        return [Message(event.time, "score", render(self._template, values), is_quiet=True)]
