"""Messages about signals and trades: what was bought and sold, what it brought, and how the last four weeks went."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.notify.events import FillSeen, SignalSent, TradeClosed
from itb.live.notify.message import Message
from itb.live.notify.notifier import checked
from itb.live.notify.people import People, coin, quote_sign, render
from itb.market.timeframe import DAY_MS

if TYPE_CHECKING:
    from itb.live.notify.events import Event, Side

SIGNAL_TEMPLATE = (
    '{% if side == "buy" %}🟢 BUY{% else %}🔴 SELL{% endif %}: {{ coin }} {{ price|grouped }} Score: {{ score|signed }}'
)
STATISTICS_TEMPLATE = """
{{ name }} in 4 weeks: {{ count }}, sum {{ total|signed }}%
mean {{ mean|signed }}%, median {{ median|signed }}%, std {{ std|number }}%
min {{ low|signed }}%, max {{ high|signed }}%"""
SOLD_TEMPLATE = (
    '⚡💰 <b>{% if side == "buy" %}BOUGHT{% else %}SOLD{% endif %}: Profit: {{ percent|signed }}% {{ profit|signed }}'
    "{{ currency }}</b>\n" + STATISTICS_TEMPLATE
)
FILL_TEMPLATE = (
    '{% if side == "buy" %}🟢 Bought{% else %}🔴 Sold{% endif %} {{ qty|price }} {{ symbol }} at {{ price|price }} '
    "({{ reason }}), fee {{ fee|number }}{{ currency }}"
)
CLOSED_TEMPLATE = (
    "{% if pnl >= 0 %}💰{% else %}🩸{% endif %} <b>{{ symbol }} {{ side }} closed: {{ percent|signed }}% "
    "{{ pnl|signed }}{{ currency }}</b>\n{{ entry|price }} → {{ exit|price }} in {{ held|lasting }} ({{ reason }})\n"
    + STATISTICS_TEMPLATE
)
WINDOW_MS = 28 * DAY_MS
_NUMBERS: dict[str, Any] = dict.fromkeys(("count", "total", "mean", "median", "std", "low", "high"), 1.0)


@dataclass(frozen=True)
class Statistics:
    """Percent profits of one side over four weeks; ``std`` is that of a sample, 0 for a single one.

    >>> Statistics.of([1.0, -0.5, 1.0])
    Statistics(count=3, total=1.5, mean=0.5, std=0.8660254037844386, low=-0.5, median=1.0, high=1.0)
    """

    count: int
    total: float
    mean: float
    std: float
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, percents: Sequence[float]) -> Statistics:
        """Compute them of at least one profit."""
        std = statistics.stdev(percents) if len(percents) > 1 else 0.0
        total, mean = math.fsum(percents), statistics.fmean(percents)
        return cls(len(percents), total, mean, std, min(percents), statistics.median(percents), max(percents))


class FourWeeks:
    """The percent profits of each side, those of the last four weeks."""

    def __init__(self) -> None:
        self._profits: dict[str, deque[tuple[int, float]]] = {}

    def add(self, side: str, time: int, percent: float) -> Statistics:
        """Take one more profit and give the figures of its side as of its time."""
        kept = self._profits.setdefault(side, deque())
        kept.append((time, percent))
        while kept[0][0] <= time - WINDOW_MS:
            kept.popleft()
        return Statistics.of([profit for _, profit in kept])


@dataclass(frozen=True)
class Signals:
    """Say every wish to buy or sell.

    Parameters
    ----------
    template
        The message, in Jinja2's language.
    """

    template: str = SIGNAL_TEMPLATE

    def __post_init__(self) -> None:
        checked(self.template, _signal(SignalSent(0, "BTC/USDT", "buy", 24033.0, 0.34)))

    def reporter(self, people: People) -> SignalReporter:
        """Begin to work."""
        return SignalReporter(self, people)


class SignalReporter:
    """Remembers nothing."""

    def __init__(self, notifier: Signals, people: People) -> None:
        self._template = people.template(notifier.template)

    def tell(self, event: Event) -> list[Message]:
        """Say a signal."""
        if not isinstance(event, SignalSent):
            return []
        return [Message(event.time, "signal", render(self._template, _signal(event)))]


def _signal(event: SignalSent) -> dict[str, Any]:
    return {
        "symbol": event.symbol, "coin": coin(event.symbol), "currency": quote_sign(event.symbol), "side": event.side,
        "price": event.price, "score": event.score, "column": event.column, "time": event.time,
    }  # fmt: skip


@dataclass(frozen=True)
class SimulatedTrades:
    """Trade the signals on paper, in turns: a buy counts after a sell only, and the other way round.

    The profit of a sale is its price less that of the purchase before it (the long leg), that of a purchase the price
    of the sale before it less its own (the short leg), without costs. The first signal opens the account and is told
    without a profit.

    Parameters
    ----------
    template
        The message, in Jinja2's language.
    first_template
        The message for the first signal of a market, which has no profit.
    """

    template: str = SOLD_TEMPLATE
    first_template: str = SIGNAL_TEMPLATE

    def __post_init__(self) -> None:
        signal = _signal(SignalSent(0, "BTC/USDT", "buy", 24033.0, 0.34))
        checked(self.template, signal | _NUMBERS | {"percent": 1.0, "profit": 1.0, "name": "Short"})
        checked(self.first_template, signal)

    def reporter(self, people: People) -> SimulatedReporter:
        """Begin to work."""
        return SimulatedReporter(self, people)


class SimulatedReporter:
    """Remembers every market's last transaction and four weeks of profits."""

    def __init__(self, notifier: SimulatedTrades, people: People) -> None:
        self._template, self._first = people.template(notifier.template), people.template(notifier.first_template)
        self._last: dict[str, tuple[Side, float]] = {}
        self._weeks: dict[str, FourWeeks] = {}

    def tell(self, event: Event) -> list[Message]:
        """Trade a signal that is the other side's turn."""
        if not isinstance(event, SignalSent):
            return []
        last = self._last.get(event.symbol)
        if last is not None and last[0] == event.side:
            return []
        self._last[event.symbol] = (event.side, event.price)
        values = _signal(event)
        if last is None:
            return [Message(event.time, "trade", render(self._first, values))]
        profit = last[1] - event.price if event.side == "buy" else event.price - last[1]
        percent = 100 * profit / last[1]
        name = "Short" if event.side == "buy" else "Long"
        told = self._weeks.setdefault(event.symbol, FourWeeks()).add(name, event.time, percent)
        values |= vars(told) | {"percent": percent, "profit": profit, "name": name}
        return [Message(event.time, "trade", render(self._template, values))]


