"""A venue in memory that outlasts a program: it goes on where a journal ends, and forgets what is long over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any, cast

from itb.live.gateways.matching import MatchingEngine
from itb.live.gateways.port import VenueOrder, VenueStatus
from itb.live.orders.book import Book
from itb.live.orders.state import OrderState
from itb.market.costs import Costs
from itb.market.instrument import Instrument


class LastingVenue(MatchingEngine):
    """A matching engine of one paper account over many lives of the program.

    Parameters
    ----------
    instruments, balances, costs
        See :class:`itb.live.gateways.matching.MatchingEngine`, as for all other options.
    keep
        How many orders and executions stay in memory at least, the newest ones and all that are open (0 = all).
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, Decimal],
        costs: Costs | None = None,
        *,
        keep: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(instruments, balances, costs, **options)
        self.keep = keep

    def remember(self, book: Book, until: int, last_trade: int) -> None:
        """Take up what an earlier life did, as its journal says.

        ``until`` is the time of the journal's newest event, ``last_trade`` the highest number of an execution. What was
        on its way when that life ended arrived: nobody else can say.
        """
        self.now = until
        self.totals.update(book.balances)
        arrived = [order for order in book.orders.values() if order.order_id]
        self._order_ids = count(1 + max((int(order.order_id) for order in arrived), default=0))
        doubtful = [replace(o, order_id=str(next(self._order_ids))) for o in book.unsettled() if o.is_doubtful]
        ids = {order.intent.key: order.order_id for order in (*arrived, *doubtful)}
        for order in (*arrived, *doubtful):
            twin = ids.get(order.intent.pair, "")
            self._take_up(_venue_order(order), twin, reduces=order.intent.reduces)
        self.trades = sorted((t for o in arrived for t in o.fills), key=lambda trade: int(trade.trade_id))
        self._trade_ids = count(1 + last_trade)

    def let_go(self) -> None:
        """Forget what ended long ago."""
        if not self.keep:
            return
        if len(self.trades) >= 2 * self.keep:
            del self.trades[: -self.keep]
        if len(self.orders) < 2 * self.keep + len(self.open):
            return
        for order_id in list(self.orders)[: -self.keep]:
            if order_id not in self.open:
                order = self.orders.pop(order_id)
                self._forget(order_id)
                if self._by_client.get(order.client_id) == order_id:
                    del self._by_client[order.client_id]

    def _take_up(self, order: VenueOrder, twin: str, *, reduces: bool) -> None:
        self.orders[order.order_id] = order
        self._by_client[order.client_id] = order.order_id
        del reduces
        if not order.is_open:
            return
        self.open[order.order_id] = None
        if order.kind == "limit":
            self._makers.add(order.order_id)
        if twin in self.open:
            self.link(twin, order.order_id)
        else:
            self._lock(order, order.price or order.stop_price or Decimal(0))

    def _forget(self, order_id: str) -> None:
        self._makers.discard(order_id)
        self._twins.pop(order_id, None)


def bar_after(newest: int, bar_ms: int) -> int:
    """Give the open time of the bar to go on with after a journal's newest event.

    >>> bar_after(120_000, 60_000), bar_after(120_001, 60_000)
    (60000, 120000)
    """
    return (newest - 1) // bar_ms * bar_ms


def _venue_order(order: OrderState) -> VenueOrder:
    intent = order.intent
    status: VenueStatus = "open" if order.is_doubtful else cast("VenueStatus", order.phase.value)
    return VenueOrder(
        order.client_id, order.order_id, intent.symbol, intent.side, intent.kind, intent.qty, order.filled, status,
        intent.price, intent.stop_price, order.sent_at,
    )  # fmt: skip
