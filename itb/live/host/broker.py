"""The live broker: what a strategy asks backtrader for becomes intents and plans; what the journal tells comes back."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.engine.venue import Venue
from itb.engine.venue_broker import FractionalCoins
from itb.live.door import Begin, Cancel, Close, Command, Drop, Failure
from itb.live.host.broker_account import Allotment
from itb.live.host.broker_mirror import Mirror, Past, Ticket
from itb.live.host.broker_orders import Orders
from itb.live.host.broker_wishes import Wishes
from itb.live.orders.bracket import Bracket
from itb.live.orders.events import Event
from itb.live.orders.moves import plan_key

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
        self._heard: queue.SimpleQueue[Sequence[Event] | Failure | Past] = queue.SimpleQueue()
        self.startingcash = self.startingvalue = float(allotment.cash)
        self.orders = Orders(self, allotment.venues, allotment.keep)
        self.shields = LiveShields(self)
        self._staged: list[Command] | None = None
        self._is_alive = False

    # -- assembly

    def meet(self, feeds: Mapping[str, LiveFeed]) -> None:
        """Learn the feeds; the host calls it once, before anything else."""
        self._feeds = {feed.bars.symbol: feed for feed in feeds.values()}
        self.mirror = Mirror(self.allotment, self._feeds, self.orders)
        self.wishes = Wishes(self.allotment, self.mirror)
        self._family: list[Ticket] = []

    def begin(self, past: Past) -> None:
        """Hear what earlier lives came to, before anything else; from any thread."""
        self._heard.put(past)

    def hear(self, events: Sequence[Event]) -> None:
        """Take events of the journal, from any thread."""
        self._heard.put(events)

    # -- what strategies and results ask

    @property
    def venue(self) -> Venue:
        """The terms of the (first) symbol."""
        return next(iter(self.allotment.venues.values()))

    @property
    def log(self) -> Sequence[Execution]:
        """Executions of this life, as far as they are kept."""
        return self.orders.log

    @property
    def sent(self) -> Sequence[Any]:
        """Orders of this life, backtrader's, as far as they are kept."""
        return self.orders.sent

    @property
    def rejected(self) -> Sequence[Rejection]:
        """Orders of this life that were refused, as far as they are kept."""
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
        """Give cash and positions at the last close; fees in a third currency are paid from elsewhere."""
        account = self.mirror.account
        feeds = self._feeds.values() if datas is None else datas
        held = ((feed, account.positions[feed.bars.symbol].size) for feed in feeds)
        worth: float = sum(size * feed.close[0] for feed, size in held if size)
        return account.cash + worth

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
        if isinstance(command, Begin) and isinstance(command.plan, Bracket):
            self.mirror.plans.pop(command.plan.intent.symbol, None)

    # -- orders coming in

    def buy(  # type: ignore[override]  # the rest of the arguments passes through by name
        self, owner: Any, data: Any, size: Any, price: Any = None, plimit: Any = None, **kwargs: Any
    ) -> Any:
        """Want to buy; arguments as in backtrader, and ``protect`` and ``reason``."""
        return self._want(owner, data, abs(size), price, plimit, **kwargs)

    def sell(  # type: ignore[override]  # as above
        self, owner: Any, data: Any, size: Any, price: Any = None, plimit: Any = None, **kwargs: Any
    ) -> Any:
        """Want to sell; arguments as in backtrader, and ``protect`` and ``reason``."""
        return self._want(owner, data, -abs(size), price, plimit, **kwargs)

    def _want(
        self, owner: Any, data: Any, size: float, price: Any, plimit: Any, *, oco: Any = None, replaces: Any = None,
        **asked: Any,
    ) -> Any:  # fmt: skip
        if asked.pop("trailamount", None) or asked.pop("trailpercent", None):
            raise ValueError(f"{data.bars.symbol}: trailing orders are no venue's; use trailing_stop or move_stop")
        order = self.orders.make(owner, data, size, price, plimit, **asked)
        if self._is_refused(order):
            if replaces is not None:
                self.cancel(replaces)
            return order
        ticket = Ticket(order)
        if replaces is not None:
            return self._replace(ticket, replaces)
        if order.parent is not None or not order.transmit:
            self._collect(ticket)
            return order
        ticket.command = self.wishes.word(ticket, oco)
        if ticket.key in self.mirror.book.orders:
            self.orders.refuse(order, "this bar was decided on before, in an earlier life of the program")
            return order
        self._follow(ticket)
        self._send(ticket.command)
        return order

    def _replace(self, ticket: Ticket, replaced: Any) -> Any:
        """Let an order take the place of an entry that rests: for what is left of that once its end is witnessed."""
        before = self._ticket_of(replaced)
        if before is None or not self._is_worked(before):
            self.orders.refuse(
                ticket.order, "only an entry that was sent with protect= and still rests can be replaced"
            )
            return ticket.order
        ticket.command = self.wishes.replacing(ticket, before)
        self._follow(ticket)
        self._send(ticket.command)
        return ticket.order

    def _ticket_of(self, order: Any) -> Ticket | None:
        return next((one for one in self.mirror.all_tickets() if one.order.ref == order.ref), None)

    def _is_worked(self, ticket: Ticket) -> bool:
        """Whether a plan works the order, so that the plan is told what becomes of it."""
        if ticket.role not in {"entry", "part"}:
            return False
        plan, state = self.mirror.book.plans.get(ticket.plan), self.mirror.book.orders.get(ticket.key)
        return plan is None or state is None or plan.owns(state.intent)

    def _collect(self, ticket: Ticket) -> None:
        """Keep the parts of backtrader's bracket until the last one is there."""
        self._family.append(ticket)
        if not ticket.order.transmit:
            return
        (main, *children), self._family = self._family, []
        stop = next((one for one in children if one.order.exectype == bt.Order.Stop), None)
        target = next((one for one in children if one.order.exectype == bt.Order.Limit), None)
        main.command = self.wishes.bracket(main, stop, target)
        for one in (main, stop, target):
            if one is not None:
                one.command = main.command
                self._follow(one)
        self._send(main.command)

    def _follow(self, ticket: Ticket) -> None:
        """Remember what an order waits for."""
        mirror, command = self.mirror, ticket.command
        if isinstance(command, Close):
            mirror.exits[ticket.plan] = ticket
        elif ticket.key:
            mirror.tickets[ticket.key] = ticket
        else:
            mirror.expected[ticket.plan, ticket.role].append(ticket)
        if isinstance(command, Begin) and isinstance(command.plan, Bracket):
            mirror.plans[command.plan.intent.symbol] = plan_key(command.plan)

    def _is_refused(self, order: Any) -> bool:
        venue, price = self.venue_of(order.data), order.created.price
        why = venue.refusal(abs(order.size), price)
        cost = order.size * price * (1 + venue.costs.taker_fee)
        is_unpaid = not why and self.allotment.shares_account and cost > self.getcash()
        if is_unpaid:
            why = f"it costs {cost:.2f}, and {self.getcash():.2f} is left of what the strategy was given"
        if why:
            self.orders.refuse(order, why, is_unpaid=is_unpaid)
        return bool(why)

    def move_stop(self, data: Any, owner: Any, price: float, reason: str) -> Any:
        """Want the stop of a position at another price; see :meth:`itb.engine.shields.Shields.move_stop`."""
        held = self.venue_of(data).quantise(self.getposition(data).size)
        if not held:
            return None
        resting = self.mirror.resting(self.mirror.plans.get(data.bars.symbol, ""), "stop")
        if resting is not None and resting.order.created.price == self._rounded(data, price, is_buy=held < 0):
            order = self.orders.make(owner, data, -held, price, exectype=bt.Order.Stop, reason=reason)
            before, resting.order = resting.order, order
            self.orders.end(before)
            self.orders.accept(order)
            return order
        return self._want(owner, data, -held, price, None, exectype=bt.Order.Stop, reason=reason)

    def _rounded(self, data: Any, price: float, *, is_buy: bool) -> float:
        return self.venue_of(data).quantise_price(price, is_buy=is_buy)

    def drop_legs(self, data: Any) -> None:
        """Want a position without stop and target; where an exit is on its way, it ends them first."""
        plan = self.mirror.plans.get(data.bars.symbol, "")
        exit_ = self.mirror.exits.get(plan)
        if plan and not (exit_ is not None and isinstance(exit_.command, Close) and exit_.command.qty is None):
            for leg in ("stop", "target"):
                self._send(Drop(plan, leg))

    def cancel(self, order: Any) -> bool:
        """Want an order to end; it has ended when a notice says so."""
        ticket = self._ticket_of(order)
        if ticket is None or not ticket.order.alive():
            return False
        if self._staged is not None and ticket.command in self._staged:
            self._staged.remove(ticket.command)
            self._drop(ticket.command, self.orders.end)
        elif ticket.role in {"stop", "target"}:
            ticket.is_dropped = True
            if ticket.plan not in self.mirror.exits:
                self._send(Drop(ticket.plan, ticket.role))
        elif self._is_worked(ticket):
            self._send(Drop(ticket.plan, "entry"))
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
            elif isinstance(heard, Past) or not self._is_alive:  # the first to be heard is everything that was before
                self._is_alive = True
                mirror.take_up(heard) if isinstance(heard, Past) else mirror.remember(heard)
                mirror.revive()
            else:
                for event in heard:
                    mirror.take(event)
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
        """Cancel both legs."""
        self._broker.drop_legs(data)
