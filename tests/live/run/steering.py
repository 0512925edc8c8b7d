"""A bot that can be steered and does nothing else: a cockpit that remembers, served on a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from itb.errors import JournalError
from itb.live.cockpit import BalanceLine, Health, OrderLine, PositionLine, Status, TradeLine
from itb.live.run.control import ControlServer

ORDER = OrderLine(
    "s|BTC/USDT|0|entry|1", "x1", "s", "BTC/USDT", "buy", "limit", Decimal("0.10"), Decimal("1E-8"), Decimal("61234.5"),
    None, "open", "", "signal", 1, 2,
)  # fmt: skip


@dataclass
class Panel:
    """A cockpit that says what it was told, and remembers it."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    health: Health = "HALTED"

    def status(self) -> Status:
        self.asked.append(("status", None))
        return Status(
            "demo", health=self.health, positions=(PositionLine("s", "BTC/USDT", Decimal("0.123456789012345678")),)
        )

    def orders(self, ended: int = 0) -> tuple[OrderLine, ...]:
        self.asked.append(("orders", ended))
        return (ORDER,) * (1 + ended)

    def trades(self, most: int = 20) -> tuple[TradeLine, ...]:
        raise JournalError(f"cannot read {most}")

    def balance(self) -> tuple[BalanceLine, ...]:
        raise ZeroDivisionError("with cAnArY-k3y inside")

    def pause(self, by: str) -> str:
        self.asked.append(("pause", by))
        return "No new risk is taken."

    def resume(self, by: str) -> str:
        return f"resumed by {by}, signature=deadbeef"

    def close(self, by: str, symbol: str = "", strategy: str = "") -> str:
        self.asked.append(("close", (by, symbol, strategy)))
        return "Closing."

    def stop(self, by: str, *, cancel: bool | None = None) -> str:
        self.asked.append(("stop", (by, cancel)))
        return "Stopping."


class Bot:
    """A control server on a loop of its own thread."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.panel = folder, Panel()
        self.commands: list[tuple[Any, ...]] = []
        self.server = ControlServer(
            self.panel, folder, commanded=lambda *said: self.commands.append(said), **settings
        )  # fmt: skip
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self.server.start())

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def stop(self) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)
        self.loop.close()


@contextlib.contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Bot]:
    bot = Bot(folder, **settings)
    try:
        yield bot
    finally:
        bot.stop()
