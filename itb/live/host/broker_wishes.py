"""What an order that a strategy wants becomes: an intent of its own, or a part of the plan that holds the position."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import backtrader as bt

from itb.engine.orders import Protection
from itb.live.door import Ask, Begin, Close, Command, Reprice
from itb.live.host.broker_mirror import Mirror, Ticket
from itb.live.host.broker_orders import KINDS
from itb.live.orders.bracket import Bracket
from itb.live.orders.intent import Intent
from itb.live.orders.moves import leg_of, opposite, plan_key
from itb.live.orders.plans import Worked

if TYPE_CHECKING:
    from itb.live.host.broker_account import Allotment

_DAY_MS = 86_400_000
_LEGS = {bt.Order.Stop: "stop", bt.Order.Limit: "target"}


class Wishes:
    """Words backtrader's orders as commands; what it makes of an order is written on its ticket."""

    def __init__(self, allotment: Allotment, mirror: Mirror) -> None:
        self._allotment, self._mirror = allotment, mirror
        self._counts: dict[str, tuple[int, int]] = {}  # the newest bar of a symbol, and its orders so far

    def word(self, ticket: Ticket, oco: Any = None) -> Command:
        """Say what an order asks for; ``oco`` is the order whose execution ends it."""
        order = ticket.order
        symbol = order.data.bars.symbol
        plan, protect = self._mirror.plans.get(symbol, ""), order.info.get("protect")
        reduces = self._reduces(order)
        if reduces and order.exectype in _LEGS:
            return self._rest(ticket, plan, _LEGS[order.exectype])
        if reduces and plan:
            ticket.plan, ticket.role = plan, "exit"
            held = self._allotment.venues[symbol].quantise(abs(self._mirror.account.positions[symbol].size))
            part = None if abs(order.size) >= held else exact(abs(order.size))
            return Close(plan, reason_of(order), part)
        intent = self._intent(order, "order", reduces=reduces, oco=oco)
        if plan and not reduces and not self._turns(plan, intent):
            intent = leg_of(self._bracket(plan, protect), "add" if protect is None else "entry", intent, intent.seq)
        elif isinstance(protect, Protection):
            bracket = Bracket(
                f"p{intent.seq}", intent, stop_loss=protect.stop_loss, take_profit=protect.take_profit,
                covers_all=True, rests=self._allotment.pairs, slicing=self._allotment.slicing,
            )  # fmt: skip
            ticket.plan, ticket.role, ticket.key = plan_key(bracket), "entry", leg_of(bracket, "entry", intent).key
            return Begin(bracket)
        elif self._is_large(intent) and oco is None and not intent.timeout_ms:
            worked = Worked(f"p{intent.seq}", replace(intent, oco=""), self._allotment.slicing)
            ticket.plan, ticket.role, ticket.key = plan_key(worked), "part", leg_of(worked, "part", intent).key
            return Begin(worked)
        ticket.key, ticket.group = intent.key, intent.oco
        return Ask(intent)

    def _is_large(self, intent: Intent) -> bool:
        """Whether an order without a stop price is to leave in parts."""
        instrument = self._allotment.venues[intent.symbol].instrument
        assert instrument is not None  # the live broker refuses symbols without one
        if intent.plan or intent.kind not in {"market", "limit"}:
            return False
        part = self._allotment.slicing.part(intent.qty, intent.qty, intent.worst_price, instrument, intent.key)
        return part < intent.qty

    def bracket(self, main: Ticket, stop: Ticket | None, target: Ticket | None) -> Begin:
        """Say what backtrader's bracket order asks for."""
        intent = self._intent(main.order, "order", reduces=False)
        plan = Bracket(
            f"p{intent.seq}", intent,
            stop_price=None if stop is None else exact(stop.order.created.price),
            target_price=None if target is None else exact(target.order.created.price),
            covers_all=True, rests=self._allotment.pairs, slicing=self._allotment.slicing,
        )  # fmt: skip
        main.plan, main.role, main.key = plan_key(plan), "entry", leg_of(plan, "entry", intent).key
        for ticket, role in ((stop, "stop"), (target, "target")):
            if ticket is not None:
                ticket.plan, ticket.role = plan_key(plan), role
        return Begin(plan)

    def replacing(self, ticket: Ticket, before: Ticket) -> Command:
        """Say what an order asks for that takes the place of an entry: its limit, or the market's price."""
        ticket.plan, ticket.role = before.plan, before.role
        price = ticket.order.created.price if KINDS[ticket.order.exectype] == "limit" else 0.0
        return Reprice(ticket.plan, exact(price), reason_of(ticket.order), "entry")

    def _bracket(self, plan: str, protect: Protection | None) -> Bracket:
        """Give the plan that a larger position belongs to; it protects all of it alike."""
        if plan not in self._mirror.book.plans:
            raise ValueError(f"{plan}: the position cannot grow before its first entry is in the journal")
        known = self._mirror.book.plans[plan]
        assert isinstance(known, Bracket)  # no other plan holds a position
        if protect is not None and (protect.stop_loss, protect.take_profit) != (known.stop_loss, known.take_profit):
            raise ValueError(
                f"{known.entry.symbol}: one position has one protection, this one stop_loss {known.stop_loss} and "
                f"take_profit {known.take_profit}; asked for were {protect.stop_loss} and {protect.take_profit}"
            )
        return known

    def _rest(self, ticket: Ticket, plan: str, leg: str) -> Command:
        """Let a stop or a limit that reduces the position be a leg of the plan that holds it, or of a new one."""
        order, price = ticket.order, exact(ticket.order.created.price)
        ticket.role = leg
        if plan:
            ticket.plan = plan
            return Reprice(plan, price, reason_of(order) if leg == "stop" else "", "" if leg == "stop" else leg)
        intent = self._intent(order, "order", reduces=True)
        entry = leg_of_position(intent)
        adopting = Bracket(
            f"p{intent.seq}", entry, covers_all=True, rests=self._allotment.pairs,
            stop_price=price if leg == "stop" else None, target_price=price if leg == "target" else None, adopts=True,
            slicing=self._allotment.slicing,
        )  # fmt: skip
        ticket.plan = plan_key(adopting)
        return Begin(adopting)

    def _reduces(self, order: Any) -> bool:
        held = self._left(order.data)
        return bool(held * order.size < 0 and abs(order.size) <= abs(held))

    def _left(self, data: Any) -> float:
        """Give what is held once the exits that were sent are filled: an order beyond that opens the other way."""
        held: float = self._mirror.account.positions[data.bars.symbol].size
        going = [
            one.order.executed.remsize
            for one in self._mirror.all_tickets()
            if one.order.data is data and one.order.alive() and self._is_exit(one)
        ]
        left = held + sum(going)
        return left if left * held > 0 else 0.0

    @staticmethod
    def _is_exit(ticket: Ticket) -> bool:
        command = ticket.command
        is_reducing = isinstance(command, Ask) and command.intent.reduces and command.intent.kind == "market"
        return is_reducing or isinstance(command, Close)

    def _turns(self, plan: str, intent: Intent) -> bool:
        """Whether an entry goes the other way than a plan, whose position is being closed."""
        known = self._mirror.book.plans.get(plan)
        return known is not None and known.intent.side != intent.side

    def _intent(self, order: Any, leg: str, *, reduces: bool, oco: Any = None) -> Intent:
        data = order.data
        opened, symbol = int(data.bars.open_time[len(data) - 1]), data.bars.symbol
        newest, count = self._counts.get(symbol, (0, 0))
        number = count + 1 if newest == opened else 1
        self._counts[symbol] = opened, number
        kind: Any = KINDS[order.exectype]
        limit = order.created.pricelimit if kind == "stop_limit" else order.created.price
        leader = next((one for one in self._mirror.all_tickets() if oco is not None and one.order is oco), None)
        own = f"{self._allotment.strategy}|{symbol}|{opened}|{number}" if kind != "market" else ""
        return Intent(
            strategy=self._allotment.strategy,
            symbol=symbol,
            bar_time=opened,
            side="buy" if order.isbuy() else "sell",
            kind=kind,
            qty=exact(abs(order.size)),
            price=exact(limit) if kind in {"limit", "stop_limit"} else None,
            stop_price=exact(order.created.price) if kind in {"stop", "stop_limit"} else None,
            leg=leg,
            seq=number,
            reference_price=exact(data.close[0]),
            reduces=reduces,
            reason=reason_of(order),
            asked_at=opened + data.bars.timeframe.ms,
            max_age_ms=0 if reduces else self._allotment.max_age_ms,
            timeout_ms=self._timeout(order),
            oco=own if leader is None else leader.group,
        )

    @staticmethod
    def _timeout(order: Any) -> int:
        """Give how long an order may rest: until after the open of the last bar that it is valid in."""
        if not isinstance(order.valid, float):
            return 0
        valid_ms: int = round((order.valid - order.created.dt) * _DAY_MS)
        return max(1, valid_ms - int(order.data.bars.timeframe.ms) + 2)


def leg_of_position(intent: Intent) -> Intent:
    """Give what stands for the entry of a position that is there already, from an order that reduces it."""
    return Intent(
        intent.strategy, intent.symbol, intent.bar_time, opposite(intent.side), "market", intent.qty, leg=intent.leg,
        seq=intent.seq, reference_price=intent.reference_price, asked_at=intent.asked_at,
    )  # fmt: skip


def reason_of(order: Any) -> str:
    """Give the word that an order was sent with."""
    return str(order.info.get("reason", "user")) if order.info else "user"


def exact(value: float) -> Decimal:
    """Give the decimal that a float is written as."""
    return Decimal(repr(float(value)))
