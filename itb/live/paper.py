"""Paper trading on bars: a venue that goes on where the journal ends, and how a bar passes there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.gateways.matching import PriceBar
from itb.live.journal import checkpoint
from itb.live.orders.book import Book

if TYPE_CHECKING:
    from itb.live.bars.bar import Bar
    from itb.live.dealer import Dealer
    from itb.live.gateways.bar_venue import BarVenue
    from itb.live.gateways.lasting import LastingVenue
    from itb.live.gateways.paper import BarPaper, Changed
    from itb.live.journal.store import Journal


def resume(venue: BarVenue, journal: Journal) -> int | None:
    """Let the venue go on where the journal ends; give the open time of the bar to go on with, ``None`` for a new one.

    From that bar on, bars pass at the venue and are given to the strategies; those before are history. What the bar did
    already it does not do again, and a decision that the journal has is not taken again.
    """
    newest = take_up(venue, journal)
    return None if newest is None else bar_after(newest, venue.bar_ms)


def take_up(venue: LastingVenue, journal: Journal) -> int | None:
    """Let the venue go on where the journal ends; give the time of its newest event, ``None`` for a new one."""
    newest = journal.newest()
    if newest is None:
        return None
    book = Book(keep=venue.keep)
    number, _ = checkpoint.load(journal, book)
    venue.remember(book.replay(journal.events(after=number)), newest.time, journal.last_trade())
    return newest.time


def bar_after(newest: int, bar_ms: int) -> int:
    """Give the open time of the bar to go on with after a journal's newest event.

    >>> bar_after(120_000, 60_000), bar_after(120_001, 60_000)
    (60000, 120000)
    """
    return (newest - 1) // bar_ms * bar_ms


async def live_bar(dealer: Dealer, gateway: BarPaper, bars: Mapping[str, Bar]) -> None:
    """Let the bars of one timestamp pass; stops and targets of entries at their open work within them.

    Call it once the decisions on the bars before have left (:meth:`itb.live.dealer.Dealer.settle`), and before the
    strategies get the step. When it returns, all that the bar did is in the journal.
    """
    prices = {symbol: price_bar(bar) for symbol, bar in bars.items()}
    dealer.fund(await gateway.settle(prices))
    while await _hear(dealer, gateway.begin_bar(prices)):  # parts of large orders follow each other at the open
        pass
    await _hear(dealer, gateway.end_bar(prices))


async def _hear(dealer: Dealer, changed: Changed) -> bool:
    if changed:
        dealer.tell(orders=changed.orders, trades=changed.trades)
        await dealer.settle()
    return bool(changed)


def price_bar(bar: Bar) -> PriceBar:
    """Give a bar in exact decimals.

    >>> from itb.live.bars.bar import Bar
    >>> price_bar(Bar(0, (0.1, 0.3, 0.1, 0.2, 7.0))).high
    Decimal('0.3')
    """
    return PriceBar(bar.open_time, *(Decimal(repr(value)) for value in bar.values[:5]))
