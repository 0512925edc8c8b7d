"""The live broker: what a strategy asks backtrader for becomes intents and plans; what the journal tells comes back."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.engine.orders import Protection
from itb.engine.venue import Venue
from itb.engine.venue_broker import FractionalCoins
from itb.live.door import Ask, Begin, Cancel, Close, Command, Failure, Reprice
from itb.live.host.broker_account import Allotment
from itb.live.host.broker_mirror import Mirror, Ticket
from itb.live.host.broker_orders import KINDS, Orders
from itb.live.orders.bracket import Bracket
from itb.live.orders.events import Event
from itb.live.orders.intent import Intent
from itb.live.orders.moves import leg_of, plan_key

if TYPE_CHECKING:
    from itb.engine.broker import Execution
    from itb.engine.venue import Rejection
    from itb.ledger.trades import TradeHistory
    from itb.live.door import Door
    from itb.live.host.feed import LiveFeed


class LiveBroker(bt.BrokerBase):
    """Offers strategies what the backtest's broker offers, and trades by the order machine.

    It lives in its strategy's thread. Orders leave by the ``door`` as commands, at the end of a decision that is known
    to be good; everything that it knows comes from :meth:`hear`, which takes the journal's events from any thread and
    keeps them until backtrader's next round. So a new life with the same journal knows the same.

    Parameters
    ----------
    allotment
        The strategy's part of the account; every symbol's venue has an instrument.
    door
        Takes commands.
    """

    params: Any = (("commission", FractionalCoins(percabs=True)),)

    def __init__(self, allotment: Allotment, door: Door) -> None:
        super().__init__()
        bare = [symbol for symbol, venue in allotment.venues.items() if venue.instrument is None]
        if bare:
            raise ValueError(f"{allotment.strategy}: {', '.join(bare)} must have an instrument to be traded live")
        self.allotment = allotment
        self._door = door
        self._heard: queue.SimpleQueue[Sequence[Event] | Failure] = queue.SimpleQueue()
        self.startingcash = self.startingvalue = float(allotment.cash)
        self.orders = Orders(self, allotment.venues)
        self.shields = LiveShields(self)
        self._staged: list[Command] | None = None
        self._is_alive = False

    # -- assembly

    def meet(self, feeds: Mapping[str, LiveFeed]) -> None:
        """Learn the feeds; the host calls it once, before anything else."""
        self._feeds = {feed.bars.symbol: feed for feed in feeds.values()}
        self.mirror = Mirror(self.allotment, self._feeds, self.orders)
        self._counts: dict[tuple[str, int], int] = {}

    def hear(self, events: Sequence[Event]) -> None:
        """Take events of the journal, from any thread."""
        self._heard.put(events)

    # -- what strategies and results ask

    @property
    def venue(self) -> Venue:
        """The terms of the (first) symbol."""
        return next(iter(self.allotment.venues.values()))

    @property
    def log(self) -> list[Execution]:
        """Executions of this life."""
        return self.orders.log

    @property
    def sent(self) -> list[Any]:
        """Orders of this life, backtrader's."""
        return self.orders.sent

    @property
    def rejected(self) -> list[Rejection]:
        """Orders of this life that were refused."""
        return self.orders.rejected

    def order_id(self, order: Any) -> int:
        """Count of the order within this life, from 1."""
        return self.orders.number(order)

    def venue_of(self, data: Any) -> Venue:
        """Give the terms of a feed's symbol."""
        return self.allotment.venues[data.bars.symbol]

    @property
    def history(self) -> TradeHistory | Mapping[str, TradeHistory]:
        """The strategy's trades, those of earlier lives too; one history for each symbol, where there are several."""
        histories = self.mirror.account.histories
        return histories if len(histories) > 1 else next(iter(histories.values()))

    def getcash(self) -> float:
        """Give the quote currency that is left of the allotment."""
        return self.mirror.account.cash

    def getvalue(self, datas: Any = None) -> float:
        """Give cash and positions at the last close, less fees owed elsewhere."""
        account = self.mirror.account
        feeds = self._feeds.values() if datas is None else datas
        held = ((feed, account.positions[feed.bars.symbol].size) for feed in feeds)
        worth: float = sum(size * feed.close[0] for feed, size in held if size)
        return account.cash + worth + account.fee_account

    def getposition(self, data: Any) -> Any:
        """Give the strategy's position in a feed's symbol."""
        return self.mirror.account.positions[data.bars.symbol]

    # -- staging: a decision's orders leave together or not at all

    def stage(self) -> None:
        """Keep back what is sent from now on."""
        self._staged = []

    def commit(self) -> None:
        """Let it go."""
        staged, self._staged = self._staged, None
        if staged:
            self._door(staged, self._heard.put)

    def withdraw(self) -> None:
        """Forget it; the orders end as cancelled."""
        staged, self._staged = self._staged or [], None
        for command in staged:
            self._drop(command, self.orders.end)

    def _send(self, command: Command) -> None:
        if self._staged is None:
            self._door((command,), self._heard.put)
        else:
            self._staged.append(command)

    def _drop(self, command: Command, end: Callable[[Any], None]) -> None:
        """End the order of a command that never reached the journal."""
        for ticket in [one for one in self.mirror.all_tickets() if one.command is command]:
            self.mirror.forget(ticket)
            if ticket.order.alive():
                end(ticket.order)
        if isinstance(command, Begin):
            self.mirror.plans.pop(command.plan.intent.symbol, None)

    # -- orders coming in

    def buy(  # type: ignore[override]  # the rest of the arguments passes through by name
        self, owner: Any, data: Any, size: Any, price: Any = None, plimit: Any = None, **kwargs: Any
    ) -> Any:
        """Want to buy; arguments as in backtrader, and ``protect`` and ``reason``."""
        return self._want(self.orders.make(owner, data, abs(size), price, plimit, **kwargs))

    def sell(  # type: ignore[override]  # as above
        self, owner: Any, data: Any, size: Any, price: Any = None, plimit: Any = None, **kwargs: Any
    ) -> Any:
        """Want to sell; arguments as in backtrader, and ``protect`` and ``reason``."""
        return self._want(self.orders.make(owner, data, -abs(size), price, plimit, **kwargs))

    def _want(self, order: Any) -> Any:
        if self._is_refused(order):
            return order
        ticket, reduces = Ticket(order), self._reduces(order)
        plan = self.mirror.plans.get(order.data.bars.symbol, "")
        if plan and reduces and order.exectype == bt.Order.Market:
            ticket.plan, ticket.role = plan, "exit"
            ticket.command = Close(plan, _reason(order))
        elif isinstance(order.info.get("protect"), Protection):
            ticket.command = self._protected(ticket, order.info["protect"])
        else:
            intent = self._intent(order, "order", reduces=reduces)
            ticket.key, ticket.command = intent.key, Ask(intent)
        if ticket.key in self.mirror.book.orders:
            self.orders.refuse(order, "this bar was decided on before, in an earlier life of the program")
            return order
        self._follow(ticket)
        self._send(ticket.command)
        return order

    def _follow(self, ticket: Ticket) -> None:
        mirror, command = self.mirror, ticket.command
        if isinstance(command, Close):
            mirror.exits[ticket.plan] = ticket
        else:
            mirror.tickets[ticket.key] = ticket
        if isinstance(command, Begin):
            mirror.plans[command.plan.intent.symbol] = plan_key(command.plan)

    def _is_refused(self, order: Any) -> bool:
        why = self.venue_of(order.data).refusal(abs(order.size), order.created.price)
        if why:
            self.orders.refuse(order, why)
        return bool(why)

    def _reduces(self, order: Any) -> bool:
        held = self.getposition(order.data).size
        return bool(held * order.size < 0 and abs(order.size) <= abs(held))

    def _protected(self, ticket: Ticket, protect: Protection) -> Begin:
        order, symbol = ticket.order, ticket.order.data.bars.symbol
        entry = self._intent(order, "", reduces=False)
        plan = Bracket(
            f"p{entry.seq}", entry, stop_loss=protect.stop_loss, take_profit=protect.take_profit,
            carried=self.mirror.account.sizes[symbol], rests=self.allotment.pairs,
        )  # fmt: skip
        ticket.key = leg_of(plan, "entry", entry).key
        return Begin(plan)

    def _intent(self, order: Any, leg: str, *, reduces: bool) -> Intent:
        data = order.data
        opened, symbol = int(data.bars.open_time[len(data) - 1]), data.bars.symbol
        number = self._counts[symbol, opened] = self._counts.get((symbol, opened), 0) + 1
        kind: Any = KINDS[order.exectype]
        limit = order.created.pricelimit if kind == "stop_limit" else order.created.price
        return Intent(
            strategy=self.allotment.strategy,
            symbol=symbol,
            bar_time=opened,
            side="buy" if order.isbuy() else "sell",
            kind=kind,
            qty=_exact(abs(order.size)),
            price=_exact(limit) if kind in {"limit", "stop_limit"} else None,
            stop_price=_exact(order.created.price) if kind in {"stop", "stop_limit"} else None,
            leg=leg,
            seq=number,
            reference_price=_exact(data.close[0]),
            reduces=reduces,
            reason=_reason(order),
            asked_at=opened + data.bars.timeframe.ms,
            max_age_ms=0 if reduces else self.allotment.max_age_ms,
        )

    def move_stop(self, data: Any, owner: Any, price: float, reason: str) -> Any:
        """Want the stop of a position at another price; see :meth:`itb.engine.shields.Shields.move_stop`."""
        symbol, mirror = data.bars.symbol, self.mirror
        size, plan = self.venue_of(data).quantise(self.getposition(data).size), mirror.plans.get(symbol)
        if not size or plan is None:
            return None
        order = self.orders.make(owner, data, -size, price, exectype=bt.Order.Stop, reason=reason)
        if self._is_refused(order):
            return order
        resting = mirror.resting(plan, "stop")
        if resting is not None and resting.order.created.price == order.created.price:
            self._replace(resting, order)
            return order
        command = Reprice(plan, _exact(order.created.price), reason)
        mirror.expected[plan, "stop"].append(Ticket(order, command, plan, "stop"))
        self._send(command)
        return order

    def _replace(self, ticket: Ticket, order: Any) -> None:
        """Let another order of backtrader's stand for one at the venue that is to stay as it is."""
        before, ticket.order = ticket.order, order
        self.orders.end(before)
        self.orders.accept(order)

    def cancel(self, order: Any) -> bool:
        """Want an order to end; it has ended when a notice says so."""
        ticket = next((one for one in self.mirror.all_tickets() if one.order is order), None)
        if ticket is None or not order.alive():
            return False
        if self._staged is not None and ticket.command in self._staged:
            self._staged.remove(ticket.command)
            self._drop(ticket.command, self.orders.end)
        elif ticket.key:
            self._send(Cancel(ticket.key))
        return True

    # -- one round

    def next(self) -> None:
        """Take in what was heard since the last round."""
        if self._heard.empty():
            return
        mirror = self.mirror
        while not self._heard.empty():
            heard = self._heard.get_nowait()
            if isinstance(heard, Failure):
                self._drop(heard.command, partial(self.orders.refuse, why=heard.why))
            elif self._is_alive:
                for event in heard:
                    mirror.take(event)
            else:  # the first to be heard is everything that was before
                self._is_alive = True
                mirror.remember(heard)
                mirror.revive()
        mirror.finish_plans()

    def get_notification(self) -> Any:
        """Give the next notice, ``None`` if there is none."""
        return self.orders.notices.popleft() if self.orders.notices else None


class LiveShields:
    """What strategies ask of the protection of a position; see :class:`itb.engine.shields.Shields`."""

    def __init__(self, broker: LiveBroker) -> None:
        self._broker = broker

    def move_stop(self, data: Any, owner: Any, price: float, reason: str) -> Any:
        """Replace the stop of the position in ``data`` by one at ``price``."""
        return self._broker.move_stop(data, owner, price, reason)

    def drop(self, data: Any) -> None:
        """Do nothing: the exit that was sent ends the legs first."""


def _reason(order: Any) -> str:
    return str(order.info.get("reason", "user")) if order.info else "user"


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))
