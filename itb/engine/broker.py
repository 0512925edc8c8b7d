"""backtrader's own broker without its per-bar and per-order overhead: bit-equal to the stock one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import backtrader as bt
from backtrader.brokers.bbroker import BackBroker
from backtrader.order import BuyOrder, SellOrder

from itb.engine.orders import LightBuy, LightSell, make_order

_DEFAULTS = {"exectype": None, "valid": None, "tradeid": 0, "parent": None, "transmit": True}
_STOCK_ONLY = ("trailamount", "trailpercent", "histnotify")


class Execution(NamedTuple):
    """One execution and the account right after it; ``bar`` counts from 0, ``order_id`` from 1 in a run.

    ``symbol`` is the name of the feed whose bars ``bar`` counts; ``cash`` and ``fee_account`` are of the whole account.
    """

    bar: int
    order_id: int
    qty: float
    price: float
    fee: float
    fee_quote: float
    reason: str
    cash: float
    position: float
    position_price: float
    market_price: float  # before slippage
    fee_account: float = 0.0
    symbol: str = ""


class LeanBroker(BackBroker):
    """The stock broker, bit for bit, at a fraction of its cost, with a log of executions.

    Skipped where they cannot have an effect: interest and date arithmetic on every bar (no commission scheme charges
    interest and all are stock-like), the metaclass work of order objects (no trailing, no ``valid``).
    """

    def start(self) -> None:
        super().start()
        self.log: list[Execution] = []
        self.fee_account = 0.0
        self.market_price = math.nan  # of the last fill, before slippage
        self.sent: list[Any] = []
        self._first_ref: int | None = None
        self._lean = not (self._userhist or self._fundhist) and not any(
            info.p.interest or not info.stocklike for info in self.comminfo.values()
        )

    def forget(self) -> None:
        """Let go of every order of a finished run: thousands of them slow each later collection of garbage."""
        for kept in (self.sent, self.orders, self.log, self._ocos, self._ocol, self._pchildren):
            kept.clear()

    @property
    def is_lean(self) -> bool:
        """Whether nothing in this run needs the stock broker's work on every bar."""
        return bool(self._lean and self.p.filler is None)

    def order_id(self, order: Any) -> int:
        """Count of the order within this run, from 1 (backtrader's ``ref`` counts over the whole process)."""
        if self._first_ref is None:
            self._first_ref = order.ref
        return int(order.ref - self._first_ref) + 1

    def next(self) -> None:
        """Work the queue of orders for one bar."""
        if not self._lean:
            super().next()
            return
        while self._toactivate:
            self._toactivate.popleft().activate()
        if self.submitted and self.p.checksubmit:
            self.check_submitted()
        if self.pending:
            self._work_pending()
        self._get_value()

    def _work_pending(self) -> None:
        pending = self.pending
        pending.append(None)
        while (order := pending.popleft()) is not None:
            if order.expire():
                self.notify(order)
                self._ococheck(order)
                self._bracketize(order, cancel=True)
            elif not order.active():
                pending.append(order)
            else:
                self._try_exec(order)
                if order.alive():
                    pending.append(order)
                elif order.status == bt.Order.Completed:
                    self._bracketize(order)

    def _execute(self, order: Any, ago: Any = None, price: Any = None, *args: Any, **kwargs: Any) -> Any:
        before = len(order.executed.exbits)
        result = super()._execute(order, ago, price, *args, **kwargs)
        if ago is not None and len(order.executed.exbits) > before:
            bit = order.executed.exbits[-1]
            self._record(order, bit.size, bit.price, bit.comm, bit.comm)
        return result

    def _record(self, order: Any, qty: float, price: float, fee: float, fee_quote: float) -> None:
        position = self.positions[order.data]
        order.executed.exbits[-1].execution = execution = Execution(
            bar=len(order.data) - 1,
            order_id=self.order_id(order),
            qty=qty,
            price=price,
            fee=fee,
            fee_quote=fee_quote,
            reason=order.info.get("reason", "user") if order.info else "user",
            cash=self.cash,
            position=position.size,
            position_price=position.price,
            market_price=price if math.isnan(self.market_price) else self.market_price,
            fee_account=self.fee_account,
            symbol=order.data._name,
        )
        self.log.append(execution)

    def buy(  # type: ignore[override]  # the rest of the arguments passes through by name
        self, owner: Any, data: Any, size: Any, price: Any = None, plimit: Any = None, **kwargs: Any
    ) -> Any:
        """Queue a buy order; arguments as in backtrader, and ``replaces``: an order that it takes the place of."""
        return self._queue(LightBuy, BuyOrder, owner, data, size, price, plimit, **kwargs)

    def sell(  # type: ignore[override]  # as above
        self, owner: Any, data: Any, size: Any, price: Any = None, plimit: Any = None, **kwargs: Any
    ) -> Any:
        """Queue a sell order; arguments as in backtrader, and ``replaces``: an order that it takes the place of."""
        return self._queue(LightSell, SellOrder, owner, data, size, price, plimit, **kwargs)

    def _queue(
        self, light: Any, stock: Any, owner: Any, data: Any, size: Any, price: Any, plimit: Any, **asked: Any
    ) -> Any:
        fields = {"owner": owner, "data": data, "size": size, "price": price, "pricelimit": plimit}
        fields |= {name: asked.pop(name, default) for name, default in _DEFAULTS.items()}
        special = {name: asked.pop(name) for name in _STOCK_ONLY if name in asked}
        oco, check, replaced = asked.pop("oco", None), asked.pop("_checksubmit", True), asked.pop("replaces", None)
        if replaced is not None:
            self.cancel(replaced)
        if fields["valid"] is None and not any(value is not None and value is not False for value in special.values()):
            order = make_order(light, fields)
        else:
            order = stock(**fields, **special)
        self.order_id(order)
        self.sent.append(order)
        if asked:
            order.addinfo(**asked)
        self._ocoize(order, oco)
        return self.submit(order, check=check)
