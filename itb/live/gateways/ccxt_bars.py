"""Bars of an exchange through ccxt: requests are the bars of record, the stream only wakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from itb.errors import ConfigError, GatewayError
from itb.live.bars.bar import Bar
from itb.live.bars.source import Hint
from itb.live.gateways.ccxt_line import CallFailedError, Line
from itb.market.bars import OHLCV
from itb.market.timeframe import Timeframe

_NAN = float("nan")
# Binance's own rows tell more than ccxt passes on: places of the columns in them.
_BINANCE = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "trades": 8,
    "taker_buy_base": 9,
}
_STREAMED = {
    "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "quote_volume": "q", "trades": "n",
    "taker_buy_base": "V",
}  # fmt: skip
_CALLS = {"binance": "publicGetKlines", "binanceus": "publicGetKlines", "binanceusdm": "fapiPublicGetKlines"}


class CcxtBars:
    """Bars of some symbols in one timeframe.

    Parameters
    ----------
    line
        Way to the exchange.
    symbols, timeframe
        What is followed.
    columns
        Values of a bar, OHLCV first: those of the stored bars. Binance tells ``quote_volume``, ``trades`` and
        ``taker_buy_base`` too.
    """

    def __init__(
        self, line: Line, symbols: Iterable[str], timeframe: Timeframe, columns: Sequence[str] = OHLCV
    ) -> None:
        self.line, self.symbols, self.timeframe, self.columns = line, tuple(symbols), timeframe, tuple(columns)
        self._raw = _CALLS.get(line.traits.name)
        known = tuple(_BINANCE) if self._raw else OHLCV
        unknown = [name for name in self.columns if name not in known]
        if unknown or self.columns[: len(OHLCV)] != OHLCV:
            raise ConfigError(
                f"{line.traits.name}: bars are told with {', '.join(known)}, not with "
                f"{', '.join(unknown) or 'others'}; choose features that need no more, or store bars without them"
            )
        names = {_frame(name): name for name in line.client.timeframes or {}}
        if timeframe not in names:
            offered = ", ".join(str(frame) for frame in sorted(frame for frame in names if frame is not None))
            raise ConfigError(f"{line.traits.name}: timeframe {timeframe} is not offered, only {offered}")
        self._name = names[timeframe]

    async def bars(self, symbol: str, timeframe: Timeframe, since: int, limit: int) -> Sequence[Bar]:
        """Give at most ``limit`` bars that open at or after ``since``; the last one may still be running."""
        if timeframe != self.timeframe:
            raise GatewayError(f"{symbol}: bars of {self.timeframe} are followed, not of {timeframe}")
        markets = await self.line.load_markets()
        if symbol not in markets:
            raise GatewayError(f"{self.line.traits.name}: {symbol} is not listed")
        if self._raw is None:
            rows = await self.line.call("fetch_ohlcv", symbol, self._name, since, limit)
            return [_bar(row, range(1, 6)) for row in rows]
        asked = {"symbol": markets[symbol]["id"], "interval": self._name, "startTime": since, "limit": limit}
        rows = await self.line.call(self._raw, asked)
        if not isinstance(rows, list):
            raise GatewayError(f"{symbol}: an answer without bars")
        return [_bar(row, [_BINANCE[name] for name in self.columns]) for row in rows]

    async def hints(self) -> AsyncIterator[Hint]:
        """Listen to the stream of bars; ends with an error when it breaks, and may then be called again."""
        if not self.line.client.has.get("watchOHLCV"):
            await asyncio.Event().wait()  # nothing to listen to: bars come by requests alone
        await self.line.load_markets()
        heard: asyncio.Queue[Hint | None] = asyncio.Queue()
        if self._raw is not None:
            self._tap(heard.put_nowait)
        watchers = [asyncio.create_task(self._watch(symbol, heard.put_nowait)) for symbol in self.symbols]
        try:
            while (hint := await heard.get()) is not None:
                yield hint
            raise GatewayError(f"{self.line.traits.name}: the stream of bars broke")
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            self.line.hang_up()

    async def _watch(self, symbol: str, put: Callable[[Hint | None], None]) -> None:
        """Keep a subscription alive; where the stream has no word for "final", a new bar ends the one before."""
        running = 0
        try:
            while True:
                rows = await self.line.call("watch_ohlcv", symbol, self._name)
                newest = max((int(row[0]) for row in rows), default=0)
                if self._raw is None and running and newest > running:
                    put(Hint(symbol, running))
                running = max(running, newest)
        except (CallFailedError, asyncio.CancelledError):  # ccxt cancels what waits on a socket that it closes
            put(None)

    def _tap(self, put: Callable[[Hint], None]) -> None:
        """Listen to the very messages: ccxt drops their word for a final bar."""
        client = self.line.client

        def handle(told: Callable[..., None], socket: Any, message: Any) -> None:
            bar = message.get("k") if isinstance(message, dict) else None
            if isinstance(bar, dict) and bar.get("x") and bar.get("i") == self._name:
                symbol = next((s for s in self.symbols if client.markets[s]["id"] == bar.get("s")), None)
                if symbol is not None:
                    put(Hint(symbol, int(bar["t"]), self._streamed(bar)))
            told(socket, message)

        client.handle_ohlcv = partial(handle, partial(type(client).handle_ohlcv, client))

    def _streamed(self, bar: dict[str, Any]) -> Bar:
        return Bar(int(bar["t"]), tuple(_float(bar.get(_STREAMED[name])) for name in self.columns))


def _frame(name: str) -> Timeframe | None:
    try:
        return Timeframe.parse(name)
    except ValueError:
        return None  # seconds and calendar months are no timeframe here


def _bar(row: Any, places: Iterable[int]) -> Bar:
    try:
        return Bar(int(row[0]), tuple(_float(row[place]) for place in places))
    except (TypeError, ValueError, IndexError) as error:
        raise GatewayError(f"a row that is no bar: {str(row)[:80]} ({error})") from None


def _float(value: object) -> float:
    return _NAN if value is None else float(str(value))
