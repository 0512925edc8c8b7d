"""Trades: fills gathered into round trips from flat to flat, at average prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from itb.market.fills import Fill, FillReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from itb.market.bars import Bars

Side = Literal["long", "short"]
ExitReason = FillReason | Literal["open"]

_ROUNDING = 1e-12  # of the quantity entered: what is left of a position by floating point alone


class Trade(NamedTuple):
    """A round trip: from flat, or from the reversing fill, to flat.

    ``entry_price`` and ``exit_price`` are averages over the fills' quantities before fees, in quote per base. ``qty``
    (above 0, base units) is what was entered in all, scale-ins included, after fees taken in base. ``pnl`` is what the
    account gained in quote after fees in any currency and funding; ``return_`` is ``pnl`` over the entry notional.
    ``funding`` is what was paid (received: below 0) in quote. Times are the open times of the fills' bars, UTC
    milliseconds; ``bars_held`` is ``exit_bar - entry_bar``, 0 for a trade inside one bar. An open trade is marked to
    the last close, at no cost, with ``exit_reason`` ``"open"``.
    """

    symbol: str
    side: Side
    entry_bar: int
    entry_time: int
    exit_bar: int
    exit_time: int
    qty: float
    entry_price: float
    exit_price: float
    fees_quote: float
    pnl: float
    return_: float
    bars_held: int
    entry_reason: FillReason
    exit_reason: ExitReason
    funding: float = 0.0
    is_open: bool = False

    @property
    def direction(self) -> int:
        """1 for a long, -1 for a short."""
        return 1 if self.side == "long" else -1


class OpenTrade(NamedTuple):
    """The position that stands: ``qty`` (above 0, base units) is what is held now, prices as in :class:`Trade`."""

    symbol: str
    side: Side
    entry_bar: int
    entry_time: int
    entry_price: float
    qty: float
    fees_quote: float
    funding: float
    entry_reason: FillReason

    @property
    def direction(self) -> int:
        """1 for a long, -1 for a short."""
        return 1 if self.side == "long" else -1


@dataclass(frozen=True)
class TradeSums:
    """All that a :class:`TradeBook` knows, as a value."""

    closed: tuple[Trade, ...]
    ended: int
    profit: float
    position: float
    flow: float
    entry: Fill | None
    direction: int
    sums: tuple[float, float, float, float, float, float, float]


class TradeHistory(Protocol):
    """What a strategy may ask about its own past: the ledger answers in a backtest, the journal live."""

    @property
    def closed(self) -> Sequence[Trade]:
        """Closed trades, oldest first."""

    @property
    def open(self) -> OpenTrade | None:
        """The open trade, or ``None`` when flat."""

    @property
    def last_exit_time(self) -> int | None:
        """Open time of the bar in which the last trade ended, ``None`` before the first did."""


class TradeBook:
    """Gather the fills of one symbol into trades, one fill at a time, each at a constant cost.

    A fill that crosses zero closes one trade and opens the next, its money and fee shared by quantity. A position
    smaller than ``dust`` (base units; a venue's quantity step) counts as flat: the trade ends, the rest is valued at
    that fill's price and carried, so that the sum of all ``pnl`` and :meth:`adrift` is what the account gained, to the
    last bit of rounding.

    With ``keep`` only the newest closed trades stay, so many at least and less than twice as many; ``ended`` counts all
    of them and ``profit`` is the sum of what they brought.

    >>> book = TradeBook("BTC/USDT")
    >>> book.add(Fill(3, 180_000, 1, "BTC/USDT", 2.0, 100.0, 0.2, 0.2, reason="entry"))
    >>> book.open.qty, book.closed
    (2.0, [])
    >>> book.add(Fill(7, 420_000, 2, "BTC/USDT", -2.0, 110.0, 0.22, 0.22, reason="target"))
    >>> round(book.closed[0].pnl, 2), book.closed[0].exit_reason, book.open, book.last_exit_time
    (19.58, 'target', None, 420000)
    """

    __slots__ = (
        "_closed", "_direction", "_entered", "_entry", "_entry_gross", "_entry_notional", "_exit_gross",
        "_exit_notional", "_fees", "_flow", "_funding", "_keep", "_open", "_position", "dust", "ended", "profit",
        "symbol",
    )  # fmt: skip

    def __init__(self, symbol: str, dust: float = 0.0, keep: int = 0) -> None:
        if not dust >= 0:
            raise ValueError(f"dust must be a quantity of at least 0, was {dust}")
        self.symbol = symbol
        self.dust = dust
        self._keep = keep
        self._closed: list[Trade] = []
        self.ended = 0
        self.profit = 0.0
        self._open: OpenTrade | None = None
        self._position = 0.0
        self._flow = 0.0  # quote in and out since the last trade ended, and what was carried from it
        self._entry: Fill | None = None
        self._direction = 0
        self._begin_sums()

    def sums(self) -> TradeSums:
        """Give all that is known, for another book to go on with."""
        return TradeSums(
            tuple(self._closed), self.ended, self.profit, self._position, self._flow, self._entry, self._direction,
            (self._entered, self._entry_gross, self._entry_notional, self._exit_gross, self._exit_notional, self._fees,
             self._funding),
        )  # fmt: skip

    def take_up(self, sums: TradeSums) -> None:
        """Go on with what another book knew: the next fill does here what it would have done there."""
        self._closed, self.ended, self.profit = list(sums.closed), sums.ended, sums.profit
        self._position, self._flow, self._entry = sums.position, sums.flow, sums.entry
        self._direction, self._open = sums.direction, None
        (
            self._entered, self._entry_gross, self._entry_notional, self._exit_gross, self._exit_notional, self._fees,
            self._funding,
        ) = sums.sums  # fmt: skip

    def _begin_sums(self) -> None:
        self._entered = self._entry_gross = self._entry_notional = 0.0
        self._exit_gross = self._exit_notional = self._fees = self._funding = 0.0

    @property
    def closed(self) -> Sequence[Trade]:
        """Closed trades, oldest first (the book's own list: it grows)."""
        return self._closed

    def closed_after(self, ended: int) -> Sequence[Trade]:
        """Give the trades that closed after the first ``ended``, as far as they are kept."""
        return self._closed[max(0, len(self._closed) - (self.ended - ended)) :]

    @property
    def last_exit_time(self) -> int | None:
        """Open time of the bar in which the last trade ended, ``None`` before the first did."""
        return self._closed[-1].exit_time if self._closed else None

    @property
    def position(self) -> float:
        """Signed position in base units, dust included."""
        return self._position

    @property
    def open(self) -> OpenTrade | None:
        """The open trade, or ``None`` when flat."""
        entry = self._entry
        if entry is None:
            return None
        if self._open is None:
            self._open = OpenTrade(
                self.symbol, self._side, entry.bar, entry.open_time, self._entry_notional / self._entry_gross,
                abs(self._position), self._fees, self._funding, entry.reason,
            )  # fmt: skip
        return self._open

    @property
    def _side(self) -> Side:
        return "long" if self._direction > 0 else "short"

    def adrift(self, price: float) -> float:
        """Quote gained on dust since the last trade ended, dust valued at ``price``; 0 while a trade is open."""
        return 0.0 if self._entry is not None else self._flow + self._position * price

    def add(self, fill: Fill) -> None:
        """Take the next fill, in the order in which they happened."""
        if fill.symbol != self.symbol:
            raise ValueError(f"fill of {fill.symbol} in the book of {self.symbol}: keep one book a symbol")
        self._open = None
        qty, fee = fill.qty, fill.fee_quote
        if fill.reason == "funding":
            self._flow -= fee
            self._funding += fee if self._entry is not None else 0.0
            return
        flow = -qty * fill.price
        change = qty
        if fill.fee_currency == "base":
            change -= fill.fee
        else:
            flow -= fee
        before = self._position
        after = before + change
        if self._entry is None:
            self._position = after
            self._flow += flow
            if not self._is_flat(after, change):
                self._enter(fill, change, qty, fee)
        elif change * self._direction > 0:
            self._position = after
            self._flow += flow
            self._grow(fill.price, change, qty, fee)
        elif after * self._direction > 0 or self._is_flat(after, self._entered):
            self._position = after
            self._flow += flow
            self._shrink(fill.price, qty, fee)
            if self._is_flat(after, self._entered):
                self._end(fill)
        else:
            share = -before / change
            self._position = 0.0
            self._flow += share * flow
            self._shrink(fill.price, share * qty, share * fee)
            self._end(fill)
            self._position = after
            self._flow += (1 - share) * flow
            self._enter(fill, after, (1 - share) * qty, (1 - share) * fee)

    def _is_flat(self, position: float, scale: float) -> bool:
        size = abs(position)
        return size < self.dust or size <= _ROUNDING * abs(scale)

    def _enter(self, fill: Fill, change: float, qty: float, fee: float) -> None:
        self._entry = fill
        self._direction = 1 if self._position > 0 else -1
        self._grow(fill.price, change, qty, fee)

    def _grow(self, price: float, change: float, qty: float, fee: float) -> None:
        self._entered += abs(change)
        self._entry_gross += abs(qty)
        self._entry_notional += abs(qty) * price
        self._fees += fee

    def _shrink(self, price: float, qty: float, fee: float) -> None:
        self._exit_gross += abs(qty)
        self._exit_notional += abs(qty) * price
        self._fees += fee

    def _end(self, fill: Fill) -> None:
        rest = self._position * fill.price
        price = self._exit_notional / self._exit_gross
        trade = self._trade(fill.bar, fill.open_time, price, self._flow + rest, fill.reason)
        self._closed.append(trade)
        self.ended, self.profit = self.ended + 1, self.profit + trade.pnl
        if self._keep and len(self._closed) >= 2 * self._keep:
            del self._closed[: -self._keep]
        self._flow = -rest
        self._entry = None
        self._begin_sums()

    def mark(self, bar: int, time: int, close: float) -> Trade | None:
        """Give the open trade valued at ``close``, the last of bar ``bar`` that opened at ``time``; ``None`` if flat.

        What was not yet left counts as left at ``close`` in ``exit_price`` too.
        """
        if self._entry is None:
            return None
        left = abs(self._position)
        price = (self._exit_notional + left * close) / (self._exit_gross + left)
        return self._trade(bar, time, price, self._flow + self._position * close, "open")

    def _trade(self, bar: int, time: int, price: float, pnl: float, reason: ExitReason) -> Trade:
        entry = self._entry
        assert entry is not None
        return Trade(
            self.symbol, self._side, entry.bar, entry.open_time, bar, time, self._entered,
            self._entry_notional / self._entry_gross, price, self._fees, pnl, pnl / self._entry_notional,
            bar - entry.bar, entry.reason, reason, self._funding, reason == "open",
        )  # fmt: skip


def round_trips(fills: Iterable[Fill], bars: Bars, *, dust: float = 0.0) -> list[Trade]:
    """Gather fills, ordered in time, into trades; one still open at the end comes last, marked to the last close.

    >>> from itb.market.bars import Bars
    >>> flat = dict.fromkeys(("open", "high", "low", "close"), [100.0, 130.0]) | {"volume": [1.0, 1.0]}
    >>> bars = Bars.of("BTC/USDT", "1m", [0, 60_000], **flat)
    >>> trade, = round_trips([Fill(0, 0, 1, "BTC/USDT", 1.0, 100.0, 0.1, 0.1)], bars)
    >>> trade.is_open, round(trade.pnl, 2), trade.exit_price
    (True, 29.9, 130.0)
    """
    book = TradeBook(bars.symbol, dust)
    for fill in fills:
        book.add(fill)
    trades = list(book.closed)
    if book.open is not None:
        last = len(bars) - 1
        still_open = book.mark(last, int(bars.open_time[last]), float(bars.close[last]))
        assert still_open is not None
        trades.append(still_open)
    return trades
