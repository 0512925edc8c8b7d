"""A venue that sees bars only and fills as a backtest does: at the open, then inside of the bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from itb.live.gateways.lasting import LastingVenue
from itb.live.gateways.matching import PriceBar
from itb.live.gateways.port import OrderRequest, VenueOrder
from itb.market.costs import Costs
from itb.market.instrument import Instrument


class BarVenue(LastingVenue):
    """Executes orders by the price model of :class:`itb.engine.venue_broker.VenueBroker`, in its own floats.

    A bar passes in two parts, so that whoever trades can protect an entry within its bar: :meth:`begin_bar` fills
    market orders at the open and what rests to make a position larger, :meth:`end_bar` what makes it smaller. An order
    meets bars that close after it arrived. So a bar that passes twice, after a restart, does nothing the second time.

    Parameters
    ----------
    instruments, balances, costs
        See :class:`itb.live.gateways.matching.MatchingEngine`.
    bar_ms
        Length of a bar.
    keep
        How many orders and executions stay in memory at least, the newest ones and all that are open (0 = all).
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, Decimal],
        costs: Costs | None = None,
        *,
        bar_ms: int,
        keep: int = 0,
    ) -> None:
        super().__init__(instruments, balances, costs, matching="next_open", keep=keep)
        self.bar_ms = bar_ms
        self._costs = costs or Costs()
        self._reducing: set[str] = set()
        self._volume = 0.0
        self._takes = True

    def submit(self, request: OrderRequest) -> VenueOrder:
        """Take an order or raise :class:`~itb.live.gateways.matching.VenueRefusal`."""
        order = super().submit(request)
        if request.reduces:
            self._reducing.add(order.order_id)
        return order

    def _take_up(self, order: VenueOrder, twin: str, *, reduces: bool) -> None:
        super()._take_up(order, twin, reduces=reduces)
        if reduces:
            self._reducing.add(order.order_id)

    def _forget(self, order_id: str) -> None:
        super()._forget(order_id)
        self._reducing.discard(order_id)

    def quote(self, symbol: str, bid: Decimal, ask: Decimal | None = None) -> None:
        """Take note of a price that nothing is executed at."""
        del ask
        self.prices[symbol] = bid

    def begin_bar(self, symbol: str, bar: PriceBar) -> None:
        """Let a bar open: market orders fill at its open, resting entries where it takes them."""
        self.now = max(self.now, bar.time + 1)  # not the moment of its open: decisions on the bar before are older
        self._volume = float(bar.volume)
        for order in self._waiting(symbol, bar):
            if order.kind == "market":
                self._execute(order, bar, bar.open)
        self.prices[symbol] = bar.open
        for order in self._waiting(symbol, bar):
            if order.kind != "market" and order.order_id not in self._reducing:
                self._try(order, bar, bar.open)

    def end_bar(self, symbol: str, bar: PriceBar) -> None:
        """Let the rest of a bar pass: stops first, then targets; what was placed within it begins where it was."""
        for kind in ("stop", "stop_limit", "limit"):
            for order in self._waiting(symbol, bar):
                if order.kind == kind:
                    is_new = order.created_at > bar.time
                    self._try(order, bar, self.prices[symbol] if is_new else bar.open)
        self.prices[symbol] = bar.close
        self.now = max(self.now, bar.time + self.bar_ms)

    def _waiting(self, symbol: str, bar: PriceBar) -> list[VenueOrder]:
        orders = (self.orders[order_id] for order_id in self.open)
        return [order for order in orders if order.symbol == symbol and order.created_at < bar.time + self.bar_ms]

    def _try(self, order: VenueOrder, bar: PriceBar, start: Decimal) -> None:
        """Execute a resting order where a bar that begins at ``start`` takes it."""
        is_buy = order.side == "buy"
        sign = 1 if is_buy else -1
        price, limit = order.stop_price, order.price
        if price is not None:
            if sign * (start - price) >= 0:
                price = start
            elif sign * ((bar.high if is_buy else bar.low) - price) < 0:
                return
            if limit is None:
                self._execute(order, bar, price)
            elif sign * (limit - price) >= 0:
                self._execute(order, bar, price, limit=limit)
            return
        assert limit is not None
        if sign * (limit - start) >= 0:
            is_late = order.created_at >= bar.time and order.order_id not in self._reducing
            self._execute(order, bar, start, limit=limit, takes=is_late)
        elif sign * (limit - (bar.low if is_buy else bar.high)) >= 0:
            self._execute(order, bar, limit, limit=limit, takes=False)

    def _execute(
        self, order: VenueOrder, bar: PriceBar, price: Decimal, *, limit: Decimal | None = None, takes: bool = True
    ) -> None:
        slipped = self._slipped(price, order) if takes else price
        if limit is not None:
            slipped = min(slipped, limit) if order.side == "buy" else max(slipped, limit)
        self._takes = takes
        now, self.now = self.now, bar.time  # executions bear their bar's time
        self.fill(order.order_id, order.qty - order.filled, slipped)
        self.now = now

    def _slipped(self, price: Decimal, order: VenueOrder) -> Decimal:
        share = 1.0
        if self._costs.impact_bps and self._volume > 0:
            share = float(order.qty - order.filled) / self._volume
        slippage = self._costs.slippage(share)
        slipped = float(price) * (1 + slippage if order.side == "buy" else 1 - slippage)
        return Decimal(repr(slipped))

    def _is_maker(self, order: VenueOrder) -> bool:
        del order
        return not self._takes

    def _lock(self, order: VenueOrder, last: Decimal) -> None:
        if order.kind != "market" or order.side == "sell":  # a purchase is paid for at a price that nobody knows yet
            super()._lock(order, last)

    def _refuse_trigger(self, request: OrderRequest, last: Decimal) -> None:
        """Take stops that the market is beyond: a bar tells when they trigger."""
