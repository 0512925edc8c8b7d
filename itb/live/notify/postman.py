"""The postman of one way: takes letters out of the outbox in order, and does not give up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from itb.live.notify.letters import USUAL, Flood, Parcel, next_parcel
from itb.live.notify.ways.way import LaterError, Outgoing, RefusedError, UnclearError

if TYPE_CHECKING:
    from itb.live.notify.mailroom import Mailroom
    from itb.live.notify.people import People
    from itb.live.notify.ways.way import Way

_log = logging.getLogger(__name__)
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 300.0


class Postman:
    """Delivers the letters of one way, one parcel after the other.

    A parcel that certainly did not arrive is tried again after as long as the other side asks for, else after a wait
    that doubles up to five minutes. One that may have arrived is tried again with a note and its short id, so that a
    person sees that it may be a repeat. One that is refused for good is passed over and logged.

    Parameters
    ----------
    clock
        UTC milliseconds now.
    """

    def __init__(
        self, name: str, way: Way, mailroom: Mailroom, people: People, clock: Callable[[], int], flood: Flood = USUAL
    ) -> None:
        self.name, self._way, self._mailroom = name, way, mailroom
        self._people, self._clock, self._flood = people, clock, flood
        self._failed = 0
        self._is_unsure = False
        self.trouble = ""

    async def round(self) -> float | None:
        """Try one parcel; give how many seconds to wait before the next, ``None`` when nothing waits."""
        try:
            if self._is_unsure:
                self._mailroom.recover(self.name)
                self._is_unsure = False
            waiting = self._mailroom.waiting(self.name)
            if not waiting:
                return None
            parcel = next_parcel(waiting, self._way.limit, self._people, self._flood)
            if parcel.letters[0].parcel:
                parcel = replace(parcel, left_out=tuple(self._mailroom.left_out_of(parcel.number)))
            return await self._deliver(parcel)
        except SQLAlchemyError as error:
            self._is_unsure = True  # what was leaving may have arrived, and nobody wrote it down
            self._told("cannot use the outbox", str(getattr(error, "orig", None) or error))
            return self._wait()

    async def _deliver(self, parcel: Parcel) -> float:
        head = parcel.letters[0]
        picture = self._mailroom.picture(head.number) if head.has_picture else None
        message = Outgoing(
            key=f"{head.key}#{parcel.short_id}", time=head.time, topic=head.topic, text=parcel.text(self._people),
            picture=picture, is_quiet=parcel.is_quiet, is_repeat=parcel.is_repeat,
        )  # fmt: skip
        self._mailroom.begin(parcel, self._clock())
        try:
            await self._way.send(message)
        except LaterError as error:
            self._mailroom.again(parcel, may_have_arrived=False)
            self._told("cannot be reached", str(error))
            return max(error.after_s, 0.0 if error.after_s else self._wait())
        except UnclearError as error:
            self._mailroom.again(parcel, may_have_arrived=True)
            self._told("gave no answer", str(error))
            return self._wait()
        except RefusedError as error:
            _log.warning("%s: a message about %s is refused and left out: %s", self.name, head.topic, error)
            self._mailroom.refused(parcel, self._clock(), str(error))
        except asyncio.CancelledError:
            self._mailroom.again(parcel, may_have_arrived=True)
            raise
        except Exception as error:  # noqa: BLE001  a library behind a way may raise anything
            self._mailroom.again(parcel, may_have_arrived=True)
            self._told("failed", f"{type(error).__name__}: {error}")
            return self._wait()
        else:
            self._mailroom.arrived(parcel, self._clock())
        if self._failed:
            _log.info("%s: works again after %d tries", self.name, self._failed)
        self._failed, self.trouble = 0, ""
        return self._way.pace_s

    def _wait(self) -> float:
        self._failed += 1
        return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self._failed - 1, 10)))

    def _told(self, what: str, why: str) -> None:
        if not self.trouble:
            _log.warning("%s %s: %s; messages wait in the outbox", self.name, what, why)
        self.trouble = f"{what}: {why}"

    async def run(self, wake: asyncio.Event) -> None:
        """Deliver until cancelled; ``wake`` is set when there may be something new."""
        try:
            while True:
                wake.clear()
                pause = await self.round()
                if pause is None:
                    await wake.wait()
                elif pause:
                    await asyncio.sleep(pause)
        finally:
            await self._way.close()