@dataclass(frozen=True)
class Trades:
    """Say what was bought and sold, and what every closed trade brought after costs.

    Parameters
    ----------
    fills
        Whether single executions are told, not only closed trades.
    template
        The message about a closed trade, in Jinja2's language.
    fill_template
        The message about an execution.
    """

    fills: bool = True
    template: str = CLOSED_TEMPLATE
    fill_template: str = FILL_TEMPLATE

    def __post_init__(self) -> None:
        trade = TradeClosed(1, "BTC/USDT", "long", 0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, "signal")
        checked(self.template, _closed(trade, Statistics.of([0.0])))
        checked(self.fill_template, _fill(FillSeen(0, "BTC/USDT", "buy", 1.0, 1.0, 0.0, "entry", "1")))

    def reporter(self, people: People) -> TradeReporter:
        """Begin to work."""
        return TradeReporter(self, people)


class TradeReporter:
    """Remembers four weeks of profits."""

    def __init__(self, notifier: Trades, people: People) -> None:
        self._own, self._template = notifier, people.template(notifier.template)
        self._fill = people.template(notifier.fill_template)
        self._weeks: dict[str, FourWeeks] = {}

    def tell(self, event: Event) -> list[Message]:
        """Say an execution or the end of a trade."""
        if isinstance(event, FillSeen) and self._own.fills:
            return [Message(event.time, "trade", render(self._fill, _fill(event)), is_quiet=True)]
        if not isinstance(event, TradeClosed):
            return []
        weeks = self._weeks.setdefault(event.symbol, FourWeeks())
        told = weeks.add(event.side, event.time, 100 * event.return_)
        return [Message(event.time, "trade", render(self._template, _closed(event, told)))]


def _fill(event: FillSeen) -> dict[str, Any]:
    return {
        "symbol": event.symbol, "coin": coin(event.symbol), "currency": quote_sign(event.symbol), "side": event.side,
        "qty": event.qty, "price": event.price, "fee": event.fee_quote, "reason": event.reason, "time": event.time,
    }  # fmt: skip


def _closed(event: TradeClosed, told: Statistics) -> dict[str, Any]:
    return vars(told) | {
        "symbol": event.symbol, "coin": coin(event.symbol), "currency": quote_sign(event.symbol), "side": event.side,
        "qty": event.qty, "entry": event.entry_price, "exit": event.exit_price, "pnl": event.pnl,
        "percent": 100 * event.return_, "fees": event.fees_quote, "reason": event.reason, "time": event.time,
        "held": event.time - event.entry_time, "name": event.side.capitalize(),
    }  # fmt: skip
