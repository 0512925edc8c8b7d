"""Files of a public archive: streamed to disk, and believed only when their checksum agrees."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path

import urllib3

from itb.datafeeds.backoff import Retrier, TransientError, retry_after_s
from itb.errors import GatewayError

_DIGEST = re.compile(r"\b[0-9a-fA-F]{64}\b")
_CHUNK = 1 << 16
_CHECKSUM_LIMIT = 4_096


class Stopping(Exception):  # noqa: N818 - no error: the user asked to stop
    """A download ended because the whole run is being stopped."""


class ArchiveClient:
    """Fetches files over HTTP with retries; used by several threads.

    ``stop`` ends downloads that are under way.
    """

    def __init__(self, retrier: Retrier, *, workers: int, timeout_s: float, stop: threading.Event) -> None:
        self._retrier = retrier
        self._stop = stop
        self._pool = urllib3.PoolManager(maxsize=workers, timeout=urllib3.Timeout(timeout_s), retries=False)

    def verified(self, url: str, folder: Path) -> Path | None:
        """Download ``url`` into ``folder`` and compare it with ``<url>.CHECKSUM``; ``None`` if there is no such file.

        A wrong checksum is given a second chance with fresh copies of both; then it is a :class:`GatewayError`.
        """
        path = folder / url.rsplit("/", 1)[-1]
        wrong = ""
        for _ in range(2):
            expected = self._checksum(f"{url}.CHECKSUM")
            if expected is None:
                return None
            found = self._retrier.call(url, lambda: self._stream(url, path))
            if found is None:
                return None
            if found == expected:
                return path
            path.unlink()
            wrong = f"its SHA-256 is {found}, the archive says {expected}"
        raise GatewayError(f"{url}: {wrong}, twice; nothing of it was stored. Try later, or leave --archive out")

    def _checksum(self, url: str) -> str | None:
        content: list[bytes] = []
        if self._retrier.call(url, lambda: self._get(url, content.append, before=content.clear)) is None:
            return None
        text = b"".join(content)[:_CHECKSUM_LIMIT].decode("utf-8", "replace")
        match = _DIGEST.search(text)
        if match is None:
            raise GatewayError(f"{url}: no SHA-256 checksum in {text[:80]!r}")
        return match.group().lower()

    def _stream(self, url: str, path: Path) -> str | None:
        digest = hashlib.sha256()
        with path.open("wb") as file:

            def keep(chunk: bytes) -> None:
                digest.update(chunk)
                file.write(chunk)

            if self._get(url, keep) is None:
                return None
        return digest.hexdigest()

    def _get(
        self, url: str, keep: Callable[[bytes], object], before: Callable[[], object] = lambda: None
    ) -> int | None:
        """Read a file chunk by chunk and give its size; ``None`` if there is no such file."""
        before()
        size = 0
        try:
            response = self._pool.request("GET", url, preload_content=False)
            try:
                if response.status == 404:
                    response.drain_conn()
                    return None
                _require_ok(response)
                for chunk in response.stream(_CHUNK):
                    if self._stop.is_set():
                        raise Stopping
                    keep(chunk)
                    size += len(chunk)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
        return size


def _require_ok(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if status == 200:
        return
    response.drain_conn()
    if status in (408, 429) or status >= 500:
        raise TransientError(f"HTTP {status}", retry_after_s(response.headers.get("Retry-After")))
    raise GatewayError(f"the archive refuses (HTTP {status}); open the address in a browser to see why")
