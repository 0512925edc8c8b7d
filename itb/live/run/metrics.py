"""Figures for Prometheus: what the event log counts and what the cockpit shows, as text on this machine alone."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from itb.errors import ItbError
from itb.live import cockpit
from itb.live.run.redaction import cleaned, shown

if TYPE_CHECKING:
    from itb.live.cockpit import Status

HOST = "127.0.0.1"
Labels: TypeAlias = tuple[tuple[str, str], ...]
_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MOST_SERIES = 1_000  # of one name: labels come from outside, memory does not
_LONGEST_REQUEST = 8_192
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Family:
    """One name with its values; ``kind`` as Prometheus calls it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    values: tuple[tuple[str, Labels, float], ...]  # what is put behind the name, labels, value

    def text(self) -> str:
        r"""Write it in the text format.

        >>> print(Family("itb_up", "gauge", "Whether it runs.", (("", (("bot", 'a"b'),), 1.0),)).text(), end="")
        # HELP itb_up Whether it runs.
        # TYPE itb_up gauge
        itb_up{bot="a\"b"} 1.0
        """
        lines = [f"# HELP {self.name} {_escaped(self.meaning)}", f"# TYPE {self.name} {self.kind}"]
        for suffix, labels, value in self.values:
            inside = ",".join(f'{name}="{_escaped(said, in_quotes=True)}"' for name, said in cleaned(labels))
            lines.append(f"{self.name}{suffix}{{{inside}}} {_number(value)}")
        return "\n".join(lines) + "\n"


def _escaped(text: str, *, in_quotes: bool = False) -> str:
    text = shown(text).replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if in_quotes else text


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return repr(float(value)) if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"


@dataclass
class _Spread:
    counts: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS_S))
    count: int = 0
    sum: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        for place, bound in enumerate(_BOUNDS_S):
            self.counts[place] += value <= bound


class Metrics:
    """Counts events as they are logged; any thread may tell. Give :meth:`hear` to the event log.

    >>> metrics = Metrics("demo")
    >>> metrics.hear("FILL", {"symbol": "BTC/USDT"})
    >>> metrics.hear("TICK", {"symbol": "BTC/USDT", "seconds": 0.004})
    >>> [line for line in metrics.text().splitlines() if line.startswith("itb_events_total")]
    ['itb_events_total{bot="demo",event="FILL"} 1.0', 'itb_events_total{bot="demo",event="TICK"} 1.0']
    """

    def __init__(self, bot: str) -> None:
        self._bot = ("bot", bot)
        self._events: dict[Labels, float] = {}
        self._steps: dict[Labels, float] = {}
        self._decisions = _Spread()
        self._lock = threading.Lock()

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take note of an event."""
        with self._lock:
            _count(self._events, (("event", str(event)),))
            if event == "ORDER":
                _count(self._steps, (("step", str(fields.get("step", ""))), ("phase", str(fields.get("phase", "")))))
            seconds = fields.get("seconds")
            if event == "TICK" and isinstance(seconds, int | float) and math.isfinite(seconds):
                self._decisions.add(float(seconds))

    def families(self) -> Iterator[Family]:
        """Give everything that was counted."""
        with self._lock:
            events, steps, spread = dict(self._events), dict(self._steps), self._decisions
            counts, total, seconds = list(spread.counts), spread.count, spread.sum
        yield self._family("itb_events_total", "Lines of the event log by kind.", events)
        yield self._family("itb_order_steps_total", "Steps in the lives of orders.", steps)
        bot: Labels = (self._bot,)
        buckets: list[tuple[str, Labels, float]] = [
            ("_bucket", (*bot, ("le", repr(bound))), float(n)) for bound, n in zip(_BOUNDS_S, counts, strict=True)
        ]
        buckets += [
            ("_bucket", (*bot, ("le", "+Inf")), float(total)),
            ("_sum", bot, seconds),
            ("_count", bot, float(total)),
        ]
        meaning = "Seconds from a timestamp's last bar to the last decision on it."
        yield Family("itb_decision_seconds", "histogram", meaning, tuple(buckets))

    def _family(self, name: str, meaning: str, values: Mapping[Labels, float]) -> Family:
        return Family(name, "counter", meaning, tuple(("", (self._bot, *labels), n) for labels, n in values.items()))

    def text(self, more: Iterable[Family] = ()) -> str:
        """Write everything in Prometheus' text format."""
        return "".join(family.text() for family in (*self.families(), *more) if family.values)


def _count(values: dict[Labels, float], labels: Labels) -> None:
    if labels not in values and len(values) >= _MOST_SERIES:
        labels = tuple((name, "other") for name, _ in labels)
    values[labels] = values.get(labels, 0.0) + 1.0


