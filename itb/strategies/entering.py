"""How positions are entered: at the market, or by limit orders that rest, follow the closes and run out of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from itb.engine.orders import Protection
    from itb.strategies.coin import Coin

_WHOLE_BPS = 10_000


@dataclass(frozen=True)
class EntrySettings:
    """How a position is entered; lengths are bars.

    Parameters
    ----------
    entry
        ``"market"``: at the next open. ``"limit"``: by a limit order that rests.
    entry_offset_bps
        How far below the close (above it, to enter short) the limit lies, in basis points; below 0: beyond the close,
        so that it takes.
    entry_reprice
        Whether the limit follows each close; else it rests where it was placed.
    entry_bars
        How many bars an entry may rest; 0: until it fills or the opposite flag comes.
    entry_timeout
        What comes then: ``"cancel"``, or ``"market"`` for what is left.
    """

    entry: Literal["market", "limit"] = "market"
    entry_offset_bps: float = 0.0
    entry_reprice: bool = True
    entry_bars: int = 1
    entry_timeout: Literal["cancel", "market"] = "cancel"

    def __post_init__(self) -> None:
        if self.entry not in ("market", "limit"):
            raise ValueError(f'entry must be "market" or "limit", was {self.entry!r}')
        if self.entry_timeout not in ("cancel", "market"):
            raise ValueError(f'entry_timeout must be "cancel" or "market", was {self.entry_timeout!r}')
        if not -_WHOLE_BPS < self.entry_offset_bps < _WHOLE_BPS:
            raise ValueError(f"entry_offset_bps must lie between -10000 and 10000, was {self.entry_offset_bps}")
        if self.entry_bars < 0:
            raise ValueError(f"entry_bars must be 0 or more, was {self.entry_bars}")

    def limit_price(self, close: float, side: int) -> float | None:
        """Price of the limit that is placed at a close, ``None`` at the market; ``side`` 1 to buy, -1 to sell.

        >>> EntrySettings("limit", entry_offset_bps=50).limit_price(200.0, 1)
        199.0
        """
        return close * (1 - side * self.entry_offset_bps / _WHOLE_BPS) if self.entry == "limit" else None

    def dearest(self, close: float, side: int) -> float:
        """Price that a quantity decided at a close is paid for at most, before fee and cushion."""
        return max(close, self.limit_price(close, side) or close)


def pursue(coin: Coin, settings: EntrySettings, bar_ms: int, *, free: float, protect: Protection) -> bool:
    """Go on with an entry that rests, at a close: leave it, give it a new price, or end it when its time is over.

    ``free`` is the quote that may be spent. Gives whether it was given up for want of that.
    """
    order, close = coin.entry, coin.data.close[0]
    qty = order.executed.remsize
    side = 1 if qty > 0 else -1
    rested = (coin.now - order.info["since"]) // bar_ms
    is_over = 0 < settings.entry_bars <= rested
    if is_over and settings.entry_timeout == "cancel":
        coin.cancel_entry()
        return False
    price = None if is_over else settings.limit_price(close, side)
    if price is not None:
        quantised = coin.venue.quantise_price(price, is_buy=side > 0)
        if not settings.entry_reprice or quantised == order.created.price:
            return False
    cost = abs(qty) * max(close, price or close) * (1 + coin.venue.costs.taker_fee)
    if cost > free:
        coin.cancel_entry()
        return True
    coin.replace_entry(qty, price, reserve=cost, protect=protect)
    return False
