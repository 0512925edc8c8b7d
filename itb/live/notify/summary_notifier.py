"""What a day or a week was like: the account, its trades, a picture of the equity."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from itb.live.notify.events import EquityAt, TradeClosed
from itb.live.notify.message import Message
from itb.live.notify.notifier import checked
from itb.live.notify.people import People, render
from itb.market.timeframe import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from itb.charts.equity_picture import EquityPicture
    from itb.live.notify.events import Event

TEMPLATE = (
    "{% if change >= 0 %}📗{% else %}📕{% endif %} <b>{{ name }}: {{ change|percent(2) }}, "
    "{{ gain|money(currency, signed=True) }}</b>\n"
    "Account {{ equity|money(currency) }}, deepest below its peak {{ drawdown|percent(2) }}\n"
    "{% if trades %}{{ trades }} trade{% if trades > 1 %}s{% endif %}, {{ won }} won, best {{ best|percent }}, "
    "worst {{ worst|percent }}, fees {{ fees|money(currency) }}{% else %}No trade was closed.{% endif %}"
)
_MOST = 3_000  # points of a curve that are kept


@dataclass(frozen=True)
class Summary:
    """Say after each day, or week, what it was like, with a picture of the equity.

    A day ends at midnight of ``notify.zone``, a week with Sunday; the summary comes with the first account value after
    it. A day that nothing was heard of is passed over.

    Parameters
    ----------
    period
        ``day`` or ``week``.
    curve_days
        How many days the picture shows; 0: no picture.
    template
        The message, in Jinja2's language.
    """

    period: Literal["day", "week"] = "day"
    curve_days: int = 30
    template: str = TEMPLATE

    def __post_init__(self) -> None:
        if self.period not in {"day", "week"}:
            raise ValueError(f'period must be "day" or "week", was {self.period!r}')
        if not 0 <= self.curve_days <= 400:
            raise ValueError(f"curve_days must be from 0 to 400, was {self.curve_days}")
        checked(self.template, _figures("Monday", [(0, 1.0), (1, 1.0)], [], "USDT", People()))

    def reporter(self, people: People) -> SummaryReporter:
        """Begin to work."""
        return SummaryReporter(self, people)


@dataclass(frozen=True, eq=False)
class EquityDrawing:
    """A curve that is put together when it is drawn."""

    title: str
    note: str
    curve: tuple[tuple[int, float], ...]
    currency: str
    zone: str

    def picture(self) -> EquityPicture:
        """Give the curve as arrays."""
        import numpy as np

        from itb.charts.equity_picture import EquityPicture

        time = np.array([at for at, _ in self.curve], dtype=np.int64)
        worth = np.array([value for _, value in self.curve], dtype=np.float64)
        return EquityPicture(self.title, self.note, time, worth, self.currency, zone=self.zone)

    def plain(self) -> dict[str, Any]:
        """Give what is drawn as JSON knows it."""
        return self.picture().plain()

    def png(self, theme: Any = "dark") -> bytes:
        """Draw it."""
        return self.picture().png(theme)


class SummaryReporter:
    """Remembers the account since the period began, the trades in it and the curve for the picture."""

    def __init__(self, notifier: Summary, people: People) -> None:
        self._own, self._people, self._template = notifier, people, people.template(notifier.template)
        self._period: date | None = None
        self._inside: list[tuple[int, float]] = []
        self._trades: list[TradeClosed] = []
        self._curve: deque[tuple[int, float]] = deque()

    def tell(self, event: Event) -> list[Message]:
        """Take what the account is worth; sum up the period that is over."""
        if isinstance(event, TradeClosed):
            self._trades.append(event)
            return []
        if not isinstance(event, EquityAt):
            return []
        period, told = self._period_of(event.time), []
        if self._period is not None and period != self._period:
            told.append(self._summary(event))
            self._inside = self._inside[-1:]  # the new period begins where the old one ended
            self._trades = []
        self._period = period
        self._inside.append((event.time, event.equity))
        self._remember(event)
        return told

    def _period_of(self, time: int) -> date:
        from datetime import timedelta

        day = self._people.local(time - 1).date()  # a bar that closes at midnight belongs to the day before
        return day if self._own.period == "day" else day - timedelta(days=day.weekday())

    def _remember(self, event: EquityAt) -> None:
        gap = max(1, self._own.curve_days) * DAY_MS // _MOST
        if not self._curve or event.time - self._curve[-1][0] >= gap:
            self._curve.append((event.time, event.equity))
        while self._curve[0][0] < event.time - self._own.curve_days * DAY_MS:
            self._curve.popleft()

    def _summary(self, event: EquityAt) -> Message:
        currency = event.currency
        assert self._period is not None
        day = f"{self._period:%a} {self._period.day} {self._period:%b}"
        name = day if self._own.period == "day" else f"Week from {day}"
        values = _figures(name, self._inside, self._trades, currency, self._people)
        drawing = None
        if self._own.curve_days and len(self._curve) > 1:
            note = f"{self._people.day(self._curve[0][0])} to {self._people.day(self._curve[-1][0])}"
            drawing = EquityDrawing("Account", note, tuple(self._curve), currency, self._people.zone)
        return Message(event.time, "summary", render(self._template, values), drawing)


def _figures(
    name: str, inside: Sequence[tuple[int, float]], trades: Sequence[TradeClosed], currency: str, people: People
) -> dict[str, Any]:
    first, last = inside[0][1], inside[-1][1]
    peak, deepest = first, 0.0
    for _, value in inside:
        peak = max(peak, value)
        deepest = min(deepest, value / peak - 1)
    returns = [trade.return_ for trade in trades]
    return {
        "name": name, "from": inside[0][0], "to": inside[-1][0], "start": first, "equity": last, "gain": last - first,
        "change": last / first - 1, "drawdown": deepest, "currency": currency, "trades": len(trades),
        "won": sum(trade.pnl > 0 for trade in trades), "best": max(returns, default=0.0), "zone": people.zone,
        "worst": min(returns, default=0.0), "fees": sum(trade.fees_quote for trade in trades),
    }  # fmt: skip
