"""Lines to practice exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Account, Line, line_to
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.practice.server import Server
from tests.live.practice.conftest import serve

__all__ = ["serve"]
T = TypeVar("T")
PAIR = "BTC/USDT"


def with_line(server: Server, act: Callable[[Line], Awaitable[T]], **account: Any) -> T:
    """Do something on a line to a practice exchange, and close it."""

    async def scene() -> T:
        async with line_to(traits_of("binance", (PAIR,)), Account(practice_url=server.url, **account)) as line:
            return await act(line)

    return asyncio.run(asyncio.wait_for(scene(), 120))


def with_gateway(server: Server, act: Callable[[CcxtGateway], Awaitable[T]], **account: Any) -> T:
    """Do something through a gateway on market time, and close it."""
    return with_line(server, lambda line: act(CcxtGateway(line, lambda: server.exchange.venue.now)), **account)
