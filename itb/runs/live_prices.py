"""Prices between bars: what fills a paper account as they are made, and what shows that a watched target is reached."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.errors import ConfigError, GatewayError
from itb.live.dealer import Dealer
from itb.live.gateways.ccxt_news import PriceKind, follow_prices
from itb.live.gateways.ccxt_words import Quote
from itb.live.gateways.lasting import LastingVenue
from itb.live.gateways.paper import QuotePaper
from itb.live.journal.store import Journal
from itb.live.orders.machine import KEPT, Machine
from itb.live.paper import take_up
from itb.live.run.account import Account
from itb.live.run.rates import published_by
from itb.live.run.silence import Silence
from itb.runs.live_parts import limits_of, paper_account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from itb.config import Config
    from itb.live.bars.barrier import Step
    from itb.live.gateways.ccxt_line import Line
    from itb.live.run.engine import Engine
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument
    from itb.runs.live import Launch

_PULSE_S = 0.05
_LOOK_S = 1.0
_STREAMS: dict[PriceKind, str] = {"trades": "watchTrades", "book": "watchBidsAsks"}
_WORDS: dict[PriceKind, str] = {"trades": "trades", "book": "bids and asks"}


def check_prices(config: Config, launch: Launch) -> None:
    """Refuse prices between bars where paper can have none, before anything is learned.

    Raises :class:`itb.errors.ConfigError`.
    """
    if config.live.prices == "bars" or not launch.is_paper:
        return
    told = ""
    if launch.rehearsal is not None and launch.rehearsal.speed in {"max", "lockstep"}:
        told = f'market time that runs by "{launch.rehearsal.speed}" has no pace: use "bars", or a --speed in numbers'
    elif any(":" in symbol for symbol in config.data.symbols):
        told = 'perpetuals are filled by bars on paper: use "bars"'
    if told:
        raise ConfigError(config.complaint(("live", "prices"), told))


def main_paper(
    config: Config,
    cash: Decimal,
    instruments: Mapping[str, Instrument],
    histories: Mapping[str, Bars],
    file: Path | str,
    *,
    rates: object,
    clock: Callable[[], float],
) -> Account:
    """Make the main account on paper: by bars, or by prices as they are made, as ``live.prices`` says.

    ``clock`` is the market's time in milliseconds.
    """
    if config.live.prices == "bars":
        return paper_account(config, "main", cash, instruments, histories, file, rates=published_by(rates))
    balances = {one.base: Decimal(0) for one in instruments.values()}
    balances |= {one.quote: cash for one in instruments.values()}
    # Bid and ask hold the spread already; and an order meets no price that was there before it.
    costs = replace(config.costs, spread_bps=0.0) if config.live.prices == "book" else config.costs
    venue = LastingVenue(
        tuple(instruments.values()), balances, costs, latency_ms=max(1, config.live.latency.ms), keep=KEPT
    )
    for symbol, bars in histories.items():
        close = Decimal(repr(float(bars.close[-1])))
        venue.quote(symbol, close)
    journal = Journal(file)
    if take_up(venue, journal) is None:
        venue.now = int(clock())
    paper = QuotePaper(venue, lambda: int(clock()))
    machine = Machine(limits_of(config), instruments=dict(instruments))
    dealer = Dealer(
        paper, journal, owner=config.live.name, clock=lambda: int(clock()), machine=machine,
        drift_policy=config.live.drift,
    )  # fmt: skip
    return Account("main", dealer, pulse_s=_PULSE_S)


def watch_prices(
    config: Config, line: Line, engine: Engine, *, now: Callable[[], float] = time.monotonic
) -> list[asyncio.Task[None]]:
    """Follow prices for the main account where ``live.prices`` asks for them; nothing to do on bars.

    Of a market whose stream is silent the board hears, and the closes of its bars are heard before anybody decides.
    ``now`` is that of :class:`itb.live.run.silence.Silence`.
    """
    kind = config.live.prices
    if kind == "bars":
        return []
    account = engine.accounts[0]
    silence = Silence(config.data.symbols, _WORDS[kind], config.live.silence.ms / 1000, engine.board, now)
    half = Decimal(repr(config.costs.spread_bps)) / 20_000 if kind == "book" else Decimal(0)

    async def by_closes(step: Step) -> None:
        for symbol, bar in step.bars.items():
            if silence.of(symbol) and not step.is_late:
                close = Decimal(repr(bar.close))
                hear(account, symbol, Quote(close * (1 - half), close * (1 + half), bar.open_time))

    def heard(symbol: str, quote: Quote) -> None:
        silence.heard(symbol)
        hear(account, symbol, quote)

    engine.listeners.before.append(by_closes)
    return [
        asyncio.create_task(_watch(config, line, kind, heard), name="prices"),
        asyncio.create_task(_listen(silence), name="silence of prices"),
    ]


async def _watch(config: Config, line: Line, kind: PriceKind, heard: Callable[[str, Quote], None]) -> None:
    if not line.client.has.get(_STREAMS[kind]):
        raise GatewayError(f'{line.traits.name} streams no {kind}: set live.prices = "bars", or the other stream')
    await follow_prices(line, config.data.symbols, kind, heard)


async def _listen(silence: Silence) -> None:
    while True:
        silence.look()
        await asyncio.sleep(_LOOK_S)


def hear(account: Account, symbol: str, quote: Quote) -> None:
    """Let a price fill what rests on paper, and judge targets that are watched."""
    dealer = account.dealer
    if isinstance(dealer.gateway, QuotePaper):
        changed = dealer.gateway.hear(symbol, quote.bid, quote.ask)
        if changed:
            account.hear_news(orders=changed.orders, trades=changed.trades)
    if dealer.touch(symbol, quote.bid, quote.ask):
        account.hurry()
