"""What an exchange tells by itself: our orders and executions as they change, prices as they are made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, Protocol, TypeAlias

from itb.live.gateways import ccxt_words as words
from itb.live.gateways.ccxt_line import CallFailedError, Line
from itb.live.gateways.port import VenueOrder, VenueTrade

PriceKind: TypeAlias = Literal["trades", "book"]
_log = logging.getLogger(__name__)


class Tell(Protocol):
    """Takes news of orders; :meth:`itb.live.desk.Desk.tell` is one."""

    def __call__(self, *, orders: tuple[VenueOrder, ...] = ..., trades: tuple[VenueTrade, ...] = ...) -> None:
        """Take them."""


async def follow_orders(line: Line, tell: Tell, *, redial_s: float = 0.5, redial_most_s: float = 30.0) -> None:
    """Pass on news of orders and executions until cancelled; what is missed meanwhile, polls find."""
    client, told = line.client, []
    if client.has.get("watchOrders"):
        told.append(_orders(line, tell))
    if client.has.get("watchMyTrades"):
        told.append(_trades(line, tell))
    await _follow(line, told, redial_s, redial_most_s)


async def follow_prices(
    line: Line, symbols: Iterable[str], kind: PriceKind, hear: Callable[[str, words.Quote], None],
    *, redial_s: float = 0.5, redial_most_s: float = 30.0,
) -> None:  # fmt: skip
    """Pass on the market's prices until cancelled: each trade, or each best bid and ask.

    What :class:`itb.live.gateways.matching.MatchingEngine` executes paper orders against: ``engine.quote``.
    """
    line.client.options["tradesLimit"] = 1_000  # a market makes more of them between two looks than an account
    watched = [_prices(line, symbol, kind, hear) for symbol in symbols]
    await _follow(line, watched, redial_s, redial_most_s)


def _orders(line: Line, tell: Tell) -> Callable[[], Awaitable[None]]:
    async def watch() -> None:
        rows = await line.call("watch_orders")
        tell(orders=tuple(_readable(words.order_of, rows)))

    return watch


def _trades(line: Line, tell: Tell) -> Callable[[], Awaitable[None]]:
    async def watch() -> None:
        rows = await line.call("watch_my_trades")
        tell(trades=tuple(_readable(words.trade_of, rows)))

    return watch


def _prices(
    line: Line, symbol: str, kind: PriceKind, hear: Callable[[str, words.Quote], None]
) -> Callable[[], Awaitable[None]]:
    async def watch() -> None:
        if kind == "trades":
            rows = await line.call("watch_trades", symbol)
        else:
            rows = [(await line.call("watch_bids_asks", [symbol]))[symbol]]
        for quote in _readable(words.quote_of, rows):
            hear(symbol, quote)

    return watch


def _readable(reader: Callable[[Any], Any], rows: Iterable[Any]) -> list[Any]:
    """Read what can be read: the stream is a hint, the rest is asked for."""
    found = []
    for row in rows:
        try:
            found.append(reader(row))
        except (words.NotReadableError, TypeError, KeyError, AttributeError) as error:
            _log.debug("news that cannot be read: %s", error)
    return found


async def _follow(line: Line, watches: list[Callable[[], Awaitable[None]]], pause_s: float, most_s: float) -> None:
    async def keep(watch: Callable[[], Awaitable[None]]) -> None:
        pause = pause_s
        while True:
            try:
                await watch()
                pause = pause_s
            except CallFailedError as error:
                _log.debug("%s: the stream broke: %s", line.traits.name, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, most_s)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                await asyncio.sleep(pause)  # ccxt cancelled its own waiting: the socket was closed

    async with asyncio.TaskGroup() as tasks:
        for watch in watches:
            tasks.create_task(keep(watch))
