"""What a bot lived through, read from its folder: fills and refusals of the journal, ticks and troubles of the log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from itb.datafeeds.settlements import settled_at
from itb.errors import JournalError
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.live.orders.events import Funded
from itb.live.orders.funding import share_of
from itb.live.orders.state import OrderState, Phase
from itb.live.run.event_log import LATE_SOURCE, read_events
from itb.live.scores.challenging import Challenged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from itb.market.timeframe import Timeframe

_REFUSED = {Phase.REFUSED, Phase.REJECTED}
_GATE, _PAUSE = "the gate", "a pause"
_SHUTS, _OPENS = {"HALTED", "DEGRADED"}, {"RESUMED", "RECOVERED"}


@dataclass(frozen=True)
class LivedFill:
    """All executions of one order: its bar (open time, UTC milliseconds), signed quantity, mean price, fee in quote."""

    open_time: int
    qty: float
    price: float
    fee_quote: float
    reason: str
    kind: str
    asked_at: int


@dataclass(frozen=True)
class Tick:
    """What was said about a bar, and whether its decision was too late to count."""

    scores: Mapping[str, float | None]
    is_late: bool


@dataclass
class Lived:
    """One bot's past. Keys are (strategy, symbol) or the symbol, times UTC milliseconds.

    Those of ``challenged``, what models that were not promoted have said, are (symbol, column, file).

    ``fundings`` are what holding a perpetual cost (received: below 0) in quote, with the open time of its bar.
    """

    fills: dict[tuple[str, str], list[LivedFill]] = field(default_factory=lambda: defaultdict(list))
    fundings: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[tuple[str, str, int], str] = field(default_factory=dict)
    first_order: dict[tuple[str, str], int] = field(default_factory=dict)
    ticks: dict[str, dict[int, Tick]] = field(default_factory=lambda: defaultdict(dict))
    odd_bars: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    late_sources: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    challenged: dict[tuple[str, str, str], list[Challenged]] = field(default_factory=lambda: defaultdict(list))
    starts: list[int] = field(default_factory=list)
    shut: list[tuple[int, int, str]] = field(default_factory=list)
    closed_by_hand: list[int] = field(default_factory=list)

    def shut_at(self, time: int) -> str:
        """Why no order was taken at a time; empty if any was."""
        return next((why for since, until, why in self.shut if since <= time < until), "")


def read_lived(folder: Path, journal: str, timeframe: Timeframe) -> Lived:
    """Read a bot's folder; raise :class:`itb.errors.JournalError` where none has run."""
    file = folder / "journal.sqlite"
    if not journal and not file.is_file():
        raise JournalError(f"{folder}: no bot has run there; `itb live --paper` or --practice starts one")
    with Journal(journal or file) as opened:
        events = list(opened.events())
    book, lived = Book().replay(events), Lived()
    for event in events:
        if isinstance(event, Funded):
            _funding(lived, event, timeframe)
    for order in book.orders.values():
        _order(lived, order, timeframe)
    for fills in lived.fills.values():
        fills.sort(key=lambda fill: fill.asked_at)
        fills.sort(key=lambda fill: fill.open_time)
    _events(lived, read_events(folder / "events.jsonl"))
    return lived


def _funding(lived: Lived, event: Funded, timeframe: Timeframe) -> None:
    """Note what each strategy paid, at the bar at whose open a backtest charges it."""
    payment = event.payment
    for strategy, _ in event.held:
        paid = -float(payment.amount * share_of(event, strategy))
        opened = timeframe.floor(settled_at(payment.time) + timeframe.ms - 1)
        lived.fundings[strategy, payment.symbol].append((opened, paid))


def _order(lived: Lived, order: OrderState, timeframe: Timeframe) -> None:
    intent = order.intent
    name = (intent.strategy, intent.symbol)
    lived.first_order[name] = min(intent.bar_time, lived.first_order.get(name, intent.bar_time))
    if order.phase in _REFUSED:
        lived.refused.setdefault((*name, intent.bar_time), order.reason)
    if not order.fills:
        return
    base, quote = intent.symbol.split(":")[0].split("/")
    qty = sum(trade.qty for trade in order.fills)
    worth = sum(trade.qty * trade.price for trade in order.fills)
    fees = sum(
        float(trade.fee) * {quote: 1.0, base: float(trade.price)}.get(trade.fee_currency, float("nan"))
        for trade in order.fills
    )
    lived.fills[name].append(
        LivedFill(
            timeframe.floor(order.fills[0].time), intent.sign * float(qty), float(worth / qty), fees, intent.reason,
            intent.kind, intent.asked_at,
        )
    )  # fmt: skip


def _events(lived: Lived, events: Iterable[Mapping[str, Any]]) -> None:
    standing: dict[str, tuple[int, str]] = {}
    last = 0
    for event in events:
        time = _ms(str(event.get("time", "")))
        last = max(last, time)
        _note(lived, event, time)
        key, why = _change(event)
        if why:
            standing.setdefault(key, (time, why))
        elif key in standing:
            since, why = standing.pop(key)
            lived.shut.append((since, time, why))
    lived.shut += [(since, last + 1, why) for since, why in standing.values()]


def _note(lived: Lived, event: Mapping[str, Any], time: int) -> None:
    kind = event.get("event")
    if kind == "TICK":
        tick = Tick(dict(event.get("scores") or {}), bool(event.get("late")))
        lived.ticks[str(event["symbol"])].setdefault(int(event["bar"]), tick)
    elif kind == "BAR" and event.get("what") == LATE_SOURCE:
        lived.late_sources[str(event["symbol"])].setdefault(int(event["bar"]), str(event.get("detail")))
    elif kind == "BAR":
        lived.odd_bars[str(event["symbol"])].setdefault(int(event["bar"]), str(event.get("what")))
    elif kind == "CHALLENGER":
        key = str(event["symbol"]), str(event["column"]), str(event["file"])
        said = dict(event.get("scores") or {})
        score, champion = (_number(said.get(name)) for name in ("challenger", "champion"))
        lived.challenged[key].append(Challenged(int(event["bar"]), key[2], score, champion))
    elif kind == "START":
        lived.starts.append(time)
    elif kind == "COMMAND" and event.get("ask") == "close":
        lived.closed_by_hand.append(time)


def _change(event: Mapping[str, Any]) -> tuple[str, str]:
    """Give what begins to keep orders back, and why; without a why it ends."""
    kind, ask, text = event.get("event"), event.get("ask"), str(event.get("text", ""))
    if kind == "START":
        return _GATE, "its bars were not live yet, or its account not compared"
    if kind == "NOTE" and text.startswith("decisions"):
        reasons = ", ".join(map(str, event.get("reasons") or [text]))
        return _GATE, "" if text.startswith("decisions count") else reasons
    if kind == "COMMAND" and ask in {"pause", "resume"}:
        return _PAUSE, "paused by a person" if ask == "pause" else ""
    if kind in _SHUTS | _OPENS:
        return str(event.get("key")), text if kind in _SHUTS else ""
    return "", ""


def _number(told: float | None) -> float:
    return float("nan") if told is None else float(told)


def _ms(text: str) -> int:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0
