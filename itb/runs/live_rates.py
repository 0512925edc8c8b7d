"""What a running bot does about funding: it follows the rates, keeps them, and books what is owed on paper."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.datafeeds.settlements import Rate, SettlementStore
from itb.errors import BarsError
from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.gateways.port import Settlement
from itb.live.run.fundings import FundingWatch
from itb.live.run.rates import RateWatch
from itb.runs.live_prices import watch_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from itb.datafeeds.sources import SourceRows
    from itb.live.gateways.ccxt_gateway import CcxtGateway
    from itb.live.gateways.port import RateOutlook
    from itb.live.run.engine import Engine
    from itb.live.run.event_log import EventLog
    from itb.runs.workspace import Workspace

_RECENT = 100  # settlements that a new life takes up


def follow_market(
    workspace: Workspace, remote: CcxtGateway, engine: Engine, log: EventLog, clock: Callable[[], float]
) -> list[asyncio.Task[None]]:
    """Follow what is said between bars: prices, where they are asked for, and all about funding of perpetuals."""
    prices = watch_prices(workspace.config, remote.line, engine)
    if not isinstance(remote, CcxtPerpetuals):
        return prices
    return prices + _rates(workspace, remote, engine, log, clock)


def _rates(
    workspace: Workspace, remote: CcxtPerpetuals, engine: Engine, log: EventLog, clock: Callable[[], float]
) -> list[asyncio.Task[None]]:
    store, exchange = SettlementStore(workspace.store), workspace.config.traded_on
    fundings = [FundingWatch(account, remote.published, log, engine.board, clock) for account in engine.accounts]
    unsaved: dict[str, list[Rate]] = {symbol: [] for symbol in engine.windows}
    for symbol in engine.windows:
        try:
            remote.published.learn(symbol, settlements_of(store.read(exchange, symbol)), 0)
        except BarsError as error:  # the exchange is asked for what it held
            engine.board.trouble(_key(symbol), str(error))

    async def hear(symbol: str, new: tuple[Settlement, ...], outlook: RateOutlook) -> None:
        engine.marks[symbol] = float(outlook.mark)
        unsaved[symbol] += map(_rate, new)
        try:
            if unsaved[symbol]:
                await asyncio.to_thread(store.add, exchange, symbol, unsaved[symbol])
                unsaved[symbol].clear()
                engine.board.well(_key(symbol))
        except BarsError as error:
            engine.board.trouble(_key(symbol), str(error))
        for account, watch in zip(engine.accounts, fundings, strict=True):
            await account.collect()
            watch.judge(symbol)

    owed = [owed.due.since for account in engine.accounts for owed in account.dealer.book.owed.values()]
    since = min(owed, default=int(clock()))
    watches = [RateWatch(remote, remote.published, symbol, clock, engine.board, hear) for symbol in engine.windows]
    return [asyncio.create_task(one.run(since), name=f"funding of {one.symbol}") for one in watches]


def _key(symbol: str) -> str:
    return f"store of funding of {symbol}"


def settlements_of(rows: SourceRows) -> Iterable[Settlement]:
    """Give the newest of what is stored, as it was told: floats have every digit that an exchange writes."""
    columns = (rows.times, rows.columns["funding_rate"], rows.columns["mark_price"])
    for time, rate, mark in zip(*(column[-_RECENT:].tolist() for column in columns), strict=True):
        yield Settlement(time, Decimal(repr(rate)), Decimal(0) if math.isnan(mark) else Decimal(repr(mark)))


def _rate(settlement: Settlement) -> Rate:
    return Rate(settlement.time, float(settlement.rate), float(settlement.mark) or math.nan)
