"""What one strategy owns of an account: cash, coins and trades, as a fold over its executions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from backtrader.position import Position

from itb.datafeeds.settlements import settled_at
from itb.ledger.trades import TradeBook
from itb.live.orders.state import EXACT, signed_change
from itb.live.orders.working import WHOLE, Slicing
from itb.market.fills import Fill

if TYPE_CHECKING:
    from itb.engine.venue import Venue
    from itb.live.gateways.port import Funding, VenueTrade
    from itb.live.host.growing import GrowingBars


def _unknown(_currency: str) -> None:
    return None


@dataclass(frozen=True)
class Allotment:
    """Which part of an account a strategy trades.

    Parameters
    ----------
    strategy
        Its name in the journal; no two strategies of one bot share it.
    cash
        Quote currency that it began with.
    venues
        Terms of each symbol: costs, step, tick and minima.
    pairs
        Whether the venue takes pairs (:class:`itb.live.gateways.port.TakesPairs`), so that targets rest beside stops.
    worth_of
        Gives the worth in quote of one unit of a currency that fees are paid in, ``None`` where it is not known: then
        such fees are valued at the taker rate. On paper fees in any currency are counted in quote: 1.
    shares_account
        Whether other strategies trade the same account: then a purchase that the allotment cannot pay for at the close
        is refused here; else the venue says so.
    max_age_ms
        An entry that could not be sent this long after its bar's close is dropped (0 = never).
    keep
        How many closed trades of each symbol, and orders of this life, stay in memory at least (0 = all).
    slicing
        How large orders are cut.
    """

    strategy: str
    cash: Decimal
    venues: Mapping[str, Venue]
    pairs: bool = False
    worth_of: Callable[[str], float | None] = _unknown
    shares_account: bool = False
    max_age_ms: int = 0
    keep: int = 0
    slicing: Slicing = WHOLE


class Booked(NamedTuple):
    """One execution as backtrader books it: signed quantity after a fee in base, and what it closed and opened."""

    fill: Fill
    net: float
    net_price: float
    closed: float
    opened: float
    cost_price: float
    pnl: float
    closed_fee: float
    opened_fee: float


class Subaccount:
    """Cash, positions and trades of one strategy; the same executions give the same state."""

    def __init__(self, allotment: Allotment, bars: Mapping[str, GrowingBars]) -> None:
        self.allotment = allotment
        self._bars = bars
        self.exact_cash = allotment.cash
        self.fee_account = 0.0
        self.sizes: dict[str, Decimal] = dict.fromkeys(bars, Decimal(0))
        self.positions = {symbol: Position() for symbol in bars}
        self.histories = {symbol: TradeBook(symbol, allotment.venues[symbol].dust, allotment.keep) for symbol in bars}

    @property
    def cash(self) -> float:
        """Quote currency that is left."""
        return float(self.exact_cash)

    def bar_of(self, symbol: str, time: int) -> tuple[int, int]:
        """Give place and open time of the bar that holds a time; counted on, where it is before or after all bars."""
        bars = self._bars[symbol]
        opened = bars.timeframe.floor(time)
        times = bars.open_time
        left = times.left()
        if not len(left) or opened > left[-1] or opened < left[0]:
            edge = 0 if not len(left) else int(left[-1] if opened > left[-1] else left[0])
            place = len(times) - 1 if len(left) and opened > left[-1] else times.first
            return place + (opened - edge) // bars.timeframe.ms, opened
        place = times.searchsorted(opened, "right") - 1
        return place, int(times[place])

    def book(self, trade: VenueTrade, reason: str, order_id: int) -> Booked:
        """Take an execution in."""
        symbol, sign = trade.symbol, 1 if trade.side == "buy" else -1
        base, quote = symbol.split(":")[0].split("/")
        qty, price, fee = sign * float(trade.qty), float(trade.price), float(trade.fee)
        in_base, in_quote = trade.fee_currency == base, trade.fee_currency == quote
        change = signed_change(trade, symbol)
        net = float(change)
        net_price = qty * price / net if in_base else price
        fee_quote = fee if in_quote else fee * price if in_base else self._worth(trade)
        position = self.positions[symbol]
        cost_price = position.price
        _, _, opened, closed = position.pseudoupdate(net, net_price)
        paid = fee if in_quote else 0.0
        closed_fee = paid * closed / net if closed else 0.0
        booked = Booked(
            self._fill(trade, qty, fee, fee_quote, reason, order_id), net, net_price, closed, opened, cost_price,
            -closed * (net_price - cost_price) if closed else 0.0, closed_fee, paid - closed_fee,
        )  # fmt: skip
        position.update(net, net_price)
        self.sizes[symbol] = EXACT.add(self.sizes[symbol], change)
        position.size = float(self.sizes[symbol])
        spent = EXACT.multiply(sign * trade.qty, trade.price)
        self.exact_cash = EXACT.subtract(self.exact_cash, EXACT.add(spent, trade.fee if in_quote else Decimal(0)))
        if not in_base and not in_quote:
            self.fee_account -= fee_quote
        self.histories[symbol].add(booked.fill)
        return booked

    def book_funding(self, payment: Funding, share: Decimal) -> Fill:
        """Take a share of what holding a perpetual cost or brought in."""
        paid = EXACT.multiply(payment.amount, share)
        self.exact_cash = EXACT.add(self.exact_cash, paid)
        bar, opened = self.bar_of(payment.symbol, settled_at(payment.time))
        fee, price = -float(paid), float(payment.price)
        fill = Fill(bar, opened, 0, payment.symbol, 0.0, price, fee, fee, reason="funding")
        self.histories[payment.symbol].add(fill)
        return fill

    def _worth(self, trade: VenueTrade) -> float:
        """Value a fee in a third currency."""
        unit = self.allotment.worth_of(trade.fee_currency)
        if unit is not None:
            return float(trade.fee) * unit
        return float(trade.qty * trade.price) * self.allotment.venues[trade.symbol].costs.taker_fee

    def _fill(self, trade: VenueTrade, qty: float, fee: float, fee_quote: float, reason: str, order_id: int) -> Fill:
        bar, opened = self.bar_of(trade.symbol, trade.time)
        base, quote = trade.symbol.split(":")[0].split("/")
        named = {base: "base", quote: "quote"}.get(trade.fee_currency, trade.fee_currency)
        told = fee if named in {"base", "quote"} else fee_quote
        return Fill(
            bar, opened, order_id, trade.symbol, qty, float(trade.price), told, fee_quote, named, reason
        )  # fmt: skip
