"""Messages as signed JSON to an address of one's own."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from itb.live.notify.ways.plain import as_json
from itb.live.notify.ways.way import LaterError, RefusedError, UnclearError

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from itb.live.notify.ways.way import Access, Outgoing

SIGNATURE, STAMP = "X-Itb-Signature", "X-Itb-Timestamp"


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Sign a body and when it was sent, by HMAC with SHA-256; a receiver compares in constant time.

    >>> signature("key", "1700000000", b"{}")[:15]
    'sha256=9d713ed4'
    """
    return "sha256=" + hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Webhook:
    """Post messages as JSON, signed with ``ITB_WEBHOOK_SECRET``.

    Headers ``X-Itb-Timestamp`` (seconds) and ``X-Itb-Signature``: ``sha256=`` and the HMAC of timestamp, a dot and the
    body. ``id`` is the same when a message is sent again.

    Parameters
    ----------
    url
        Where to: ``https://``, or ``http://`` on this machine.
    timeout_s
        Seconds to wait for an answer.
    """

    url: str
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        is_here = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if not parts.hostname or not (parts.scheme == "https" or is_here):
            raise ValueError("url must begin with https:// (http:// on this machine only)")
        if parts.password:
            raise ValueError("url must hold no password: ITB_WEBHOOK_SECRET signs what is sent")
        if not 0 < self.timeout_s <= 120:
            raise ValueError(f"timeout_s must be above 0 and at most 120, was {self.timeout_s}")

    def open(self, access: Access) -> WebhookWay:
        """Open it."""
        return WebhookWay(self, access.secret("webhook_secret"))


class WebhookWay:
    """An HTTP session that is opened by the first message."""

    limit = 100_000
    caption_limit = 100_000
    pace_s = 0.0

    def __init__(self, part: Webhook, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._part, self._secret, self._clock = part, secret, clock
        self._session: ClientSession | None = None

    async def send(self, message: Outgoing) -> None:
        """Post a message; any 2xx is an arrival."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._part.timeout_s))
        body = json.dumps(as_json(message), ensure_ascii=False).encode()
        stamp = str(int(self._clock()))
        headers = {"Content-Type": "application/json", STAMP: stamp, SIGNATURE: signature(self._secret, stamp, body)}
        try:
            async with self._session.post(self._part.url, data=body, headers=headers, allow_redirects=False) as answer:
                status, after = answer.status, answer.headers.get("Retry-After", "")
        except aiohttp.ClientConnectorError as error:
            raise LaterError(f"webhook: {error.strerror or 'cannot connect'}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnclearError(f"webhook: {type(error).__name__}") from None
        if 200 <= status < 300:
            return
        if status == 429:
            raise LaterError("webhook: too many messages", float(after) if after.isdecimal() else 0.0)
        if status >= 500 or status == 408:
            raise UnclearError(f"webhook: answered {status}")
        raise RefusedError(f"webhook: answered {status}")

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
