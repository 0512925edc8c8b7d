"""The market time of a practice exchange: how it goes on, and in lock-step what lets it go on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from itb.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT = aiohttp.ClientTimeout(total=5.0)


class MarketTime:
    """Market time of the practice exchange at ``url``; it runs ``speed`` times as fast as ours, or in steps.

    Between two looks the time is what it was plus what has passed since, at its speed. ``earliest_ms`` counts from the
    moment when the question was sent, so that the exchange is never behind it. In lock-step and at ``max`` no time is
    added: the exchange says how late it is.
    """

    def __init__(self, url: str, own: Callable[[], float] = time.monotonic) -> None:
        self._url, self._own = url.rstrip("/"), own
        self._session: aiohttp.ClientSession | None = None
        self._heard: tuple[float, float, float] | None = None  # when asked, when answered, market time
        self.speed: float | str = 1.0
        self.stop_ms = 0
        self.is_over = False
        self.waiting: dict[str, int] = {}

    @property
    def rate(self) -> float:
        """Market seconds in one of ours; 0 where time goes in steps."""
        return self.speed if isinstance(self.speed, float) else 0.0

    @property
    def is_set(self) -> bool:
        """Whether the exchange has told its time."""
        return self._heard is not None

    def now_ms(self) -> float:
        """Give the market time, best estimate."""
        assert self._heard is not None
        asked, answered, told = self._heard
        return self._bounded(told + (self._own() - (asked + answered) / 2) * 1000 * self.rate)

    def earliest_ms(self) -> float:
        """Give the market time that has been reached for sure."""
        assert self._heard is not None
        _, answered, told = self._heard
        return self._bounded(told + (self._own() - answered) * 1000 * self.rate)

    def _bounded(self, now: float) -> float:
        return min(now, float(self.stop_ms)) if self.stop_ms else now

    async def look(self) -> None:
        """Ask the exchange; raise :class:`itb.errors.GatewayError` when it does not answer."""
        await self._ask("GET", "clock")

    async def begin(self) -> None:
        """Let market time run, where the exchange holds it until a bot is warm."""
        await self._ask("POST", "begin")

    async def answer(self, symbol: str, open_time: int) -> None:
        """In lock-step: tell that a symbol's newest final bar was read and answered."""
        await self._ask("POST", "answered", {"symbol": symbol.replace("/", ""), "open_time": open_time})

    async def keep(self, every_s: float = 0.2) -> None:
        """Look again and again until it is cancelled."""
        while True:
            with contextlib.suppress(GatewayError):  # whoever reads bars or sends orders will say so
                await self.look()
            await asyncio.sleep(every_s)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, name: str, sent: dict[str, Any] | None = None) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        asked = self._own()
        try:
            async with self._session.request(method, f"{self._url}/practice/{name}", json=sent) as answer:
                told = await answer.json()
                if answer.status == 409:
                    return  # it has gone on already
                if answer.status != 200:
                    raise GatewayError(f"practice exchange at {self._url}: {name} was answered with {answer.status}")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise GatewayError(f"practice exchange at {self._url} does not answer: {error}") from None
        speed = told["speed"]
        self.speed = float(speed) if isinstance(speed, int | float) else str(speed)
        self.stop_ms, self.is_over, self.waiting = int(told["stop"]), bool(told["over"]), dict(told["waiting"])
        self._heard = (asked, self._own(), float(told["time"]))
