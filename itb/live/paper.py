"""Paper trading on bars: a venue that goes on where the journal ends, and how a bar passes there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.gateways.bar_perpetuals import BarPerpetuals
from itb.live.gateways.lasting import bar_after
from itb.live.gateways.matching import PriceBar
from itb.live.gateways.port import Due, Funding
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


async def live_bar(dealer: Dealer, gateway: BarPaper, bars: Mapping[str, Bar]) -> None:
    """Let the bars of one timestamp pass; stops and targets of entries at their open work within them.

    Call it once the decisions on the bars before have left (:meth:`itb.live.dealer.Dealer.settle`), and before the
    strategies get the step. When it returns, all that the bar did is in the journal.
    """
    prices = {symbol: price_bar(bar) for symbol, bar in bars.items()}
    gateway.open(prices)
    collect(dealer, gateway)
    while await _hear(dealer, gateway.begin_bar(prices)):  # parts of large orders follow each other at the open
        pass
    await _hear(dealer, gateway.end_bar(prices))


def collect(dealer: Dealer, gateway: BarPaper) -> None:
    """Book what holders of perpetuals owe one another, as far as it is published; the journal remembers the rest.

    Nothing is asked and nothing waited for: call it whenever rates have come.
    """
    venue, rates, book = gateway.engine, gateway.rates, dealer.book
    if rates is None or not isinstance(venue, BarPerpetuals):
        return
    before = {name: owed.due for name, owed in book.owed.items()}
    new = {due.name: due for due in gateway.dues if due.name not in book.fundings}
    owed, paid, waived = list[Due](), list[Funding](), list[str]()
    for due in (before | new).values():
        rate = rates.due(due.symbol, due.since, due.until)
        payment = None if rate is None else venue.payment(due, rate)
        if rate is None:
            owed.append(due)
        elif payment is not None:
            paid.append(payment)
        elif due.name in before:
            waived.append(due.name)
    if not owed and not paid and not waived:
        gateway.dues.clear()
        return
    dealer.fund(paid, owed=owed, waived=waived)
    if not dealer.broken:  # else it is told once more when the journal can be written again
        gateway.dues.clear()
        venue.charge(dealer.book.fundings.values())


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
