"""The time of a real exchange: asked for until it is told, with a word about what stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.live.asking import ask, doubling
from itb.live.bars.timekeeper import Timekeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.live.gateways.ccxt_gateway import CcxtGateway

_PAUSE_S = (2.0, 60.0)


async def exchange_time(remote: CcxtGateway, exchange: str, tell: Callable[[str], None]) -> Timekeeper:
    """Ask an exchange for its time, for as long as it takes; cancel it to give up."""
    keeper = Timekeeper(remote.server_time)

    async def question() -> Timekeeper:
        while not await keeper.sample(3):
            await remote.server_time()  # which tells what stands in the way
        return keeper

    def told(error: Exception, pause: float) -> None:
        why = str(error) or type(error).__name__
        tell(
            f"{exchange} does not answer ({why}); asking again in {pause:g} s. Look at the network, or rehearse "
            "with --practice; Ctrl-C ends this"
        )

    return await ask(question, doubling(*_PAUSE_S), told)
