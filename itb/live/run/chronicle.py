"""What happened, for the event log: the journal's events, trades, ticks, bars and troubles in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from itb.live.orders import events as ev
from itb.live.orders.moves import opposite
from itb.live.run.event_log import EventLog, Kind

if TYPE_CHECKING:
    from itb.live.bars.bar import BarEvent
    from itb.live.run.account import Account, Lane
    from itb.live.run.engine import Ticked
    from itb.live.run.health import Change
    from itb.live.scores.challenging import Challenged
    from itb.live.scores.desk import ScoreDesk
    from itb.mlmodels.timeline import TimelineEntry

_ORDER_STEPS: Mapping[type, str] = {
    ev.Asked: "asked", ev.Refused: "refused", ev.Sending: "sending", ev.Answered: "answered", ev.Saw: "seen",
    ev.CancelWanted: "cancel wanted", ev.CancelAnswered: "cancel answered", ev.ExitWanted: "exit wanted",
    ev.Repriced: "new price",
}  # fmt: skip


@dataclass
class Chronicle:
    """Writes an event log; ``said`` gives what was said of the newest bar of a symbol: a signal is written with it."""

    log: EventLog
    said: Callable[[str], Mapping[str, float]] = lambda _symbol: {}
    _open: dict[tuple[str, str], int] = field(default_factory=dict)
    _late: dict[tuple[str, str], int] = field(default_factory=dict)

    def follow(self, account: Account) -> None:
        """Write the orders of an account from now on."""

        def hear(events: Sequence[ev.Event]) -> None:
            for event in events:
                self._signal(account, event)
                self._order(account, event)

        account.dealer.listen(hear)

    def _signal(self, account: Account, event: ev.Event) -> None:
        """Write what a strategy wants: orders that follow from a plan are no wish of their own."""
        if isinstance(event, ev.ExitWanted):
            if event.plan not in account.dealer.book.plans:
                return
            intent = account.dealer.book.plans[event.plan].intent
            side, reason = opposite(intent.side), event.reason
        elif isinstance(event, ev.Planned):
            intent = event.plan.intent
            side, reason = intent.side, intent.reason
        elif isinstance(event, ev.Asked) and not event.intent.plan:
            intent = event.intent
            side, reason = intent.side, intent.reason
        else:
            return
        self.log.write(
            Kind.SIGNAL, time=event.time, account=account.name, strategy=intent.strategy, symbol=intent.symbol,
            side=side, bar=intent.bar_time, price=intent.reference_price, reason=reason,
            scores=dict(self.said(intent.symbol)),
        )  # fmt: skip

    def _order(self, account: Account, event: ev.Event) -> None:
        step = _ORDER_STEPS.get(type(event))
        if step is None:
            return
        told: dict[str, Any] = {"step": step, "account": account.name}
        key = account.dealer.book.key_of(event)
        order = None if key is None else account.dealer.book.orders.get(key)
        if order is not None:
            intent = order.intent
            told |= {
                "key": key, "strategy": intent.strategy, "symbol": intent.symbol, "side": intent.side,
                "kind": intent.kind, "qty": intent.qty, "price": intent.price or intent.stop_price,
                "phase": str(order.phase), "filled": order.filled, "reason": order.reason or intent.reason,
            }  # fmt: skip
        for name in ("plan", "reason", "answer"):
            if name not in told and getattr(event, name, None):
                told[name] = str(getattr(event, name))
        self.log.write(Kind.ORDER, time=event.time, **told)

    def fill(self, account: Account, lane: Lane, event: ev.Traded) -> None:
        """Write an execution, and the trade that it opens or closes."""
        trade = event.trade
        self.log.write(
            Kind.FILL, time=trade.time, account=account.name, strategy=lane.name, symbol=trade.symbol, side=trade.side,
            qty=trade.qty, price=trade.price, fee=trade.fee, fee_currency=trade.fee_currency, id=trade.trade_id,
        )  # fmt: skip
        book, place = lane.books.histories[trade.symbol], (account.name, f"{lane.name} {trade.symbol}")
        if book.ended > self._open.get(place, 0):
            self._open[place] = book.ended
            last = book.closed[-1]
            self.log.write(
                Kind.TRADE_CLOSE, time=trade.time, account=account.name, strategy=lane.name, symbol=last.symbol,
                side=last.side, qty=last.qty, entry_price=last.entry_price, exit_price=last.exit_price, pnl=last.pnl,
                return_=last.return_, reason=last.exit_reason,
            )  # fmt: skip
        elif book.open is not None and book.open.entry_time == lane.books.bar_of(trade.symbol, trade.time)[1]:
            self.log.write(
                Kind.TRADE_OPEN, time=trade.time, account=account.name, strategy=lane.name, symbol=trade.symbol,
                side=book.open.side, qty=book.open.qty, entry_price=book.open.entry_price,
                reason=book.open.entry_reason,
            )  # fmt: skip

    def begin(self, account: Account) -> None:
        """Take what was closed in earlier lives as told."""
        for lane in account.lanes:
            for symbol, book in lane.books.histories.items():
                self._open[account.name, f"{lane.name} {symbol}"] = book.ended

    def tick(self, ticked: Ticked) -> None:
        """Write a timestamp and its scores."""
        step = ticked.step
        for symbol, bar in step.bars.items():
            self.log.write(
                Kind.TICK, time=step.released_at, symbol=symbol, bar=bar.open_time, close=bar.close,
                scores=ticked.scores.get(symbol, {}), seconds=ticked.seconds, late=step.is_late,
            )  # fmt: skip

    def refit(self, symbol: str, column: str, entry: TimelineEntry) -> None:
        """Write what came of a refit."""
        self.log.write(Kind.MODEL, symbol=symbol, column=column, what="refit", **asdict(entry))

    def challenged(self, symbol: str, column: str, said: Challenged) -> None:
        """Write what a model that was not promoted says of a bar."""
        self.log.write(
            Kind.CHALLENGER, symbol=symbol, column=column, bar=said.open_time, file=said.file,
            scores={"challenger": said.score, "champion": said.champion},
        )  # fmt: skip

    def late(self, desks: Mapping[str, ScoreDesk]) -> None:
        """Write which models came late: until then, scores were not those of a backtest."""
        for symbol, desk in desks.items():
            for column in desk.columns:
                place = symbol, column.column
                for model in column.late[self._late.get(place, 0) :]:
                    self.log.write(
                        Kind.MODEL, symbol=symbol, column=model.column, what="late", file=model.file,
                        speaks_from=model.speaks_from, bars=model.bars,
                    )  # fmt: skip
                self._late[place] = len(column.late)

    def bar(self, event: BarEvent) -> None:
        """Write what was unusual about a bar."""
        self.log.write(
            Kind.BAR, time=event.at, symbol=event.symbol, what=event.kind, bar=event.open_time, detail=event.detail
        )

    def change(self, change: Change) -> None:
        """Write the beginning or end of a trouble."""
        trouble = change.trouble
        if change.is_over:
            kind = Kind.RESUMED if trouble.halts else Kind.RECOVERED
        else:
            kind = Kind.HALTED if trouble.halts else Kind.DEGRADED
        self.log.write(kind, time=change.time, key=trouble.key, text=trouble.text, health=change.health)
