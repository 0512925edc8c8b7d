"""Where live bars come from: the port, which an exchange's adapter and the replayed market both are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from itb.live.bars.bar import Bar
    from itb.market.timeframe import Timeframe


@dataclass(frozen=True, slots=True)
class Hint:
    """The stream's word that a symbol's bar has closed, with the bar if the stream tells it whole."""

    symbol: str
    open_time: int
    bar: Bar | None = None


class BarSource(Protocol):
    """Bars by request, the bars of record; and a stream of hints, which only wakes.

    Requests fail with :class:`itb.errors.GatewayError`, ``OSError`` or ``TimeoutError``.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a bar's values, OHLCV first."""

    async def bars(self, symbol: str, timeframe: Timeframe, since: int, limit: int) -> Sequence[Bar]:
        """Give at most ``limit`` bars that open at or after ``since``; the last one may still be running."""

    def hints(self) -> AsyncIterator[Hint]:
        """Listen; ends or fails when the connection does, and may then be called again."""
