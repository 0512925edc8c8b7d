"""Money of an order: what it locks, what a fill moves, what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from itb.live.practice.orders import ZERO, Fill, Order, down, times, up

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.live.practice.wallet import Wallet
    from itb.market.costs import Costs
    from itb.market.instrument import Instrument

FEE_CURRENCIES = ("quote", "base", "BNB")


@dataclass(frozen=True)
class Terms:
    """What trading costs at the venue, as fractions; ``volume_share`` bounds what one bar fills (``None``: no bound).

    ``fee_currency`` is ``"base"`` where the fee is taken from what was received (a buy's coins, a sell's proceeds),
    ``"quote"`` where it is always paid in the quote currency, ``"BNB"`` where it is paid in that coin while there is
    enough of it.
    """

    taker_fee: Decimal = Decimal("0.001")
    maker_fee: Decimal = Decimal("0.001")
    fee_currency: str = "base"
    slippage: Decimal = ZERO
    volume_share: Decimal | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.taker_fee < 1 and 0 <= self.maker_fee < 1 and 0 <= self.slippage < 1):
            raise ValueError(f"fees and slippage must be fractions from 0 to 1, were {self}")
        if self.fee_currency not in FEE_CURRENCIES:
            raise ValueError(f"fee_currency must be one of {', '.join(FEE_CURRENCIES)}, was {self.fee_currency!r}")
        if self.volume_share is not None and not 0 < self.volume_share <= 1:
            raise ValueError(f"volume_share must lie above 0 and at most at 1, was {self.volume_share}")

    @classmethod
    def of(cls, costs: Costs, volume_share: Decimal | None = None) -> Terms:
        """Charge what a backtest charges; half the spread counts as slippage, and impact is not known here."""
        slippage = costs.slippage_bps + costs.spread_bps / 2
        taker, maker, slipped = (
            Decimal(repr(bps)) / 10_000 for bps in (costs.taker_fee_bps, costs.maker_fee_bps, slippage)
        )
        return cls(taker, maker, costs.fee_currency, slipped, volume_share)

    def slipped(self, order: Order, price: Decimal) -> Decimal:
        """Give the price of an order that takes: worse by the slippage, never beyond its own limit."""
        if not self.slippage:
            return price
        moved = down(times(price, 1 + self.slippage if order.is_buy else 1 - self.slippage))
        if not order.is_limit:
            return moved
        return min(moved, order.ask.price) if order.is_buy else max(moved, order.ask.price)


class Settlement:
    """Moves money between order and wallet; every amount has 8 decimals, and no balance goes below zero.

    ``coin_price(quote)`` gives the price of BNB in a quote currency, or ``None``.
    """

    def __init__(self, wallet: Wallet, terms: Terms, coin_price: Callable[[str], Decimal | None]) -> None:
        self.wallet, self.terms, self._coin_price = wallet, terms, coin_price

    def held(self, order: Order, rules: Instrument) -> str:
        """Name the asset that an order locks."""
        return rules.quote if order.is_buy else rules.base

    def need(self, order: Order, price: Decimal, qty: Decimal) -> Decimal:
        """How much an order for ``qty`` at ``price`` must hold, fee included where it is paid in quote."""
        if not order.is_buy:
            return qty
        fee = max(self.terms.taker_fee, self.terms.maker_fee) if self.terms.fee_currency == "quote" else ZERO
        return up(times(times(qty, price), 1 + fee))

    def affordable(self, order: Order, price: Decimal, qty: Decimal, rules: Instrument) -> Decimal:
        """How much of ``qty`` the order's own hold and the free money pay for, in whole steps."""
        available = order.reserved + self.wallet.free(self.held(order, rules))
        if self.need(order, price, qty) <= available:
            return qty
        return down(qty * available / self.need(order, price, qty), rules.step)

    def reserve(self, order: Order, amount: Decimal, rules: Instrument) -> None:
        """Lock an amount for an order."""
        self.wallet.lock(self.held(order, rules), amount)
        order.reserved += amount

    def release(self, order: Order, rules: Instrument) -> None:
        """Give back what an order holds."""
        self.reserve(order, -order.reserved, rules)

    def settle(self, order: Order, fill: tuple[int, int, Decimal, Decimal], rules: Instrument, *, maker: bool) -> Fill:
        """Book one execution ``(id, time, price, qty)``."""
        number, time, price, qty = fill
        wallet = self.wallet
        self.release(order, rules)
        notional = down(times(price, qty))
        rate = self.terms.maker_fee if maker else self.terms.taker_fee
        wallet.add(rules.quote, -notional if order.is_buy else notional)
        wallet.add(rules.base, qty if order.is_buy else -qty)
        fee, asset = self._fee(order, rate, notional, qty, rules)
        wallet.add(asset, -fee)
        done = Fill(number, order.id, rules.base + rules.quote, order.ask.side, price, qty, notional, fee, asset, time,
                    maker)  # fmt: skip
        order.fills.append(done)
        order.filled += qty
        order.spent += notional
        order.updated = time
        if order.rest and order.is_limit:
            self.reserve(
                order, self.need(order, order.level, order.rest), rules
            )  # never more than it had, less its cost
        return done

    def _fee(
        self, order: Order, rate: Decimal, notional: Decimal, qty: Decimal, rules: Instrument
    ) -> tuple[Decimal, str]:
        in_quote = down(times(notional, rate))
        if self.terms.fee_currency == "BNB":
            price = self._coin_price(rules.quote)
            coins = None if price is None else down(in_quote / price)
            if coins is not None and coins <= self.wallet.free("BNB"):
                return coins, "BNB"
        if order.is_buy and self.terms.fee_currency != "quote":
            return down(times(qty, rate)), rules.base
        return in_quote, rules.quote
