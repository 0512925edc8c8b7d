"""backtrader's own orders of one life: made, executed and ended as the journal says, and what is told of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import backtrader as bt
from backtrader.order import BuyOrder, SellOrder

from itb.engine.broker import Execution
from itb.engine.orders import LightBuy, LightSell, make_order
from itb.engine.venue import Rejection

if TYPE_CHECKING:
    from itb.engine.venue import Venue
    from itb.live.host.broker_account import Booked, Subaccount
    from itb.live.orders.intent import Intent
    from itb.market.fills import Fill

KINDS = {
    None: "market",
    bt.Order.Market: "market",
    bt.Order.Limit: "limit",
    bt.Order.Stop: "stop",
    bt.Order.StopLimit: "stop_limit",
}
_EXECTYPES = {kind: exectype for exectype, kind in KINDS.items() if exectype is not None}
_DEFAULTS = {"exectype": None, "valid": None, "tradeid": 0, "parent": None, "transmit": True}


class Orders:
    """Makes orders and writes on them; each change is kept as a notice for the strategy.

    With ``keep`` only the newest of what was sent, executed and refused stay.
    """

    def __init__(self, broker: bt.BrokerBase, venues: Mapping[str, Venue], keep: int = 0) -> None:
        self._broker, self._venues = broker, venues
        self.sent: deque[Any] = deque(maxlen=keep or None)
        self.log: deque[Execution] = deque(maxlen=keep or None)
        self.rejected: deque[Rejection] = deque(maxlen=keep or None)
        self.notices: deque[Any] = deque()
        self._numbers: dict[int, int] = {}
        self._numbered, self._keep = 0, keep

    def number(self, order: Any) -> int:
        """Count of the order within this life, from 1."""
        found = self._numbers.get(order.ref)
        if found is None:
            found = self._numbers[order.ref] = self._numbered = self._numbered + 1
            if self._keep and len(self._numbers) > 2 * self._keep:
                del self._numbers[next(iter(self._numbers))]
        return found

    def make(
        self, owner: Any, data: Any, size: float, price: float | None = None, plimit: float | None = None, **asked: Any
    ) -> Any:
        """Make an order over a signed size, rounded as the venue wants it."""
        venue, is_buy = self._venues[data.bars.symbol], size > 0
        light, stock = (LightBuy, BuyOrder) if is_buy else (LightSell, SellOrder)
        fields = {
            "owner": owner,
            "data": data,
            "size": venue.quantise(abs(size)),
            "price": None if price is None else venue.quantise_price(price, is_buy=is_buy),
            "pricelimit": None if plimit is None else venue.quantise_price(plimit, is_buy=is_buy),
        }
        fields |= {name: asked.pop(name, default) for name, default in _DEFAULTS.items()}
        order = make_order(light, fields) if fields["valid"] is None else stock(**fields)
        self.number(order)
        self.sent.append(order)
        if asked:
            order.addinfo(**asked)
        order.submit(self._broker)
        return order

    def made_of(self, intent: Intent, left: Decimal, data: Any) -> Any:
        """Make the order that stands for an intent, for what is left of it."""
        price = intent.stop_price or intent.price
        limit = intent.price if intent.kind == "stop_limit" else None
        return self.make(
            None, data, intent.sign * float(left), _number(price), _number(limit), exectype=_EXECTYPES[intent.kind],
            reason=intent.reason, since=intent.bar_time,
        )  # fmt: skip

    def accept(self, order: Any) -> None:
        """Say that the venue has it."""
        if order.status == bt.Order.Submitted:
            order.accept(self._broker)
            self.notify(order)

    def execute(self, order: Any, booked: Booked, account: Subaccount, *, is_last: bool) -> None:
        """Write an execution on it."""
        fill, net = booked.fill, booked.net
        position = account.positions[fill.symbol]
        left = 0.0 if is_last else order.executed.remsize - fill.qty
        order.executed.remsize = left + net  # a fee in base makes what arrives smaller than what was executed
        order.execute(
            order.data.datetime[0], net, booked.net_price, booked.closed, -booked.closed * booked.cost_price,
            booked.closed_fee, booked.opened, booked.opened * booked.net_price, booked.opened_fee, None, booked.pnl,
            position.size, position.price,
        )  # fmt: skip
        order.addcomminfo(self._broker.getcommissioninfo(order.data))
        execution = Execution(
            bar=fill.bar, order_id=self.number(order), qty=fill.qty, price=fill.price, fee=fill.fee,
            fee_quote=fill.fee_quote, reason=fill.reason, cash=account.cash, position=position.size,
            position_price=position.price, market_price=fill.price, fee_account=account.fee_account,
        )  # fmt: skip
        order.executed.exbits[-1].execution = execution
        self.log.append(execution)
        self.notify(order)

    def fund(self, fill: Fill, account: Subaccount) -> None:
        """Write down a payment between holders, which no order is for."""
        position = account.positions[fill.symbol]
        self.log.append(Execution(
            bar=fill.bar, order_id=0, qty=0.0, price=fill.price, fee=fill.fee, fee_quote=fill.fee_quote,
            reason=fill.reason, cash=account.cash, position=position.size, position_price=position.price,
            market_price=fill.price, fee_account=account.fee_account,
        ))  # fmt: skip

    def refuse(self, order: Any, why: str, *, is_unpaid: bool = False) -> None:
        """End it as rejected, or as one that the account cannot pay for; what was refused is kept."""
        if is_unpaid:
            order.margin()
        else:
            order.reject()
        order.addinfo(refusal=why)
        reason = order.info.get("reason", "user")
        self.rejected.append(Rejection(len(order.data) - 1, abs(order.size), order.created.price, why, reason))
        self.notify(order)

    def end(self, order: Any, *, is_expired: bool = False) -> None:
        """End it as cancelled, or as expired."""
        if is_expired:
            order.status = bt.Order.Expired
        else:
            order.cancel()
        self.notify(order)

    def notify(self, order: Any) -> None:
        """Keep a notice for the strategy."""
        self.notices.append(order.clone())


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