def status_families(seen: Status) -> Iterator[Family]:
    """Word a status as gauges."""
    bot = ("bot", seen.bot)

    def gauge(name: str, meaning: str, *values: tuple[Labels, Any]) -> Family:
        known = (("", (bot, *labels), float(value)) for labels, value in values if value is not None)
        return Family(name, "gauge", meaning, tuple(known))

    states = get_args(cockpit.Health)
    yield gauge("itb_health", "1 for the state that holds.", *(((("state", s),), s == seen.health) for s in states))
    yield gauge("itb_troubles", "Reasons why it is not NORMAL.", ((), len(seen.reasons)))
    yield gauge("itb_gate_open", "Whether orders may be sent.", ((), not seen.waiting_for))
    yield gauge("itb_started_at_seconds", "When this life began, on the market's clock.", ((), seen.started_at / 1000))
    yield gauge("itb_time_seconds", "The market's clock.", ((), seen.time / 1000))
    yield gauge("itb_steps", "Timestamps decided on in this life.", ((), seen.steps))
    yield gauge("itb_open_orders", "Unfinished orders.", ((), seen.open_orders))
    yield gauge("itb_equity", "Worth of the account in quote.", ((), seen.equity))
    yield gauge("itb_equity_day_start", "Its worth when the UTC day began.", ((), seen.day_start))
    yield gauge("itb_equity_peak", "Its highest worth.", ((), seen.peak))
    symbols = [((("symbol", bar.symbol),), bar) for bar in seen.bars]
    yield gauge(
        "itb_bar_open_seconds", "Open time of the newest bar.", *((at, b.open_time / 1000) for at, b in symbols)
    )
    yield gauge("itb_close", "Close of the newest bar.", *((labels, bar.close) for labels, bar in symbols))
    scores = ((((("symbol", one.symbol), ("column", one.column))), one.value) for one in seen.scores)
    yield gauge("itb_score", "Newest score.", *scores)
    held = [((("strategy", one.strategy), ("symbol", one.symbol)), one) for one in seen.positions]
    yield gauge("itb_position", "Position in base units.", *((labels, one.qty) for labels, one in held))
    yield gauge("itb_position_profit", "What it would gain now, in quote.", *((at, one.profit) for at, one in held))
    runs = [((("strategy", s.name), ("shadow", str(s.is_shadow).lower())), s) for s in seen.strategies]
    yield gauge("itb_trades", "Closed trades.", *((labels, one.trades) for labels, one in runs))
    yield gauge("itb_profit", "Gain of closed trades, in quote.", *((labels, one.profit) for labels, one in runs))
    yield gauge("itb_strategy_equity", "Worth of a strategy.", *((labels, one.equity) for labels, one in runs))


def process_families(bot: str, proc: Path = Path("/proc/self")) -> Iterator[Family]:
    """Give memory and open files of this process, where the system tells them."""
    labels: Labels = (("bot", bot),)
    try:
        pages = int((proc / "statm").read_text().split()[1])
        files = len(os.listdir(proc / "fd"))  # noqa: PTH208  names alone are asked for
    except (OSError, ValueError, IndexError):
        return
    size = float(pages * os.sysconf("SC_PAGE_SIZE"))
    yield Family("process_resident_memory_bytes", "gauge", "Resident memory.", (("", labels, size),))
    yield Family("process_open_fds", "gauge", "Open files.", (("", labels, float(files)),))


class MetricsServer:
    """Answer ``GET /metrics`` on this machine alone; ``text`` is asked on the loop.

    Parameters
    ----------
    text
        Gives what is answered; what it raises becomes a 500.
    port
        Port on 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, text: Callable[[], str], port: int) -> None:
        self._text, self.port = text, port
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen; raise :class:`itb.errors.ItbError` when the port is taken."""
        try:
            self._server = await asyncio.start_server(self._connected, HOST, self.port, limit=_LONGEST_REQUEST)
        except OSError as error:
            told = f"live.metrics_port = {self.port}: cannot listen on {HOST}: {error.strerror}"
            raise ItbError(f"{told}; name another port, or 0 for none") from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
                    return
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # gone, or asleep
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.split(b"\r\n", 1)[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"}:
            return _http("405 Method Not Allowed", b"GET only\n", method)
        if path != b"/metrics":
            return _http("404 Not Found", b"look at /metrics\n", method)
        try:
            body = self._text().encode("utf-8", "replace")
        except Exception as error:  # noqa: BLE001  a figure that cannot be had must not end the bot
            return _http("500 Internal Server Error", f"{type(error).__name__}\n".encode(), method)
        return _http("200 OK", body, method)


def _http(status: str, body: bytes, method: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else body)
