"""The herald: what a live run tells, on its way to people, in a thread of its own that trading never waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from sqlalchemy.exc import SQLAlchemyError

from itb.errors import ItbError, JournalError
from itb.live.notify.artist import draw_here
from itb.live.notify.clerk import Clerk, Output
from itb.live.notify.letters import USUAL, Flood
from itb.live.notify.postman import Postman

if TYPE_CHECKING:
    from itb.live.notify.artist import Artist
    from itb.live.notify.events import Event
    from itb.live.notify.mailroom import Mailroom
    from itb.live.notify.message import Theme
    from itb.live.notify.people import People
    from itb.live.notify.ways.way import Way

_log = logging.getLogger(__name__)
_IN_MEMORY = 10_000  # events, while the database cannot be written
_PRUNE_EVERY_S = 3_600.0


class Herald:
    """Takes events from any thread and delivers what the outputs make of them.

    :meth:`tell` writes an event into the database and comes back; where that cannot be done at once (a full disk, a
    writer that holds on) it is kept in memory and written by the herald's thread as soon as it can be. All else, from
    wording to drawing to sending, happens in that thread. ``others`` are coroutines that run there as well, such as a
    bot; they are cancelled when the herald stops.

    Parameters
    ----------
    clock
        UTC milliseconds now.
    binary
        Score columns to be graded, see :class:`itb.live.notify.grader.Grader`.
    artist
        Draws the pictures, and ends with the herald; ``None`` draws them here.
    retry_s
        How long to wait while the database cannot be used.
    patience_s
        How long an end waits for what can still be sent; the rest waits for the next life.
    """

    def __init__(
        self,
        mailroom: Mailroom,
        outputs: Sequence[Output],
        ways: Mapping[str, Way],
        people: People,
        clock: Callable[[], int],
        *,
        theme: Theme = "dark",
        flood: Flood = USUAL,
        others: Sequence[Callable[[], Awaitable[None]]] = (),
        binary: Mapping[str, bool] = MappingProxyType({}),
        artist: Artist | None = None,
        retry_s: float = 5.0,
        patience_s: float = 5.0,
    ) -> None:
        unknown = next((way for output in outputs for way in output.ways if way not in ways), None)
        if unknown is not None:
            raise ValueError(f"ways must be among {', '.join(ways) or 'none'}, was {unknown!r}")
        self._mailroom, self._clock, self._others = mailroom, clock, tuple(others)
        self._artist = artist
        draw = draw_here if artist is None else artist.draw
        self._clerk = Clerk(mailroom, outputs, ways, people, theme, binary, draw)
        self.postmen = [Postman(name, way, mailroom, people, clock, flood) for name, way in ways.items()]
        self._retry_s, self._patience_s = retry_s, patience_s
        self._kept: deque[Event] = deque(maxlen=_IN_MEMORY)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._noted: asyncio.Event | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    def tell(self, *happened: Event) -> None:
        """Take events; never raises, never waits for anybody but, shortly, the disk."""
        if self._kept or not self._note(happened):
            self._kept.extend(happened)
        loop, noted = self._loop, self._noted
        if loop is not None and noted is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed: the next life tells it
                loop.call_soon_threadsafe(noted.set)

    def _note(self, happened: Sequence[Event]) -> bool:
        try:
            self._mailroom.note(happened)
        except JournalError as error:
            _log.warning("kept in memory: %s", error)
            return False
        return True

    # -- the thread

    def start(self) -> None:
        """Begin to deliver; what an earlier life left behind goes first."""
        self._thread = threading.Thread(target=self._work, name="herald", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Send what can be sent soon and end."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(self._patience_s)
        if self._artist is not None:
            self._artist.close()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(10.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _work(self) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._main())
        except (SQLAlchemyError, ItbError):
            _log.exception("messages stop: the outbox cannot be used")
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._noted, self._stopping = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._ready.set()
        if not await self._begin():
            return
        wakes = [asyncio.Event() for _ in self.postmen]
        rounds = [asyncio.create_task(one.run(wake)) for one, wake in zip(self.postmen, wakes, strict=True)]
        others = [asyncio.ensure_future(one()) for one in self._others]
        try:
            await self._write(wakes)
        finally:
            for task in (*others, *rounds):
                task.cancel()
            await asyncio.gather(*others, *rounds, return_exceptions=True)

    async def _begin(self) -> bool:
        """Take over from the life before; wait for the database where it cannot be used yet."""
        assert self._stopping is not None
        while True:
            try:
                self._mailroom.recover()
                self._clerk.remember()
            except SQLAlchemyError as error:
                _log.warning("messages wait: %s", getattr(error, "orig", None) or error)
                if self._stopping.is_set():
                    return False
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._retry_s):
                        await self._stopping.wait()
            else:
                return True

    async def _write(self, wakes: Sequence[asyncio.Event]) -> None:
        assert self._noted is not None
        assert self._stopping is not None
        pruned = -_PRUNE_EVERY_S
        loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(self._stopping.wait())
        while True:
            self._noted.clear()
            is_well = await asyncio.to_thread(self._write_now)  # a picture takes a while; the chat is heard meanwhile
            for wake in wakes:
                wake.set()
            if is_well and loop.time() - pruned >= _PRUNE_EVERY_S:
                pruned = loop.time()
                with contextlib.suppress(SQLAlchemyError):  # an hour later will do
                    self._mailroom.prune(self._clock())
            if self._stopping.is_set() and not (is_well and self._noted.is_set()):  # none was told meanwhile
                await self._drain()
                return
            noted = asyncio.create_task(self._noted.wait())
            pause = _PRUNE_EVERY_S if is_well else self._retry_s
            await asyncio.wait({noted, stopping}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            noted.cancel()

    def _write_now(self) -> bool:
        try:
            while self._kept:
                self._mailroom.note([self._kept[0]])
                self._kept.popleft()
            self._clerk.write()
        except (JournalError, SQLAlchemyError) as error:
            _log.warning("messages wait: %s", error)
            return False
        return True

    async def _drain(self) -> None:
        """Wait while letters are on their way; the caller's patience ends it."""
        while self._is_busy():  # noqa: ASYNC110  letters are counted in the database, which sets no event
            await asyncio.sleep(0.01)

    def _is_busy(self) -> bool:
        return any(
            not one.trouble and {"waiting", "sending"} & set(self._mailroom.counts(one.name)) for one in self.postmen
        )
