"""The cockpit of a bot that does not run: what its journal says, to look at and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from itb.errors import JournalError
from itb.ledger.trades import OpenTrade, Trade, TradeBook
from itb.live.cockpit import BalanceLine, OrderLine, PositionLine, Status, StrategyLine, TradeLine
from itb.live.gateways.port import VenueTrade
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.live.orders.events import Event, Restarted
from itb.live.orders.state import OrderState
from itb.live.run.health import Trouble, health_of
from itb.live.run.socket_file import NotRunningError
from itb.market.fills import Fill


class JournalCockpit:
    """What :class:`itb.live.cockpit.Cockpit` shows, read once from a journal; commands are refused.

    Neither prices nor the venue's steps are known here: nothing is valued, and a trade whose rest is too small to be
    sold counts as open. Trades begin and end when they were executed; fees in a third currency count as nothing.
    """

    def __init__(self, bot: str, journal: str | Path) -> None:
        if isinstance(journal, Path) and not journal.is_file():
            raise JournalError(f"{journal}: there is no journal; has the bot {bot!r} run yet? `itb live` starts it")
        with Journal(journal) as opened:
            events = list(opened.events())
        self._bot, self._book = bot, Book().replay(events)
        self._began, self._ended = _last_life(events)
        self._trades = _trades(self._book.orders.values())

    def status(self) -> Status:
        """As :meth:`itb.live.cockpit.Cockpit.status`: how it was when the journal ends."""
        book = self._book
        troubles = [Trouble("orders", book.halted, 0, halts=True)] if book.halted else []
        troubles += [Trouble("venue", book.degraded, 0)] if book.degraded else []
        worth = book.worth
        return Status(
            self._bot, is_running=False, time=self._ended, started_at=self._began, health=health_of(troubles),
            reasons=tuple(one.text for one in troubles), open_orders=len(book.active),
            equity=None if worth is None else worth.equity, day_start=None if worth is None else worth.day_start,
            peak=None if worth is None else worth.peak, positions=tuple(self._positions()),
            strategies=tuple(self._strategies()),
        )  # fmt: skip

    def _positions(self) -> Iterable[PositionLine]:
        for (strategy, symbol), qty in self._book.positions.items():
            trade = self._trades[strategy, symbol].open
            if qty and trade is not None:
                yield PositionLine(strategy, symbol, qty, exact(trade.entry_price), trade.entry_time)
            elif qty:
                yield PositionLine(strategy, symbol, qty)

    def _strategies(self) -> Iterable[StrategyLine]:
        for name in dict.fromkeys(strategy for strategy, _ in self._trades):
            closed = [one for (strategy, _), book in self._trades.items() if strategy == name for one in book.closed]
            yield StrategyLine(name, trades=len(closed), profit=exact(sum(trade.pnl for trade in closed)))

    def orders(self, ended: int = 0) -> tuple[OrderLine, ...]:
        """As :meth:`itb.live.cockpit.Cockpit.orders`."""
        return order_lines(self._book, ended)

    def trades(self, most: int = 20) -> tuple[TradeLine, ...]:
        """As :meth:`itb.live.cockpit.Cockpit.trades`."""
        closed = [trade_line(name, one) for (name, _), book in self._trades.items() for one in book.closed]
        still = [trade_line(name, book.open) for (name, _), book in self._trades.items() if book.open is not None]
        lines = [*sorted(closed, key=lambda one: one.exit_time), *still]
        return tuple(lines[max(0, len(lines) - most) :])

    def balance(self) -> tuple[BalanceLine, ...]:
        """As :meth:`itb.live.cockpit.Cockpit.balance`."""
        return tuple(BalanceLine(name, total) for name, total in sorted(self._book.balances.items()))

    def pause(self, by: str) -> str:
        """Refuse: there is nobody to tell."""
        raise self._refusal("pause", by)

    def resume(self, by: str) -> str:
        """Refuse: there is nobody to tell."""
        raise self._refusal("resume", by)

    def close(self, by: str, symbol: str = "", strategy: str = "") -> str:
        """Refuse: there is nobody to tell."""
        raise self._refusal(f"close {symbol or strategy}".rstrip(), by)

    def stop(self, by: str, *, cancel: bool | None = None) -> str:
        """Refuse: there is nobody to tell."""
        raise self._refusal("cancel and stop" if cancel else "stop", by)

    def _refusal(self, what: str, by: str) -> NotRunningError:
        return NotRunningError(f"{by}: {what}: the bot {self._bot!r} does not run; start it with `itb live`")


def _last_life(events: list[Event]) -> tuple[int, int]:
    """Give when the program last began, and when it last wrote."""
    begins = [event.time for event in events if isinstance(event, Restarted)]
    return (begins or [event.time for event in events[:1]] or [0])[-1], max((event.time for event in events), default=0)


def _trades(orders: Iterable[OrderState]) -> dict[tuple[str, str], TradeBook]:
    """Gather all executions into trades of each strategy and symbol."""
    executed = [(trade, order) for order in orders for trade in order.fills]
    executed.sort(key=lambda pair: (pair[0].time, len(pair[0].trade_id), pair[0].trade_id))
    books: dict[tuple[str, str], TradeBook] = {}
    for trade, order in executed:
        name = order.intent.strategy, order.intent.symbol
        books.setdefault(name, TradeBook(order.intent.symbol)).add(_fill(trade, order.intent.reason))
    return books


def _fill(trade: VenueTrade, reason: str) -> Fill:
    base, quote = trade.symbol.split(":")[0].split("/")
    named = {base: "base", quote: "quote"}.get(trade.fee_currency, trade.fee_currency)
    fee, price = float(trade.fee), float(trade.price)
    in_quote = {"base": fee * price, "quote": fee}.get(named, 0.0)
    qty = float(trade.qty) if trade.side == "buy" else -float(trade.qty)
    return Fill(0, trade.time, 0, trade.symbol, qty, price, fee, in_quote, named, reason)


def order_lines(book: Book, ended: int = 0) -> tuple[OrderLine, ...]:
    """Give all unfinished orders of a book and the newest ``ended`` finished ones, oldest first."""
    finished = [order for key, order in book.orders.items() if key not in book.active]
    return tuple(_order_line(order) for order in (*finished[max(0, len(finished) - ended) :], *book.unsettled()))


def _order_line(order: OrderState) -> OrderLine:
    intent = order.intent
    return OrderLine(
        intent.key, order.client_id, intent.strategy, intent.symbol, intent.side, intent.kind, intent.qty,
        order.filled, intent.price, intent.stop_price, str(order.phase), order.cancel, order.reason or intent.reason,
        intent.asked_at, order.sent_at,
    )  # fmt: skip


def trade_line(strategy: str, trade: Trade | OpenTrade) -> TradeLine:
    """Word a trade, closed or not."""
    begun = TradeLine(
        strategy, trade.symbol, trade.side, exact(trade.qty), trade.entry_time, exact(trade.entry_price),
        fees=exact(trade.fees_quote), entry_reason=trade.entry_reason,
    )  # fmt: skip
    if isinstance(trade, OpenTrade):
        return begun
    return TradeLine(
        strategy, trade.symbol, trade.side, begun.qty, trade.entry_time, begun.entry_price, trade.exit_time,
        exact(trade.exit_price), exact(trade.pnl), trade.return_, begun.fees, trade.entry_reason, trade.exit_reason,
    )  # fmt: skip


def exact(value: float) -> Decimal:
    """Turn a number into a decimal with the digits that Python shows of it."""
    return Decimal(repr(float(value)))
