"""Messages to Discord, Slack, e-mail and a hundred others through apprise, an extra."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itb.live.notify.ways.way import UnclearError

if TYPE_CHECKING:
    from itb.live.notify.ways.way import Access, Outgoing


@dataclass(frozen=True)
class Apprise:
    """Send messages to whatever the addresses in ``ITB_APPRISE_URLS`` name, by the extra ``apprise``.

    Several addresses are set apart by blanks. They hold passwords, so they stand in the environment or in ``.env`` and
    nowhere else; apprise's own documentation lists them.

    Parameters
    ----------
    limit
        Characters of one message: Discord takes 2000.
    """

    limit: int = 2000

    def __post_init__(self) -> None:
        if not 400 <= self.limit <= 100_000:
            raise ValueError(f"limit must be from 400 to 100000, was {self.limit}")

    def open(self, access: Access) -> ApprisedWay:
        """Open it."""
        if find_spec("apprise") is None:
            raise ValueError('kind needs the extra "apprise": pip install "itb[apprise]"')
        import apprise

        urls = access.secret("apprise_urls").split()
        sender = apprise.Apprise()
        known = [sender.add(url) for url in urls]
        if not all(known):
            raise ValueError(f"address {known.index(False) + 1} of ITB_APPRISE_URLS is none that apprise knows")
        return ApprisedWay(sender, self.limit)


class ApprisedWay:
    """All addresses together: a message has arrived when every one of them took it."""

    pace_s = 1.0

    def __init__(self, sender: Any, limit: int) -> None:
        self._sender = sender
        self.limit = self.caption_limit = limit

    async def send(self, message: Outgoing) -> None:
        """Send a message; who did not take it gets it again together with those who did."""
        body = message.text.replace("\n", "<br/>")
        with _file(message.picture) as attached:
            took = await self._sender.async_notify(body=body, body_format="html", attach=attached)
        if not took:
            raise UnclearError("apprise: not every address took it; its own log says which")

    async def close(self) -> None:
        """Nothing is open."""


@contextlib.contextmanager
def _file(picture: bytes | None) -> Any:
    """Lay a picture down where apprise can read it, for as long as it needs it."""
    if picture is None:
        yield None
        return
    handle, path = tempfile.mkstemp(suffix=".png")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(picture)
        yield path
    finally:
        Path(path).unlink()
