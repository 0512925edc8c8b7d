"""What of a running bot is seen from outside while it runs: figures on a port, the live view on a terminal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from itb.errors import ItbError
from itb.live.run.metrics import Metrics, MetricsServer, process_families, status_families
from itb.live.run.view import watch

if TYPE_CHECKING:
    from itb.live.cockpit import Cockpit, Status
    from itb.live.run.event_log import EventLog
    from itb.live.run.health import HealthBoard

EVENT_LOG = "event log"
_ANSWER_S = 5.0


class Outlook:
    """Show a cockpit for as long as this is entered, on the loop that it is entered on.

    A port that is taken or a terminal that breaks is a trouble told once; the bot goes on.

    Parameters
    ----------
    cockpit
        What is shown.
    log
        Its newest events are shown; that it cannot write is reported to ``board``.
    metrics
        Figures; give :meth:`itb.live.run.metrics.Metrics.hear` to the log.
    bot
        Its name in the figures.
    port
        Of the figures, on 127.0.0.1; 0 for none.
    console
        A rich console to draw on, ``None`` for none; it is drawn by a thread of its own.
    every_s
        How often it is drawn and the log is looked at.
    """

    def __init__(
        self,
        cockpit: Cockpit,
        log: EventLog,
        metrics: Metrics,
        board: HealthBoard,
        *,
        bot: str,
        port: int = 0,
        console: Any = None,
        every_s: float = 1.0,
    ) -> None:
        self._cockpit, self._log, self._metrics, self._board = cockpit, log, metrics, board
        self._bot, self._console, self._every_s = bot, console, every_s
        self.server = MetricsServer(self._text, port) if port else None
        self._over = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._tasks.append(asyncio.create_task(self._look_after_log(), name="event log"))
        if self.server is not None:
            try:
                await self.server.start()
            except ItbError as error:
                self._board.trouble("metrics", str(error))
        if self._console is not None:
            self._tasks.append(asyncio.create_task(self._draw(), name="view"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        for task in self._tasks:
            if task.get_name() != "view":
                task.cancel()
        await asyncio.wait(self._tasks, timeout=_ANSWER_S)
        if self.server is not None:
            await self.server.stop()

    def _text(self) -> str:
        return self._metrics.text((*status_families(self._cockpit.status()), *process_families(self._bot)))

    async def _look_after_log(self) -> None:
        while True:
            self._board.keep(EVENT_LOG, self._log.trouble or None)
            await asyncio.sleep(self._every_s)

    async def _draw(self) -> None:
        try:
            await asyncio.to_thread(self._watch)
        except Exception as error:  # noqa: BLE001  a terminal that goes away must not end the bot
            self._board.trouble("view", f"the live view has ended: {type(error).__name__}: {error}")

    def _watch(self) -> None:
        try:
            watch(self._look, self._over.wait, self._console, self._every_s)
        except SystemExit:  # rich's answer to a closed pipe
            raise BrokenPipeError("the terminal is gone") from None

    def _look(self) -> tuple[Status, Sequence[Mapping[str, Any]]] | None:
        """Ask on the loop, from the view's thread; ``None`` once the loop answers no more."""
        asked = asyncio.run_coroutine_threadsafe(self._status(), self._loop)
        while not self._over.is_set():
            try:
                return asked.result(timeout=0.1), self._log.recent
            except TimeoutError:
                continue
        asked.cancel()
        return None

    async def _status(self) -> Status:
        return self._cockpit.status()
