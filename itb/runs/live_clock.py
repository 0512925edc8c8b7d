"""The time of a real exchange: asked for until it is told, with a word about what stands in the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from itb.errors import GatewayError
from itb.live.bars.timekeeper import Timekeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.live.gateways.ccxt_gateway import CcxtGateway

_PAUSE_S = (2.0, 60.0)


async def exchange_time(remote: CcxtGateway, exchange: str, tell: Callable[[str], None]) -> Timekeeper:
    """Ask an exchange for its time, for as long as it takes; cancel it to give up."""
    keeper = Timekeeper(remote.server_time)
    pause, most = _PAUSE_S
    while not await keeper.sample(3):
        try:
            await remote.server_time()
        except (GatewayError, OSError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            tell(
                f"{exchange} does not answer ({why}); asking again in {pause:g} s. Look at the network, or rehearse "
                "with --practice; Ctrl-C ends this"
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, most)
    return keeper
