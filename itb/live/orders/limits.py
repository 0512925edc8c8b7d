"""Hard limits: what the order machine refuses whoever asks. A strategy cannot change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from itb.live.orders.intent import Intent

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a strategy holds of a symbol (base units, signed), and what its unfinished orders may still trade."""

    position: Decimal = Decimal(0)
    buying: Decimal = Decimal(0)
    selling: Decimal = Decimal(0)

    def is_reduced_by(self, intent: Intent) -> bool:
        """Whether an order can only make the position smaller, whatever else is executed."""
        if intent.side == "sell":
            return intent.qty + self.selling <= self.position
        return intent.qty + self.buying <= -self.position


@dataclass(frozen=True, slots=True)
class Worth:
    """The account's worth in quote: now, when the UTC day began, and at its highest."""

    equity: Decimal
    day_start: Decimal
    peak: Decimal


@dataclass(frozen=True)
class Limits:
    """What may be risked; 0 is no limit. Orders that reduce a position pass all but the rate.

    Parameters
    ----------
    max_order_notional
        Largest order, in quote.
    max_position_notional
        Largest position of one strategy in one symbol, unfinished orders counted, in quote.
    max_orders_per_minute
        Orders beyond it wait.
    max_daily_loss
        Share of the day's first equity that may be lost before trading halts.
    max_drawdown
        Share of the highest equity that may be lost before trading halts.
    allow_short
        Whether a position may go below 0 (never on spot).
    """

    max_order_notional: Decimal = Decimal(0)
    max_position_notional: Decimal = Decimal(0)
    max_orders_per_minute: int = 0
    max_daily_loss: Decimal = Decimal(0)
    max_drawdown: Decimal = Decimal(0)
    allow_short: bool = False

    def __post_init__(self) -> None:
        for name in ("max_order_notional", "max_position_notional", "max_orders_per_minute"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 (no limit) or more, was {getattr(self, name)}")
        for name in ("max_daily_loss", "max_drawdown"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be a fraction, 0 (no limit) up to 1, was {getattr(self, name)}")

    def refusal(self, intent: Intent, exposure: Exposure, *, halted: str = "") -> str | None:
        """Why an order must not be sent, or ``None``.

        >>> order = Intent("demo", "BTC/USDT", 0, "buy", "market", Decimal(2), reference_price=Decimal(100))
        >>> Limits(max_order_notional=Decimal(150)).refusal(order, Exposure())
        'notional 200 is above limits.max_order_notional = 150'
        """
        if exposure.is_reduced_by(intent):
            return None
        if halted:
            return f"trading is halted: {halted}"
        if intent.side == "sell" and not self.allow_short:
            free = exposure.position - exposure.selling
            return f"sells {intent.qty}, but only {free} is held and not being sold; short positions are off"
        price = intent.worst_price
        if self.max_order_notional and intent.qty * price > self.max_order_notional:
            return f"notional {intent.qty * price} is above limits.max_order_notional = {self.max_order_notional}"
        reach = exposure.position + exposure.buying if intent.side == "buy" else exposure.selling - exposure.position
        if self.max_position_notional and (reach + intent.qty) * price > self.max_position_notional:
            return (
                f"position would be worth {(reach + intent.qty) * price}, above limits.max_position_notional = "
                f"{self.max_position_notional}"
            )
        return None

    def must_wait(self, sent: Sequence[int], now: int) -> bool:
        """Whether this minute's orders are used up; ``sent`` are the times of earlier ones."""
        recent = sum(time > now - MINUTE_MS for time in sent)
        return bool(self.max_orders_per_minute) and recent >= self.max_orders_per_minute

    def halt(self, worth: Worth) -> str | None:
        """Why no more risk may be taken, or ``None``.

        >>> Limits(max_daily_loss=Decimal("0.05")).halt(Worth(Decimal(94), Decimal(100), Decimal(100)))
        'lost 6.00 % since the day began, limits.max_daily_loss is 5.00 %'
        """
        for name, start, said in (
            ("max_daily_loss", worth.day_start, "since the day began"),
            ("max_drawdown", worth.peak, "since the highest equity"),
        ):
            limit: Decimal = getattr(self, name)
            lost = 1 - worth.equity / start if start > 0 else Decimal(0)
            if limit and lost >= limit:
                return f"lost {lost:.2%} {said}, limits.{name} is {limit:.2%}".replace("%", " %")
        return None
