"""What a running bot does about funding: it follows the rates, keeps them, and books what is owed on paper."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.run.rates import RateWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.live.gateways.port import RateOutlook, Settlement
    from itb.live.run.engine import Engine


def follow_rates(remote: object, engine: Engine, clock: Callable[[], float]) -> list[asyncio.Task[None]]:
    """Follow funding and mark price of every perpetual; nothing to do on spot."""
    if not isinstance(remote, CcxtPerpetuals):
        return []

    async def hear(symbol: str, _new: tuple[Settlement, ...], outlook: RateOutlook) -> None:
        engine.marks[symbol] = float(outlook.mark)
        for account in engine.accounts:
            await account.collect()

    owed = [owed.due.since for account in engine.accounts for owed in account.dealer.book.owed.values()]
    since = min(owed, default=int(clock()))
    watches = [RateWatch(remote, remote.published, symbol, clock, engine.board, hear) for symbol in engine.windows]
    return [asyncio.create_task(one.run(since), name=f"funding of {one.symbol}") for one in watches]
