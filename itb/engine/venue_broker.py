"""The broker of every itb backtest: backtrader's arithmetic under a venue's rules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import backtrader as bt

from itb.engine.broker import Execution, LeanBroker
from itb.engine.shields import Shields
from itb.engine.venue import Rejection, Venue

_RESTING = (bt.Order.Limit, bt.Order.StopLimit)


class FractionalCoins(bt.CommInfoBase):
    """Let ``order_target_percent`` and its kin ask for parts of a coin; the stock scheme gives whole ones."""

    def getsize(self, price: float, cash: float) -> float:
        """Say how much ``cash`` buys; the venue floors it to the step."""
        return float(self.p.leverage * cash / price)


class VenueBroker(LeanBroker):
    """Fill orders by a :class:`itb.engine.venue.Venue`.

    With costs in quote, no filters and no protection its cash and values are bit-equal to the stock broker's
    (``set_checksubmit(False)``, ``set_slippage_perc(s, slip_out=True)``). On top of it:

    * inside a bar, market orders fill at the open first, then orders that rest, then protective legs;
    * an entry sent with ``protect=Protection(...)`` gets its stop and target the moment it fills: they work in the
      entry bar too, and end with the position;
    * quantities are floored to the step, too small orders refused, and everything refused is kept in ``rejected``;
    * a limit order that the market is already beyond when it arrives takes: it slips, up to its limit, and pays the
      taker fee, as does a stop-limit order that fills at its trigger;
    * a bar that touches both legs is recorded in ``shields.ambiguous``.

    With several feeds all trade one account. ``venues`` gives terms by the name of the feed, ``venue`` those of any
    other. Market orders of all feeds fill first, in the order in which they were sent; an order of a feed that has no
    bar at a step waits for its next one. A short is backed by free equity of its own worth whatever else is held.
    """

    params: Any = (
        ("venue", Venue()),
        ("venues", {}),
        ("checksubmit", False),
        ("commission", FractionalCoins(percabs=True)),
    )

    def start(self) -> None:
        super().start()
        for data in self.cerebro.datas:  # values are summed in the order of the feeds, whoever asks for one first
            _ = self.positions[data]
        self.venue: Venue = self.p.venue
        self._venues: Mapping[str, Venue] = self.p.venues
        self.is_funded = any(venue.funding for venue in (self.venue, *self._venues.values()))
        self.rejected: list[Rejection] = []
        self.shields = Shields(self)
        self._stale: list[Any] = []
        self._costs = self.venue.costs  # of the order that is tried
        self._share = 0.0
        self._crossing = math.nan  # the limit of an order that takes if it fills at the market's price
        self._took = False

    def venue_of(self, data: Any) -> Venue:
        """Give the terms that orders of a feed are filled on."""
        return self._venues.get(data._name, self.venue) if self._venues else self.venue

    # -- orders coming in

    def _queue(
        self, light: Any, stock: Any, owner: Any, data: Any, size: Any, price: Any, plimit: Any, **kw: Any
    ) -> Any:
        venue = self.venue_of(data)
        is_buy = light.ordtype == bt.Order.Buy
        if venue.instrument is not None:
            size = venue.quantise(size)
            price = None if price is None else venue.quantise_price(price, is_buy=is_buy)
            plimit = None if plimit is None else venue.quantise_price(plimit, is_buy=is_buy)
        return super()._queue(light, stock, owner, data, size, price, plimit, **kw)

    def submit(self, order: Any, check: bool = True) -> Any:
        """Take an order, or refuse it as the venue would."""
        venue = self.venue_of(order.data)
        qty, price = abs(order.size), order.created.price
        why = "trading has not started" if len(order.data) - 1 < venue.trading_start else venue.refusal(qty, price)
        if why is None:
            return super().submit(order, check=check)
        order.submit()
        order.reject()
        self._refuse(order, qty, price, why)
        return order

    def _refuse(self, order: Any, qty: float, price: float, why: str) -> None:
        order.addinfo(refusal=why)
        reason = order.info.get("reason", "user")
        self.rejected.append(Rejection(len(order.data) - 1, qty, price, why, reason, order.data._name))
        self.notify(order)

    # -- one bar

    def next(self) -> None:
        """Settle funding, then fill what this bar fills."""
        self._stale = self._left_behind()
        if self.is_funded:
            self._settle_funding()
        while self._toactivate:
            self._toactivate.popleft().activate()
        if self.pending:
            self._work_pending()
        self._get_value()

    def _left_behind(self) -> list[Any]:
        """Name the feeds that have no bar of their own at this step."""
        datas = self.cerebro.datas
        if len(datas) < 2:
            return []
        now = max(data.datetime[0] for data in datas if len(data))
        return [data for data in datas if not len(data) or data.datetime[0] < now]

    def is_fresh(self, data: Any) -> bool:
        """Whether a feed has a bar of its own at this step."""
        return not any(data is stale for stale in self._stale)

    def _work_pending(self) -> None:
        pending: Any = self.pending
        waiting: list[Any] = [order for order in pending if not self.shields.holds(order) and self.is_fresh(order.data)]
        for order in sorted(waiting, key=lambda order: bool(order.exectype != bt.Order.Market)):
            if not order.alive() or not order.active():
                continue
            self.remove(order)  # before it fills: a filled order that is still queued would cancel itself
            if order.expire():
                self.notify(order)
                self._ococheck(order)
                self._bracketize(order, cancel=True)
                continue
            self._try_exec(order)
            if order.alive():
                self.pending.append(order)
            elif order.status == bt.Order.Completed:
                self._bracketize(order)
                self.shields.raise_for(order)
        self.shields.work()

    def remove(self, order: Any) -> None:
        """Take an order out of the queue, if it is there."""
        if order in self.pending:
            self.pending.remove(order)

    def fill_leg(self, order: Any, price: float) -> None:
        """Fill a protective leg at the market's ``price``: stops slip, targets do not."""
        self.remove(order)
        self._weigh(order)
        if order.exectype == bt.Order.Limit:
            self._execute(order, ago=0, price=price)
        else:
            slip = self._slip_up if order.isbuy() else self._slip_down
            self._execute(order, ago=0, price=slip(price, price))

    def _settle_funding(self) -> None:
        for data, position in self.positions.items():
            bar = len(data) - 1
            rate = self.venue_of(data).funding.get(bar)
            if rate is None or not position.size or not self.is_fresh(data):
                continue
            price = data.open[0]
            paid = rate * position.size * price
            self.cash -= paid
            settled = Execution(
                bar=bar, order_id=0, qty=0.0, price=price, fee=paid, fee_quote=paid, reason="funding",
                cash=self.cash, position=position.size, position_price=position.price, market_price=price,
                fee_account=self.fee_account, symbol=data._name,
            )  # fmt: skip
            self.log.append(settled)

    # -- prices

    def _try_exec(self, order: Any) -> None:
        self._weigh(order)
        if order.exectype == bt.Order.Limit and len(order.data) - order.plen == 1:
            self._crossing = order.created.price
        elif order.exectype == bt.Order.StopLimit and not order.triggered:
            self._crossing = order.created.pricelimit
        super()._try_exec(order)

    def _weigh(self, order: Any) -> None:
        self.market_price = self._crossing = math.nan
        self._took = False
        self._costs = self.venue_of(order.data).costs
        volume = order.data.volume[0] if self._costs.impact_bps else 0.0
        self._share = abs(order.executed.remsize) / volume if volume > 0 else 1.0

    def _try_exec_market(self, order: Any, popen: float, phigh: float, plow: float) -> None:
        if order.data.datetime[0] <= order.created.dt:
            return
        venue = self.venue_of(order.data)
        prices = venue.buy_price if order.isbuy() else venue.sell_price
        price = popen if prices is None else float(prices[len(order.data) - 1])
        slip = self._slip_up if order.isbuy() else self._slip_down
        self._execute(order, ago=0, price=slip(phigh if order.isbuy() else plow, price))

    def _slip_up(self, pmax: float, price: float, doslip: bool = True, lim: bool = False) -> float:  # noqa: ARG002
        self.market_price = price
        slipped = price * (1 + self._costs.slippage(self._share))
        return self._up_to_limit(price, min(slipped, self._crossing)) if lim else slipped

    def _slip_down(self, pmin: float, price: float, doslip: bool = True, lim: bool = False) -> float:  # noqa: ARG002
        self.market_price = price
        slipped = price * (1 - self._costs.slippage(self._share))
        return self._up_to_limit(price, max(slipped, self._crossing)) if lim else slipped

    def _up_to_limit(self, price: float, slipped: float) -> float:
        self._took = not math.isnan(self._crossing)
        return slipped if self._took else price

    # -- money

    def _backing(self, but: Any) -> float:
        """Cash that the shorts of other feeds lay claim to, at the last prices known before this moment."""
        worth = 0.0
        for data, position in self.positions.items():
            if position.size < 0 and data is not but:
                worth -= position.size * (data.open[0] if self.is_fresh(data) else data.close[0])
        return 2 * worth

    def _execute(self, order: Any, ago: Any = None, price: Any = None, *args: Any, **kwargs: Any) -> Any:
        if ago is None:
            return super()._execute(order, ago, price, *args, **kwargs)
        if price is None:
            return None
        costs = self.venue_of(order.data).costs
        rate = costs.maker_fee if order.exectype in _RESTING and not self._took else costs.taker_fee
        qty = order.executed.remsize
        in_base = costs.fee_currency == "base" and qty > 0
        # A fee taken in base: fewer coins arrive for the same money.
        net = qty * (1 - rate) if in_base else qty
        net_price = qty * price / net if in_base else price
        cash_rate = rate if costs.fee_currency == "quote" or (costs.fee_currency == "base" and qty < 0) else 0.0
        position = self.positions[order.data]
        cost_price = position.price
        size, _, opened, closed = position.pseudoupdate(net, net_price)
        # The order of operations is the stock broker's own: another order would move the last bit.
        cash = self.cash
        closed_fee = opened_fee = pnl = 0.0
        if closed:
            pnl = -closed * (net_price - cost_price)
            cash += -closed * cost_price + pnl
            closed_fee = abs(closed) * cash_rate * net_price
            cash -= closed_fee
        unpaid = 0.0
        if opened:
            opened_fee = abs(opened) * cash_rate * net_price
            left = cash - opened * net_price - opened_fee
            free = left + 2 * min(size, 0.0) * net_price  # a short is backed by equity of its own worth: 1x
            free -= self._backing(order.data)
            if free < 0.0:
                unpaid, opened, opened_fee = -free, 0.0, 0.0
            else:
                cash = left
        filled = closed + opened
        if filled:
            self.cash = cash
            size_after, price_after, _, _ = position.update(filled, net_price)
            if in_base and not unpaid:
                order.executed.remsize = filled
            order.execute(
                order.data.datetime[ago], filled, net_price, closed, -closed * cost_price, closed_fee,
                opened, opened * net_price, opened_fee, None, pnl, size_after, price_after,
            )  # fmt: skip
            order.addcomminfo(self.getcommissioninfo(order.data))
            gross = filled if not in_base else filled / (1 - rate) if unpaid else qty
            fee_quote = closed_fee + opened_fee if cash_rate else abs(gross) * rate * price
            if not cash_rate and not in_base:
                self.fee_account -= fee_quote
            self._record(order, gross, price, gross - filled if in_base else fee_quote, fee_quote)
            self.notify(order)
            self._ococheck(order)
        if unpaid:
            order.margin()
            why = f"{unpaid:.2f} short of the cash it needs at {net_price}" + (", shorts at 1x" if size < 0 else "")
            self._refuse(order, abs(qty), net_price, why)
            self._ococheck(order)
            self._bracketize(order, cancel=True)
        return None
