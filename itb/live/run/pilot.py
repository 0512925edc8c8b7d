"""The cockpit of the bot that runs in this process: what it shows is what journal, books and engine know."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.errors import ItbError
from itb.live.cockpit import (
    BalanceLine,
    BarLine,
    ModelLine,
    OrderLine,
    PositionLine,
    ScoreLine,
    Status,
    StrategyLine,
    TradeLine,
)
from itb.live.orders.intent import Intent
from itb.live.run.past import exact, order_lines, trade_line

if TYPE_CHECKING:
    from itb.live.host.growing import GrowingBars
    from itb.live.run.account import Account, Lane
    from itb.live.run.engine import Engine
    from itb.live.run.health import HealthBoard
    from itb.live.scores.challenging import Challenger
    from itb.live.scores.desk import Column


@dataclass
class Pilot:
    """A :class:`itb.live.cockpit.Cockpit` on an engine; called on the network's loop.

    Parameters
    ----------
    bot, mode
        What it is called, and where it trades.
    engine, board
        What runs, and how it is.
    clock
        UTC milliseconds of the venue's clock.
    end
        Called to end the program; gets whether resting orders are cancelled (``None``: as configured).
    """

    bot: str
    mode: str
    engine: Engine
    board: HealthBoard
    clock: Callable[[], float]
    end: Callable[[bool | None], None]
    started_at: int = 0
    closing: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def main(self) -> Account:
        """The account that trades."""
        return self.engine.accounts[0]

    # -- to see

    def status(self) -> Status:
        """Give the state at a glance."""
        engine, dealer = self.engine, self.main.dealer
        worth = dealer.book.worth
        prices = engine.prices
        return Status(
            bot=self.bot,
            mode=self.mode,
            is_running=True,
            pid=os.getpid(),
            time=int(self.clock()),
            started_at=self.started_at,
            health=self.board.health,
            reasons=self.board.reasons,
            waiting_for=engine.gate.held_by,
            steps=engine.steps,
            open_orders=len(dealer.book.active),
            equity=None if worth is None else worth.equity,
            day_start=None if worth is None else worth.day_start,
            peak=None if worth is None else worth.peak,
            bars=tuple(
                BarLine(symbol, int(bars.open_time[-1]), exact(prices[symbol]))
                for symbol, bars in engine.windows.items()
                if len(bars)
            ),
            scores=tuple(self._scores()),
            positions=tuple(
                line
                for lane in self.main.lanes
                for symbol in lane.symbols
                if (line := _position(lane, symbol, prices)) is not None
            ),
            strategies=tuple(
                _strategy(name, account, prices)
                for account in engine.accounts
                for name in ([account.name] if account.is_shadow else _names(account))
            ),
            models=tuple(
                _model(symbol, column, engine.windows[symbol], engine.challengers.get((symbol, column.column)))
                for symbol, desk in engine.desks.items()
                for column in desk.columns
            ),
        )

    def _scores(self) -> list[ScoreLine]:
        found = []
        for symbol, desk in self.engine.desks.items():
            times = self.engine.windows[symbol].open_time
            for column, said in desk.said.items():
                if said and len(said) <= len(times):
                    value = said[-1]
                    told = None if value != value else float(value)  # noqa: PLR0124  NaN is not itself
                    found.append(ScoreLine(symbol, column, int(times[len(said) - 1]), told))
        return found

    def orders(self, ended: int = 0) -> tuple[OrderLine, ...]:
        """Give all unfinished orders and the newest ``ended`` finished ones, oldest first."""
        return order_lines(self.main.dealer.book, ended)

    def trades(self, most: int = 20) -> tuple[TradeLine, ...]:
        """Give the newest trades, oldest first, open ones last."""
        closed = [
            trade_line(lane.name, trade)
            for lane in self.main.lanes
            for book in lane.books.histories.values()
            for trade in book.closed
        ]
        closed.sort(key=lambda trade: trade.exit_time)
        standing = [
            trade_line(lane.name, trade)
            for lane in self.main.lanes
            for book in lane.books.histories.values()
            if (trade := book.open) is not None
        ]
        return tuple([*closed, *standing][-most:]) if most else ()

    def balance(self) -> tuple[BalanceLine, ...]:
        """Give what the account holds."""
        prices = {symbol.split("/")[0]: price for symbol, price in self.engine.prices.items()}
        quotes = {symbol.split(":")[0].split("/")[1] for symbol in self.engine.windows}
        found = []
        for currency, total in sorted(self.main.dealer.book.balances.items()):
            price = 1.0 if currency in quotes else prices.get(currency)
            found.append(BalanceLine(currency, total, None if price is None else total * exact(price)))
        return tuple(found)

    # -- to act

    def pause(self, by: str) -> str:
        """Take no new risk until :meth:`resume`; positions are still protected and closed. Survives a restart."""
        book = self.main.dealer.book
        if book.halted:
            return f"trading is halted already: {book.halted}"
        self.main.dealer.halt(f"paused by {by}")
        return "paused: no new position is opened; what is open stays protected, and exits go on"

    def resume(self, by: str) -> str:
        """Lift a pause or a halt."""
        before = self.main.dealer.book.halted
        if not before:
            return "nothing was paused or halted"
        self.main.dealer.resume()
        self.main.wake()
        return f"resumed by {by}; before: {before}"

    def close(self, by: str, symbol: str = "", strategy: str = "") -> str:
        """End orders and close positions; of one symbol or strategy, or all."""
        places = [(lane.name, one) for lane in self.main.lanes for one in lane.symbols]
        asked = [(name, one) for name, one in places if symbol in {"", one} and strategy in {"", name}]
        if not asked:
            known = ", ".join(sorted({one for _, one in places} | set(_names(self.main))))
            raise ItbError(f"nothing is called {symbol or strategy!r} here; there are {known}")
        begun = [told for name, one in asked if (told := self._close(name, one, f"closed by {by}"))]
        self.main.wake()
        return "; ".join(begun) if begun else "nothing is open there"

    def _close(self, name: str, symbol: str, reason: str) -> str:
        dealer = self.main.dealer
        mine = [
            order for order in dealer.book.unsettled()
            if (order.intent.strategy, order.intent.symbol) == (name, symbol)
        ]  # fmt: skip
        held = dealer.book.positions.get((name, symbol), Decimal(0))
        intents = {key: dealer.book.plans[key].intent for key in dealer.book.open_plans}
        plans = [key for key, one in intents.items() if (one.strategy, one.symbol) == (name, symbol)]
        for plan in plans:
            dealer.close_again(plan, reason)
        for order in mine:
            if not order.intent.plan:
                dealer.cancel(order.intent.key, reason)
        if plans or not held:
            return f"{name}: closing {symbol}" if mine or plans else ""
        instrument = dealer.machine.instruments.get(symbol)
        qty = abs(held) if instrument is None else instrument.quantise(abs(held))
        if not qty:
            return ""
        bars = self.engine.windows[symbol]
        now = int(self.clock())
        dealer.ask(
            Intent(
                strategy=name,
                symbol=symbol,
                bar_time=int(bars.open_time[-1]),
                side="sell" if held > 0 else "buy",
                kind="market",
                qty=qty,
                leg="close",
                seq=now,
                reference_price=exact(float(bars.close[-1])),
                reduces=True,
                reason=reason,
                asked_at=now,
            )
        )
        return f"{name}: closing {qty} {symbol}"

    def stop(self, by: str, *, cancel: bool | None = None) -> str:
        """End the program gracefully; resting orders are cancelled, kept, or as the config says (``None``)."""
        self.end(cancel)
        what = {True: "resting orders are cancelled", False: "resting orders stay", None: "as configured"}[cancel]
        return f"stopping, asked by {by}; {what}"


def _model(symbol: str, column: Column, bars: GrowingBars, beside: Challenger | None) -> ModelLine:
    entries = column.timeline.entries
    speaking = column.entry_at(int(bars.open_time[-1])) if len(bars) else None
    line = ModelLine(
        symbol, column.column, 0 if speaking is None else speaking.known_at, len(entries),
        sum(not entry.promoted for entry in entries), sum(late.bars for late in column.late),
    )  # fmt: skip
    if beside is None or not beside.known_at:
        return line
    return replace(
        line, challenger_at=beside.known_at, challenger_bars=beside.bars,
        challenger_distance=beside.distance if beside.bars else None,
    )  # fmt: skip


def _names(account: Account) -> list[str]:
    return list(dict.fromkeys(lane.name for lane in account.lanes))


def _position(lane: Lane, symbol: str, prices: dict[str, float]) -> PositionLine | None:
    qty, trade = lane.books.sizes[symbol], lane.books.histories[symbol].open
    if not qty:
        return None
    price = prices.get(symbol)
    if trade is None:
        return PositionLine(lane.name, symbol, qty, price=None if price is None else exact(price))
    profit = None if price is None else trade.direction * trade.qty * (price - trade.entry_price) - trade.fees_quote
    return PositionLine(
        lane.name, symbol, qty, exact(trade.entry_price), trade.entry_time,
        None if price is None else exact(price), None if profit is None else exact(profit),
    )  # fmt: skip


def _strategy(name: str, account: Account, prices: dict[str, float]) -> StrategyLine:
    lanes = [lane for lane in account.lanes if account.is_shadow or lane.name == name]
    books = [book for lane in lanes for book in lane.books.histories.values()]
    worths = [lane.worth(prices) for lane in lanes]
    worth = None if None in worths else sum(one for one in worths if one is not None)
    return StrategyLine(
        name, None if worth is None else exact(worth), sum(book.ended for book in books),
        exact(sum(book.profit for book in books)), account.is_shadow,
    )  # fmt: skip
