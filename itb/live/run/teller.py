"""What a running bot tells people of: scores, signals, fills, trades, equity and troubles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from itb.live.notify.events import EquityAt, ScoreSaid, SignalSent
from itb.live.notify.from_live import of_change, of_execution, of_trade
from itb.live.orders import events as ev

if TYPE_CHECKING:
    from itb.live.notify.events import Event, FillSeen, Side, State
    from itb.live.orders.intent import Intent
    from itb.live.run.account import Account, Lane
    from itb.live.run.engine import Engine, Ticked
    from itb.live.run.health import Change

_LATELY = 2_000  # events of the journal


@dataclass
class Teller:
    """Turns what happens into values that can be told.

    Parameters
    ----------
    engine
        The running engine; its first account is told of.
    tell
        Takes events and comes back at once, see :meth:`itb.live.notify.herald.Herald.tell`.
    column
        The score column that signals are told with; empty: the first.
    """

    engine: Engine
    tell: Callable[..., None]
    column: str = ""
    _closed: dict[tuple[str, str], int] = field(default_factory=dict)

    def follow(self, account: Account) -> None:
        """Tell of decisions to enter and to leave from now on."""
        for lane in account.lanes:
            for symbol, book in lane.books.histories.items():
                self._closed[lane.name, symbol] = book.ended

        def hear(events: Sequence[ev.Event]) -> None:
            for event in events:
                if isinstance(event, ev.Planned):
                    self._signal(event.plan.intent, event.plan.intent.side)
                elif isinstance(event, ev.Asked) and not event.intent.plan:
                    self._signal(event.intent, event.intent.side)
                elif isinstance(event, ev.ExitWanted) and event.plan in account.dealer.book.plans:
                    entry = account.dealer.book.plans[event.plan].intent
                    if event.reason not in {"stop", "target"}:
                        self._signal(entry, "sell" if entry.side == "buy" else "buy")

        account.dealer.listen(hear)

    def catch_up(self, account: Account, since: int, is_known: Callable[[str], bool]) -> None:
        """Tell of executions after ``since`` (UTC milliseconds) that an earlier life journaled and did not tell."""
        lanes = {(lane.name, symbol): lane for lane in account.lanes for symbol in lane.symbols}
        for event in account.dealer.journal.events(after=account.dealer.journal.count - _LATELY):
            if not isinstance(event, ev.Traded) or event.trade.time < since:
                continue
            book, trade = account.dealer.book, event.trade
            order = book.orders.get(book.by_venue.get((trade.symbol, trade.order_id), ""))
            lane = None if order is None else lanes.get((order.intent.strategy, trade.symbol))
            if lane is None or is_known(self._execution(event).key):
                continue
            frame = self.engine.windows[trade.symbol].timeframe
            ending = trade.time // frame.ms * frame.ms, "long" if trade.side == "sell" else "short"
            closed = lane.books.histories[trade.symbol].closed
            ended = [of_trade(one, trade.time) for one in closed if (one.exit_time, one.side) == ending]
            self.tell(self._execution(event), *ended)

    def _signal(self, intent: Intent, side: Side) -> None:
        bars = self.engine.windows.get(intent.symbol)
        if bars is None or not len(bars):
            return
        scores = self._scores(intent.symbol)
        column = self.column if self.column in scores else next(iter(scores), "")
        closed = int(bars.open_time[-1]) + bars.timeframe.ms
        price, score = float(bars.close[-1]), scores.get(column, math.nan)
        self.tell(SignalSent(closed, intent.symbol, side, price, score, column))

    def _scores(self, symbol: str) -> dict[str, float]:
        desk = self.engine.desks.get(symbol)
        return {} if desk is None else {name: said[-1] for name, said in desk.said.items() if said}

    def tick(self, ticked: Ticked) -> None:
        """Tell of a bar's scores and of what the account is worth."""
        told: list[Event] = []
        for symbol, bar in ticked.step.bars.items():
            frame = self.engine.windows[symbol].timeframe
            opened, high, low, close = bar.values[:4]
            scores = dict(ticked.scores.get(symbol, {}))
            told.append(ScoreSaid(bar.open_time + frame.ms, symbol, str(frame), opened, high, low, close, scores))
        account = self.engine.accounts[0]
        if account.lanes and told:
            currency = account.lanes[0].symbols[0].split(":")[0].split("/")[1]
            worth = account.equity(self.engine.prices)
            told.append(EquityAt(max(event.time for event in told), float(worth), currency))
        self.tell(*told)

    def fill(self, lane: Lane, event: ev.Traded) -> None:
        """Tell of an execution, and of the trade that it closed."""
        symbol = event.trade.symbol
        book, place = lane.books.histories[symbol], (lane.name, symbol)
        ended = book.closed_after(self._closed.get(place, 0))
        self._closed[place] = book.ended
        self.tell(self._execution(event), *(of_trade(one, event.trade.time) for one in ended))

    def _execution(self, event: ev.Traded) -> FillSeen:
        trade = event.trade
        base, quote = trade.symbol.split(":")[0].split("/")
        fee = float(trade.fee)
        in_quote = (
            fee if trade.fee_currency == quote else fee * float(trade.price) if trade.fee_currency == base else 0.0
        )
        order = self.engine.accounts[0].dealer.book.by_venue.get((trade.symbol, trade.order_id), "")
        known = self.engine.accounts[0].dealer.book.orders.get(order)
        return of_execution(trade, "" if known is None else known.intent.reason, in_quote)

    def change(self, change: Change) -> None:
        """Tell of a trouble that began or is over."""
        told, key = of_change(change), change.trouble.key
        if not change.is_over:
            named: tuple[tuple[State, bool], ...] = (
                ("limit_hit", "limits." in told.text),
                ("model_expired", "expired" in key),
                ("drift", "drift" in key),
            )
            state = next((name for name, is_so in named if is_so), told.state)
            told = replace(told, state=state)
        self.tell(told)
