"""One wanted order as it is worked: re-priced while it rests, in parts where it is large, never more than wanted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from itb.live.orders.intent import Intent
from itb.live.orders.moves import EndOrder
from itb.live.orders.state import EXACT, OrderState, Phase, total
from itb.market.instrument import Instrument

REPRICED = "a new price"


@dataclass(frozen=True, slots=True)
class Slicing:
    """How a large order is cut into parts that leave one after the other, so that it shows and moves less.

    Parameters
    ----------
    max_notional
        Orders worth more (in quote) are cut into equal parts of at most about that; 0 cuts none.
    most
        Parts at most, whatever they are worth then.
    spacing_ms
        Pause between the end of a part and the next one.
    jitter
        Sizes vary by up to this fraction, drawn from ``seed`` and the order's name: the same order, the same parts.
    seed
        Of the draw.
    """

    max_notional: Decimal = Decimal(0)
    most: int = 10
    spacing_ms: int = 0
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.max_notional >= 0 and self.most >= 1 and self.spacing_ms >= 0 and 0 <= self.jitter < 1):
            raise ValueError(
                "max_notional and spacing must be 0 or more, most 1 or more and jitter in [0, 1), were "
                f"{self.max_notional}, {self.spacing_ms} ms, {self.most} and {self.jitter}"
            )

    def part(self, whole: Decimal, left: Decimal, price: Decimal, instrument: Instrument, name: str) -> Decimal:
        """Give the next part of ``left``, the rest of ``whole``; what would be too small to follow goes with it.

        >>> btc = Instrument("BTC/USDT", step=Decimal("0.001"), min_qty=Decimal("0.001"))
        >>> Slicing(Decimal(30)).part(Decimal(1), Decimal(1), Decimal(100), btc, "order")
        Decimal('0.25')
        """
        if not self.max_notional or whole * price <= self.max_notional:
            return left
        each = whole / min(self.most, math.ceil(whole * price / self.max_notional))
        if self.jitter:
            drawn = int.from_bytes(hashlib.sha256(f"{self.seed}|{name}|{left}".encode()).digest()[:6]) / 2**48
            each *= 1 + Decimal(repr(self.jitter)) * (2 * Decimal(repr(drawn)) - 1)
        each = instrument.quantise(each)
        rest = EXACT.subtract(left, each)
        is_too_small = rest <= 0 or instrument.refusal(each, price) or instrument.refusal(rest, price)
        return left if is_too_small else each


WHOLE = Slicing()


@dataclass(frozen=True, slots=True)
class Work:
    """A wish and the orders that were sent for it, oldest first; what follows is a pure function of them.

    ``price`` is the limit that is wanted now: ``None`` for the wish's own, 0 for the market's. With ``is_over``
    nothing more is wanted.
    """

    wish: Intent
    orders: Sequence[OrderState]
    slicing: Slicing
    price: Decimal | None = None
    is_over: bool = False

    def ending(self) -> EndOrder | None:
        """Say which order is to end: one that rests at another price than is wanted, or that nobody wants."""
        last = self.orders[-1] if self.orders else None
        if last is None or last.is_settled or last.cancel:
            return None
        if self.is_over:
            return EndOrder(last.intent.key, "not wanted any more")
        wanted = self._wanted()
        is_as_wanted = (last.intent.kind, last.intent.price) == (wanted.kind, wanted.price)
        return None if is_as_wanted else EndOrder(last.intent.key, REPRICED)

    def next(self, instrument: Instrument) -> Intent | None:
        """Give the next order, ``None`` while one is unfinished and when there is nothing left to do."""
        last = self.orders[-1] if self.orders else None
        if self.is_over or (last is not None and not self._goes_on(last)):
            return None
        filled = total(order.filled for order in self.orders)
        left = instrument.quantise(EXACT.subtract(self.wish.qty, filled)) if self.orders else self.wish.qty
        wanted = self._wanted()
        if self.orders and instrument.refusal(left, wanted.worst_price):
            return None
        qty = self.slicing.part(self.wish.qty, left, wanted.worst_price, instrument, self.wish.key)
        return replace(wanted, qty=qty)

    @staticmethod
    def _goes_on(last: OrderState) -> bool:
        return last.is_settled and (last.phase is Phase.FILLED or last.reason == REPRICED)

    def is_due(self, now: int) -> bool:
        """Whether the pause after the part before is over."""
        filled = [fill.time for order in self.orders[-1:] if order.phase is Phase.FILLED for fill in order.fills]
        return not filled or now >= max(filled) + self.slicing.spacing_ms

    def _wanted(self) -> Intent:
        if self.price is None:
            return self.wish
        if not self.price:
            return replace(self.wish, kind="market", price=None, stop_price=None)
        return replace(self.wish, kind="limit", price=self.price, stop_price=None)
