"""An intent: what a strategy wants to trade, before anybody knows whether it can be had."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from itb.live.gateways.port import OrderKind, OrderRequest, Side


@dataclass(frozen=True, slots=True)
class Intent:
    """One wanted order. Its key says where it comes from, so the same decision is never two orders.

    Parameters
    ----------
    strategy, symbol, bar_time, leg, seq
        Who decided, on what, at which bar (open time), for which part of a plan, and the count within them.
    reference_price
        Price known when it was decided: limits and minimum notional of market orders are judged by it.
    reduces
        Whether it makes a position smaller: such orders pass limits and halts that stop new risk.
    asked_at
        When it was decided.
    max_age_ms
        An order that could not be sent by then is dropped, not sent late (0 = never).
    timeout_ms
        A resting order is cancelled after this long (0 = never).
    plan
        Name of the plan that it is a leg of.
    oco
        Name of a group of orders of which, once one is executed or ended, we cancel the others.
    pair
        Key of the order that is sent with it, where the execution of one ends the other.
    """

    strategy: str
    symbol: str
    bar_time: int
    side: Side
    kind: OrderKind
    qty: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    leg: str = "entry"
    seq: int = 1
    reference_price: Decimal = Decimal(0)
    reduces: bool = False
    reason: str = "signal"
    asked_at: int = 0
    max_age_ms: int = 0
    timeout_ms: int = 0
    plan: str = ""
    pair: str = ""
    oco: str = ""

    def __post_init__(self) -> None:
        if self.qty <= 0:
            raise ValueError(f"{self.symbol}: quantity of an order must be above 0, was {self.qty}")
        if (self.price is not None) != (self.kind in {"limit", "stop_limit"}):
            raise ValueError(f"{self.symbol}: a {self.kind} order has price {self.price}; only limits have a price")
        if (self.stop_price is not None) != (self.kind in {"stop", "stop_limit"}):
            raise ValueError(
                f"{self.symbol}: a {self.kind} order has stop price {self.stop_price}; only stops have one"
            )

    @property
    def key(self) -> str:
        """Identity of the decision."""
        return f"{self.strategy}|{self.symbol}|{self.bar_time}|{self.leg}|{self.seq}"

    @property
    def sign(self) -> Literal[1, -1]:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    @property
    def worst_price(self) -> Decimal:
        """Price that minimum notional and limits are judged by."""
        return self.price or self.stop_price or self.reference_price

    def is_stale(self, now: int) -> bool:
        """Whether it is too late to send it for the first time, or again."""
        return bool(self.max_age_ms) and now > self.asked_at + self.max_age_ms

    def request(self, client_id: str, *, sent_at: int, window_ms: int) -> OrderRequest:
        """Turn into what is sent."""
        return OrderRequest(
            client_id, self.symbol, self.side, self.kind, self.qty, self.price, self.stop_price, sent_at, window_ms,
            self.reduces,
        )  # fmt: skip
