"""The event log: one line of JSON for everything that happened, for people, dashboards and other programs.

It is not the journal: nothing is ever read back from it to trade. So it may lose lines, and says how many, but it never
makes trading wait or fail: lines are written by a thread of its own, behind a bounded queue.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from itb.live.run.redaction import cleaned

_log = logging.getLogger(__name__)
_KEPT = 200  # newest events in memory, for those who look
_DEEPEST = 8
_BLOCK = 65_536
LATE_SOURCE = "late source"  # of a BAR: it was decided on while a row that is joined to it was not there


class Kind(StrEnum):
    """What an event is."""

    START = "START"
    STOP = "STOP"
    TICK = "TICK"
    """A bar was decided on: its scores, how long it took."""
    SIGNAL = "SIGNAL"
    ORDER = "ORDER"
    """An order took a step in its life."""
    FILL = "FILL"
    TRADE_OPEN = "TRADE_OPEN"
    TRADE_CLOSE = "TRADE_CLOSE"
    DEGRADED = "DEGRADED"
    RECOVERED = "RECOVERED"
    HALTED = "HALTED"
    RESUMED = "RESUMED"
    BAR = "BAR"
    """A bar was late, missing or revised, or a source that is joined to it was late."""
    MODEL = "MODEL"
    CHALLENGER = "CHALLENGER"
    """What a model that was not promoted says of a bar, and the one that speaks."""
    FUNDING = "FUNDING"
    """What holding a perpetual cost or brought was booked, is owed until its rate is told, or is not as expected."""
    COMMAND = "COMMAND"
    """A person asked for something."""
    NOTE = "NOTE"
    LOST = "LOST"
    """``lines`` events could not be written before this one."""


class EventLog:
    """Append events to a file that cannot grow without bound.

    A last line that a crash or a full disk has torn is cut off. At ``most_bytes`` the file becomes ``.1``, that one
    ``.2``, and the oldest of ``files`` is removed.

    Parameters
    ----------
    file
        The newest file, ``events.jsonl``.
    clock
        UTC milliseconds; the time of events that name none.
    bot
        Written into every line, so that several bots can share one index.
    most_waiting
        Lines that may wait for a slow disk; further ones are counted and dropped.
    heard
        Called with each event's kind and fields, in the thread that writes it: counters.
    """

    def __init__(
        self,
        file: Path,
        clock: Callable[[], float],
        *,
        bot: str = "",
        most_bytes: int = 50_000_000,
        files: int = 5,
        most_waiting: int = 10_000,
        heard: Callable[[str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        if most_bytes < 1 or files < 1 or most_waiting < 1:
            raise ValueError(f"sizes must be above 0, were {most_bytes}, {files} and {most_waiting}")
        self.file, self._clock, self._bot, self._heard = file, clock, bot, heard
        self._file = _BoundedFile(file, most_bytes, files)
        self._waiting: queue.Queue[tuple[int, str, dict[str, Any]] | None] = queue.Queue(most_waiting)
        self._recent: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._lost = self._told_lost = self._written = 0
        self._trouble = ""
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="event log", daemon=True)
        self._thread.start()

    # -- from any thread

    def write(self, kind: Kind, /, time: float | None = None, **fields: Any) -> None:
        """Write an event; never waits and never fails.

        Decimals become text with every digit, floats have all of theirs, what is not finite becomes ``null``.
        """
        if self._is_closed:
            return
        at = self._clock() if time is None else time
        if self._heard is not None:
            self._heard(str(kind), fields)
        try:
            self._waiting.put_nowait((int(at), kind, fields))
        except queue.Full:
            self._lost += 1

    @property
    def recent(self) -> tuple[dict[str, Any], ...]:
        """The newest events of this life, oldest first, written or not."""
        return tuple(self._recent)

    @property
    def lost(self) -> int:
        """How many events were never written."""
        return self._lost

    @property
    def trouble(self) -> str:
        """Why nothing can be written at present; empty when it can."""
        return self._trouble

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until what was written so far is in the file; give whether it is."""
        done = threading.Event()
        try:
            self._waiting.put((0, "", {"done": done}), timeout=timeout_s)
        except queue.Full:
            return False
        return done.wait(timeout_s) and not self._trouble

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is waiting, but wait no longer than ``timeout_s`` for the disk."""
        if not self._is_closed:
            self._is_closed = True
            try:
                self._waiting.put(None, timeout=timeout_s)
            except queue.Full:
                return
            self._thread.join(timeout_s)

    # -- in its own thread

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            at, kind, fields = item
            if not kind:
                fields["done"].set()
                continue
            try:
                self._put(at, kind, fields)
            except Exception as error:  # noqa: BLE001  a value of somebody else's may fail in any way when it is written
                self._lost += 1
                _log.warning("an event of kind %s cannot be written: %s", kind, type(error).__name__)
        self._file.close()

    def _put(self, at: int, kind: str, fields: dict[str, Any]) -> None:
        if self._lost > self._told_lost:
            missing = self._lost - self._told_lost
            if self._append(self._line(at, Kind.LOST, {"lines": missing})):
                self._told_lost += missing
        line = self._line(at, kind, fields)
        self._recent.append(json.loads(line))
        if not self._append(line):
            self._lost += 1

    def _line(self, at: int, kind: str, fields: dict[str, Any]) -> str:
        head = {"time": moment(at), "event": str(kind), "bot": self._bot}
        return json.dumps(cleaned(head | _plain(fields) | head), allow_nan=False, ensure_ascii=False)

    def _append(self, line: str) -> bool:
        try:
            self._file.append(line.encode("utf-8", "replace") + b"\n")
        except OSError as error:
            self._trouble = f"{self.file}: {error.strerror or error}; events are not written until there is room again"
            return False
        self._trouble = ""
        return True


class _BoundedFile:
    """A file of whole lines; opened when it is first written, cut back to whole lines after a failure."""

    def __init__(self, file: Path, most_bytes: int, files: int) -> None:
        self._path, self._most, self._files = file, most_bytes, files
        self._handle, self._size = -1, 0

    def append(self, line: bytes) -> None:
        if self._handle >= 0 and self._size and self._size + len(line) > self._most:
            self._rotate()
        if self._handle < 0:
            self._open()
        try:
            written = os.write(self._handle, line)
        except OSError:
            self.close()
            raise
        if written < len(line):
            os.ftruncate(self._handle, self._size)
            raise OSError(0, "the disk is full")
        self._size += written

    def close(self) -> None:
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.close(handle)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._size = _whole(handle)
            os.ftruncate(handle, self._size)
        except OSError:
            os.close(handle)
            raise
        self._handle = handle

    def _rotate(self) -> None:
        self.close()
        for number in range(self._files - 1, 0, -1):
            older = self._numbered(number)
            younger = self._numbered(number - 1)
            if younger.exists():
                younger.replace(older)
        self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _whole(handle: int) -> int:
    """Find where the last whole line ends."""
    size = os.fstat(handle).st_size
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        place = os.pread(handle, end - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def moment(time: int) -> str:
    """Write UTC milliseconds as every reader of logs understands them.

    >>> moment(1_709_251_200_123)
    '2024-03-01T00:00:00.123Z'
    """
    try:
        at = datetime.fromtimestamp(time / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(time)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"


def _plain(value: Any, depth: int = 0) -> Any:
    """Give what JSON has for a value, whatever it is."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a number of numpy's
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | Decimal):
        exact = value if isinstance(value, float) else format(value, "f")
        return exact if math.isfinite(value) else None
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return str(value)


def read_events(file: Path, most: int | None = None) -> list[dict[str, Any]]:
    """Read the newest ``most`` events of a log, oldest first, through its older files; torn lines are left out.

    However long the log is, only about as much is read as is given.
    """
    older = [path for path in file.parent.glob(f"{file.name}.*") if path.suffix[1:].isdecimal()]
    found: list[dict[str, Any]] = []
    for path in (file, *sorted(older, key=lambda path: int(path.suffix[1:]))):
        if most is not None and len(found) >= most:
            break
        found = [*_events(path, None if most is None else most - len(found)), *found]
    return found


def _events(path: Path, most: int | None) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines() if most is None else _last_lines(path, most)
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found if most is None else found[max(0, len(found) - most) :]


def _last_lines(path: Path, most: int) -> list[bytes]:
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        tail = b""
        while start > 0 and tail.count(b"\n") <= most:
            size = min(_BLOCK, start)
            start = file.seek(start - size)
            tail = file.read(size) + tail
    return tail.splitlines()[0 if start == 0 else 1 :]
