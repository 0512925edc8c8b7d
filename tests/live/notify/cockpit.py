"""A bot without a venue whose money is kept by the real ledger: what the chat shows can be checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from itb.errors import GatewayError
from itb.ledger.trades import TradeBook
from itb.live.cockpit import BalanceLine, BarLine, OrderLine, PositionLine, ScoreLine, Status, StrategyLine, TradeLine
from itb.live.notify.chat.bridge import LockLine, ModelLine, Report
from itb.live.notify.diagram_notifier import Diagram
from itb.live.notify.events import ScoreSaid
from itb.live.notify.message import Drawing
from itb.live.notify.people import People
from itb.market.fills import Fill

HOUR = 3_600_000
FEE = 0.001


def _dec(value: float) -> Decimal:
    return Decimal(repr(float(value)))


@dataclass
class LedgerCockpit:
    """Trades at the last price, at a tenth of a per cent, and writes down who ordered what."""

    prices: dict[str, float] = field(default_factory=lambda: {"BTC/USDT": 24_000.0, "ETH/USDT": 1_600.0})
    cash: float = 10_000.0
    now: int = 1_700_000_000_000
    ordered: list[tuple[str, ...]] = field(default_factory=list)
    asked: int = 0
    is_paused: bool = False
    is_running: bool = True
    blocks: list[str] = field(default_factory=list)
    locked: list[LockLine] = field(default_factory=list)
    resting: list[OrderLine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.books = {symbol: TradeBook(symbol) for symbol in self.prices}
        self.fills: list[Fill] = []
        self._diagram = Diagram(blocks=24).reporter(People())
        for symbol, price in self.prices.items():
            for n in range(24):
                close = price * (1 + 0.001 * (n % 5))
                time = self.now - (24 - n) * HOUR
                self._diagram.tell(
                    ScoreSaid(time, symbol, "1h", close, close, close, close, {"up_lightgbm": 0.1 * (n % 3)})
                )

    def trade(self, symbol: str, qty: float, reason: str) -> None:
        """Execute at the last price."""
        price = self.prices[symbol]
        fee = abs(qty) * price * FEE
        fill = Fill(self.now // HOUR, self.now, len(self.fills) + 1, symbol, qty, price, fee, fee, reason=reason)
        self.fills.append(fill)
        self.books[symbol].add(fill)
        self.cash += fill.cash_change

    @property
    def equity(self) -> float:
        """Cash and what the positions are worth."""
        return self.cash + sum(book.position * self.prices[symbol] for symbol, book in self.books.items())

    # -- looking

    def status(self) -> Status:
        self.asked += 1
        positions = []
        for symbol, book in self.books.items():
            if (held := book.open) is not None:
                marked = book.mark(self.now // HOUR, self.now, self.prices[symbol])
                assert marked is not None
                positions.append(
                    PositionLine(
                        "MLThreshold",
                        symbol,
                        _dec(book.position),
                        _dec(held.entry_price),
                        held.entry_time,
                        _dec(self.prices[symbol]),
                        _dec(marked.pnl),
                    )
                )
        closed = self.trades(1_000)
        gained = sum((trade.profit or Decimal(0) for trade in closed), Decimal(0))
        return Status(
            "hourly", "paper", self.is_running, 1, self.now, self.now - 5 * HOUR,
            "DEGRADED" if self.is_paused else "NORMAL", ("paused by a person",) if self.is_paused else (), (), 120,
            len(self.resting), _dec(self.equity), _dec(10_000.0), _dec(10_000.0),
            tuple(BarLine(symbol, self.now - HOUR, _dec(price)) for symbol, price in self.prices.items()),
            (ScoreLine("BTC/USDT", "up_lightgbm", self.now - HOUR, 0.34), ScoreLine("BTC/USDT", "down_svc", 0, None)),
            tuple(positions),
            (
                StrategyLine("MLThreshold", _dec(self.equity), len(closed), gained),
                StrategyLine("Patient", _dec(10_100.0), 3, Decimal("100.5"), is_shadow=True),
            ),
        )  # fmt: skip

    def orders(self, ended: int = 0) -> tuple[OrderLine, ...]:
        self.asked += 1
        return tuple(self.resting)

    def trades(self, most: int = 20) -> tuple[TradeLine, ...]:
        self.asked += 1
        closed = sorted((trade for book in self.books.values() for trade in book.closed), key=lambda t: t.exit_time)
        lines = [
            TradeLine(
                "MLThreshold", t.symbol, t.side, _dec(t.qty), t.entry_time, _dec(t.entry_price), t.exit_time,
                _dec(t.exit_price), _dec(t.pnl), t.return_, _dec(t.fees_quote), t.entry_reason, t.exit_reason,
            )
            for t in closed
        ]  # fmt: skip
        lines += [
            TradeLine(
                "MLThreshold", b.symbol, b.open.side, _dec(b.open.qty), b.open.entry_time, _dec(b.open.entry_price)
            )
            for b in self.books.values()
            if b.open is not None
        ]
        return tuple(lines[-most:])

    def balance(self) -> tuple[BalanceLine, ...]:
        self.asked += 1
        held = [
            BalanceLine(symbol.partition("/")[0], _dec(book.position), _dec(book.position * self.prices[symbol]))
            for symbol, book in self.books.items()
            if book.position
        ]
        return (BalanceLine("USDT", _dec(self.cash), _dec(self.cash)), *held)

    def config(self) -> Mapping[str, Any]:
        self.asked += 1
        return {"data": {"timeframe": "1h", "symbols": list(self.prices)}, "costs": {"taker_fee_bps": 10.0}}

    def symbols(self) -> tuple[str, ...]:
        self.asked += 1
        return tuple(self.prices)

    def blocked(self) -> tuple[str, ...]:
        self.asked += 1
        return tuple(self.blocks)

    def locks(self) -> tuple[LockLine, ...]:
        self.asked += 1
        return tuple(self.locked)

    def logs(self, most: int = 20) -> tuple[str, ...]:
        self.asked += 1
        return tuple(f"line {n} <&>" for n in range(most))

    def models(self) -> tuple[ModelLine, ...]:
        self.asked += 1
        line = ModelLine("up_lightgbm", self.now - 30 * HOUR, self.now - 28 * HOUR, self.now + HOUR, 0, "AUC 0.56")
        return (replace(line, challenger_at=self.now - 6 * HOUR, challenger_bars=1_360, challenger_distance=0.01234),)

    def scoreboard(self) -> str:
        self.asked += 1
        return "12 signals graded, 7 right"

    async def search(self) -> Report:
        self.asked += 1
        return Report("BTCUSDT-1h: running, 12 of 40 trials")

    def drawing(self, symbol: str) -> Drawing:
        self.asked += 1
        return self._diagram.drawing(symbol)

    async def backtest(self, by: str, days: int) -> Report:
        self.ordered.append(("backtest", by, str(days)))
        return Report("A week: +1.2 %", self._diagram.drawing("BTC/USDT").png())

    # -- ordering

    def pause(self, by: str) -> str:
        self.ordered.append(("pause", by))
        self.is_paused = True
        return "Paused: nothing new is entered."

    def resume(self, by: str) -> str:
        self.ordered.append(("resume", by))
        self.is_paused = False
        return "Trades from the next bar on."

    def stop(self, by: str, *, cancel: bool | None = None) -> str:
        self.ordered.append(("stop", by))
        self.is_running = False
        return "Stops now."

    def close(self, by: str, symbol: str = "", strategy: str = "") -> str:
        self.ordered.append(("close", by, symbol))
        closed = [one for one, book in self.books.items() if book.position and symbol in ("", one)]
        if not closed:
            raise GatewayError(f"{symbol or 'nothing'} is not held; there is nothing to close")
        for one in closed:
            self.trade(one, -self.books[one].position, "user")
        return f"Closes {', '.join(closed)}."

    def force_enter(self, by: str, symbol: str, side: Literal["long", "short"]) -> str:
        self.ordered.append(("force_enter", by, symbol, side))
        if symbol in self.blocks:
            raise GatewayError(f"{symbol} is blocked; lift it with /unblock")
        sign = 1 if side == "long" else -1
        self.trade(symbol, sign * 0.5 * self.cash / self.prices[symbol], "user")
        return f"Enters {symbol} {side}."

    def cancel(self, by: str, key: str = "") -> str:
        self.ordered.append(("cancel", by, key))
        self.resting = [order for order in self.resting if key and order.key != key]
        return "Cancelled."

    def reload_config(self, by: str) -> str:
        self.ordered.append(("reload_config", by))
        return "The config is read again."

    def block(self, by: str, symbol: str) -> str:
        self.ordered.append(("block", by, symbol))
        self.blocks.append(symbol)
        return f"{symbol} is blocked."

    def unblock(self, by: str, symbol: str) -> str:
        self.ordered.append(("unblock", by, symbol))
        if symbol not in self.blocks:
            raise GatewayError(f"{symbol} is not blocked")
        self.blocks.remove(symbol)
        return f"{symbol} may be entered again."

    def unlock(self, by: str, symbol: str = "") -> str:
        self.ordered.append(("unlock", by, symbol))
        self.locked = [lock for lock in self.locked if symbol and lock.symbol != symbol]
        return "Unlocked."
