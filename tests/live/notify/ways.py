"""A way out whose other side does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from itb.live.notify.herald import Herald
from itb.live.notify.ways.way import Outgoing

patient_herald = partial(Herald, patience_s=60.0)  # ends when all is sent, however slow the machine is


@dataclass
class Receiver:
    """Receives messages; ``behave`` may raise before, or (``after``) when the message has arrived."""

    behave: Callable[[int], Exception | None] = lambda _: None
    after: Callable[[int], Exception | None] = lambda _: None
    limit: int = 4096
    caption_limit: int = 1024
    pace_s: float = 0.0
    arrived: list[Outgoing] = field(default_factory=list)
    tries: int = 0

    async def send(self, message: Outgoing) -> None:
        """Take a message, or not."""
        await asyncio.sleep(0)
        self.tries += 1
        if error := self.behave(self.tries):
            raise error
        self.arrived.append(message)
        if error := self.after(self.tries):
            raise error

    async def close(self) -> None:
        """Nothing is open."""
