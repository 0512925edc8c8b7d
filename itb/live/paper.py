"""Let a bar pass at the paper venue, as far as the dealer must hear of it in between."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.gateways.matching import PriceBar

if TYPE_CHECKING:
    from itb.live.bars.bar import Bar
    from itb.live.dealer import Dealer
    from itb.live.gateways.paper import BarPaper


async def live_bar(dealer: Dealer, gateway: BarPaper, bars: Mapping[str, Bar]) -> None:
    """Let the bars of one timestamp pass; stops and targets of entries at their open work within them.

    Call it once the decisions on the bars before have left (:meth:`itb.live.dealer.Dealer.settle`), and before the
    strategies get the step. When it returns, all that the bar did is in the journal.
    """
    prices = {symbol: price_bar(bar) for symbol, bar in bars.items()}
    for part in (gateway.begin_bar, gateway.end_bar):
        changed = part(prices)
        if changed:
            dealer.tell(orders=changed.orders, trades=changed.trades)
            await dealer.settle()


def price_bar(bar: Bar) -> PriceBar:
    """Give a bar in exact decimals.

    >>> from itb.live.bars.bar import Bar
    >>> price_bar(Bar(0, (0.1, 0.3, 0.1, 0.2, 7.0))).high
    Decimal('0.3')
    """
    return PriceBar(bar.open_time, *(Decimal(repr(value)) for value in bar.values[:5]))
