"""Who listens to what: frames of the market streams and of the user data stream, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from itb.live.practice import quotes
from itb.live.practice.refusals import RefusedError

if TYPE_CHECKING:
    from itb.live.practice.faults import Faults
    from itb.live.practice.tape import Tape
    from itb.live.practice.venue import Venue

_WAITING = 2000  # frames that may wait for a slow listener before it is cut off
_LATEST_S = 0.5
_STREAM = re.compile(r"([a-z0-9]+)@(kline_\w+|trade|aggTrade|bookTicker|ticker|miniTicker|depth\d*)(?:@\w+)?")


class Listener:
    """One websocket's subscriptions and the frames that wait for it; ``None`` in the queue ends it.

    ``user`` says how it hears of orders: not at all (``""``), as plain payloads (``"plain"``) or wrapped as the
    websocket interface does (``"wrapped"``). ``is_combined`` names the stream beside each payload.
    """

    def __init__(self, *, is_combined: bool = False) -> None:
        self.names: set[str] = set()
        self.user = ""
        self.is_combined, self.is_mute = is_combined, False
        self.frames: asyncio.Queue[str | None] = asyncio.Queue(_WAITING)

    def put(self, frame: str | None) -> None:
        """Queue a frame; a listener that is too slow is cut off."""
        if self.is_mute and frame is not None:
            return
        try:
            self.frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.is_mute = True
            while not self.frames.empty():
                self.frames.get_nowait()
            self.frames.put_nowait(None)

    def subscribe(self, names: Iterable[str]) -> None:
        """Add streams, such as ``btcusdt@kline_1m``; ``ValueError`` for one that does not exist."""
        asked = set(names)
        wrong = [name for name in asked if not _STREAM.fullmatch(name)]
        if wrong:
            raise ValueError(wrong[0])
        self.names |= asked


class Streams:
    """Hands frames to listeners, through the faults."""

    def __init__(self, venue: Venue, faults: Faults) -> None:
        self.venue, self._faults = venue, faults
        self.listeners: set[Listener] = set()
        self._held: list[dict[str, Any]] = []
        self._books: dict[str, dict[str, dict[str, str]]] = {}
        self._waiting: deque[asyncio.TimerHandle] = deque(maxlen=1000)

    def flush(self) -> None:
        """Send what the venue has to say to its account's owner."""
        events = self.venue.events
        while events:
            event = events.popleft()
            kind = self._faults.strike(event["e"], self.venue.now, "event")
            if kind == "event_lost":
                continue
            if kind == "event_late":
                delay = _LATEST_S * self._faults.share(kind)
                self._waiting.append(asyncio.get_running_loop().call_later(delay, self._send_user, event))
                continue
            if kind == "event_reordered":
                self._held.append(event)
                continue
            for one in [event, *([event] if kind == "event_duplicate" else []), *self._held]:
                self._send_user(one)
            self._held = []

    def _send_user(self, event: dict[str, Any]) -> None:
        for listener in list(self.listeners):
            if listener.user == "wrapped":
                self._send(listener, {"subscriptionId": 0, "event": event})
            elif listener.user:
                self._send(listener, event)

    def on_print(self, tape: Tape) -> None:
        """Tell listeners of a market's newest price."""
        market = tape.id.lower()
        wanted = {name for listener in self.listeners for name in listener.names if name.startswith(f"{market}@")}
        for name in sorted(wanted):
            try:
                payload = self._payload(tape, name)
            except RefusedError:
                continue  # bars that the tape does not make up
            for listener in [one for one in self.listeners if name in one.names]:
                self._send(listener, {"stream": name, "data": payload} if listener.is_combined else payload)

    def _send(self, listener: Listener, payload: dict[str, Any]) -> None:
        text = json.dumps(payload, separators=(",", ":"))
        kind = self._faults.strike(str(payload.get("e", "frame")), self.venue.now, "frame")
        if kind == "stream_drop":
            listener.put(None)
        elif kind == "stream_silence":
            listener.is_mute = True
        else:
            listener.put(text[: len(text) // 2] if kind == "stream_malformed" else text)

    def close(self) -> None:
        """End every listener."""
        for timer in self._waiting:
            timer.cancel()
        for listener in self.listeners:
            listener.put(None)

    def _payload(self, tape: Tape, name: str) -> dict[str, Any]:
        kind, now = name.split("@")[1], self.venue.now
        head = {"E": now, "s": tape.id}
        if kind.startswith("kline_"):
            return {"e": "kline", **head, "k": _kline(tape, kind.removeprefix("kline_"), now)}
        if kind in {"trade", "aggTrade"}:
            last = quotes.trades(tape, 1, aggregated=True)[-1]
            number_of = {"t": last["a"]} if kind == "trade" else {"a": last["a"], "f": last["a"], "l": last["a"]}
            return {"e": kind, **head, **number_of, **{key: last[key] for key in "pqTmM"}}
        if kind == "bookTicker":
            best = quotes.book_ticker(tape, now)
            return {"u": quotes.update_id(tape), "s": tape.id, "b": best["bidPrice"], "B": best["bidQty"],
                    "a": best["askPrice"], "A": best["askQty"]}  # fmt: skip
        if kind.startswith("depth"):
            return self._depth(tape, kind, head)
        return _ticker(tape, kind, now)

    def _depth(self, tape: Tape, kind: str, head: dict[str, Any]) -> dict[str, Any]:
        book = quotes.depth(tape, self.venue.now, 20)
        if kind != "depth":
            count = int(kind.removeprefix("depth"))
            return {"lastUpdateId": book["lastUpdateId"], "bids": book["bids"][:count], "asks": book["asks"][:count]}
        before = self._books.get(tape.id, {"b": {}, "a": {}})
        after = {"b": dict(book["bids"]), "a": dict(book["asks"])}
        self._books[tape.id] = after
        changes = {
            side: [[price, "0.00000000"] for price in before[side] if price not in after[side]]
            + [[price, size] for price, size in after[side].items()]
            for side in "ba"
        }
        identity = book["lastUpdateId"]
        return {"e": "depthUpdate", **head, "U": identity, "u": identity, **changes}


def _kline(tape: Tape, text: str, now: int) -> dict[str, Any]:
    frame = quotes.interval(text, tape)
    row = quotes.klines(tape, frame, now, None, None, 1)[-1]
    is_final = tape.shown == 4 and int(tape.bars.close_time[tape.bar]) == row[0] + frame.ms
    return {
        "t": row[0], "T": row[6], "s": tape.id, "i": text, "f": 0, "L": 0, "o": row[1], "h": row[2], "l": row[3],
        "c": row[4], "v": row[5], "n": row[8], "x": is_final, "q": row[7], "V": row[9], "Q": row[10], "B": "0",
    }  # fmt: skip


def _ticker(tape: Tape, kind: str, now: int) -> dict[str, Any]:
    day = quotes.day_ticker(tape, now)
    names = {"s": "symbol", "c": "lastPrice", "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume",
             "q": "quoteVolume"}  # fmt: skip
    if kind == "ticker":
        names |= {"p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "x": "prevClosePrice",
                  "Q": "lastQty", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty", "O": "openTime",
                  "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count"}  # fmt: skip
    event = "24hrTicker" if kind == "ticker" else "24hrMiniTicker"
    return {"e": event, "E": now, **{short: day[long] for short, long in names.items()}}
