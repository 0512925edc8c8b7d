"""The artist: has pictures drawn in a process of its own, so that drawing never takes time from trading."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from itb.charts.easel import DRAWN, IDLE_S, framed

if TYPE_CHECKING:
    from itb.live.notify.message import Drawing, Theme

_log = logging.getLogger(__name__)
Draw: TypeAlias = "Callable[[Drawing, Theme], bytes]"
_EARLY_S = 20.0
COMMAND = (sys.executable, "-c", "from itb.charts.easel import draw_child; draw_child()")


class NotDrawnError(Exception):
    """A picture could not be drawn; what it belonged to goes without."""


class NobodyDrawsError(NotDrawnError):
    """The process that draws is in trouble; who is to know has been told."""


class _GoneError(Exception):
    """The process ended before it had answered."""


def draw_here(drawing: Drawing, theme: Theme) -> bytes:
    """Draw in this process: for commands that do nothing else meanwhile."""
    return drawing.png(theme)


class Artist:
    """Draws for any thread, one picture at a time.

    The process begins with the first picture, knows nothing but the ``environment`` and what it is to draw, and ends by
    itself when nobody has asked for a while. One that was found dead is replaced. One that hangs or dies over a picture
    costs that picture, and if the next one does so too, others for a while: ``told`` hears why, once, and an empty text
    when it works again.

    Parameters
    ----------
    environment
        Variables of the process; no keys belong there.
    told
        Hears of trouble, from the thread that draws.
    within_s
        How long a picture may take.
    rest_s
        How long nothing is tried after two processes in a row have failed.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        told: Callable[[str], None] = lambda _text: None,
        *,
        within_s: float = 30.0,
        rest_s: float = 300.0,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._environment, self._told, self._command = dict(environment), told, tuple(command)
        self._within_s, self._rest_s = within_s, rest_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._resting_until, self._used_at = 0.0, 0.0
        self._trouble = ""
        self._is_closed = False

    def draw(self, drawing: Drawing, theme: Theme) -> bytes:
        """Have a picture drawn; raise :class:`NotDrawnError` where it cannot be."""
        asked = framed(json.dumps({"picture": drawing.plain(), "theme": theme}).encode())
        with self._lock:
            if self._is_closed:
                raise NobodyDrawsError("the program ends")
            if time.monotonic() < self._resting_until:
                raise NobodyDrawsError(self._trouble)
            try:
                drawn = self._drawn(asked)
            except (_GoneError, OSError) as error:
                if not self._is_closed:
                    self._failed(str(error))
                raise NobodyDrawsError(str(error)) from None
            if self._trouble:
                self._trouble = ""
                self._told("")
        if drawn[:1] != DRAWN:
            raise NotDrawnError(drawn[1:].decode(errors="replace"))
        return drawn[1:]

    def _drawn(self, asked: bytes) -> bytes:
        """Ask the process, a new one where the last has ended or is about to because nobody asked it anything."""
        child = self._child
        if child is None or child.poll() is not None or time.monotonic() > self._used_at + IDLE_S - _EARLY_S:
            self._end()
            child = self._child = subprocess.Popen(  # noqa: S603  our own command
                self._command, env=self._environment, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._is_closed:
                raise _GoneError("the program ends")
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            child.kill()

        watch = threading.Timer(self._within_s, give_up)
        watch.start()
        try:
            return self._ask(child, asked)
        except (_GoneError, OSError):
            code = child.wait()
            why = f"took more than {self._within_s:g} s" if overdue.is_set() else f"ended with {code}"
            raise _GoneError(f"no pictures: the process that draws {why}") from None
        finally:
            watch.cancel()
            self._used_at = time.monotonic()

    @staticmethod
    def _ask(child: subprocess.Popen[bytes], asked: bytes) -> bytes:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(asked)
        child.stdin.flush()
        head = child.stdout.read(5)
        body = child.stdout.read(int.from_bytes(head[1:], "big")) if len(head) == 5 else b""
        if len(head) < 5 or len(body) < int.from_bytes(head[1:], "big"):
            raise _GoneError
        return head[:1] + body

    def _failed(self, why: str) -> None:
        self._end()
        if self._trouble:
            self._resting_until = time.monotonic() + self._rest_s
        else:
            _log.warning("%s", why)
            self._told(why)
        self._trouble = why

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with child:  # closes its pipes and waits for it
                pass

    def close(self) -> None:
        """End the process, also in the middle of a picture; nothing is drawn from now on."""
        self._is_closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._lock:
            self._end()
