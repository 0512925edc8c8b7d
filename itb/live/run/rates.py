"""Funding rates and mark prices, asked for beside everything else: no bar and no order waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.gateways.port import NoAnswerError, RateOutlook, Settlement

if TYPE_CHECKING:
    from itb.live.gateways.port import TellsRates
    from itb.live.gateways.published import PublishedRates
    from itb.live.run.health import HealthBoard

LOOK_BACK_MS = 3 * 86_400_000
_LOOK_S, _SOON_S = 60.0, 5.0
_MOST_PAUSE_S = 60.0
_PATIENCE = 3  # looks in a row without an answer before it is told


def published_by(gateway: object) -> PublishedRates | None:
    """Give where a gateway's funding rates are gathered; ``None`` for one that trades no perpetuals."""
    return gateway.published if isinstance(gateway, CcxtPerpetuals) else None


@dataclass(frozen=True, eq=False)
class RateWatch:
    """Follows one perpetual: its mark price each minute, its settlements as soon as they are published.

    Parameters
    ----------
    venue
        Who is asked.
    published
        Where it is gathered.
    symbol
        Market.
    clock
        UTC milliseconds of the venue's clock, estimated.
    board
        Hears of it when nobody answers for long.
    heard
        Called with what is new: settlements that were not known, and what is said of the next one.
    sleep
        Waits for so many seconds.
    """

    venue: TellsRates
    published: PublishedRates
    symbol: str
    clock: Callable[[], float]
    board: HealthBoard
    heard: Callable[[str, tuple[Settlement, ...], RateOutlook], Awaitable[None]]
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep

    async def run(self, since: int) -> None:
        """Follow until cancelled; ``since`` is the oldest time (UTC milliseconds) that is of interest."""
        failures, key = 0, f"funding of {self.symbol}"
        while True:
            try:
                wait = await self.look(since)
            except NoAnswerError as error:
                failures += 1
                asked = (error.retry_at - self.clock()) / 1_000
                wait = max(min(2.0 ** min(failures, 10), _MOST_PAUSE_S), asked)
                if failures >= _PATIENCE:
                    told = f"{key} is not told: {error}; what is owed is kept until it is"
                    self.board.trouble(key, told)
            else:
                failures = 0
                self.board.well(key)
            await self.sleep(wait)

    async def look(self, since: int) -> float:
        """Ask for what may be new; give how long to wait."""
        symbol, published, now = self.symbol, self.published, int(self.clock())
        outlook = await self.venue.outlook(symbol)
        published.announce(symbol, outlook)
        new: tuple[Settlement, ...] = ()
        if published.is_stale(symbol, now):
            newest = published.newest(symbol)
            start = min(since, now) - LOOK_BACK_MS if newest is None else newest
            new = published.learn(symbol, await self.venue.settlements(symbol, start), now)
        await self.heard(symbol, new, outlook)
        if published.is_awaited(symbol, now):
            return _SOON_S
        return max(_SOON_S, min(_LOOK_S, (outlook.next_at - now) / 1_000 + 1))
