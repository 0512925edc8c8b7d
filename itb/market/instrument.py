"""Instruments: what is traded, and the rounding rules of the venue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from itb.market.bars import FloatArray

QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "BTC", "ETH", "BNB")
_EXACT = Context(prec=80, rounding=ROUND_DOWN)  # the default 28 digits would round a long quantity up
_NEAR, _MANY = 1e-6, 1e9  # a float quotient of less than 1e9 is known to better than a millionth


def canonical_symbol(text: str) -> str:
    """Give a symbol its one stored spelling, ``BASE/QUOTE`` or ``BASE/QUOTE:SETTLE`` for a perpetual.

    Raises ``ValueError`` when base and quote cannot be told apart (``DOTUSD`` could be DOT/USD or DO/TUSD).

    >>> [canonical_symbol(s) for s in ("BTCUSDT", "btc/usdt", "BTC-USDT", "BTC/USDT:USDT", "BTC_USDT_USDT")]
    ['BTC/USDT', 'BTC/USDT', 'BTC/USDT', 'BTC/USDT:USDT', 'BTC/USDT:USDT']
    """
    name = text.strip().upper()
    parts = [part for part in re.split(r"[/:_-]", name) if part]
    if not parts or not all(part.isalnum() for part in parts):
        raise ValueError(f'symbol must look like "BTC/USDT" or "BTC/USDT:USDT", was {text!r}')
    if len(parts) == 1:
        parts = _split(name)
    if len(parts) > 3:
        raise ValueError(f'symbol must look like "BTC/USDT" or "BTC/USDT:USDT", was {text!r}')
    base, quote, *settle = parts
    return f"{base}/{quote}" + (f":{settle[0]}" if settle else "")


def _split(name: str) -> list[str]:
    pairs = [[name.removesuffix(quote), quote] for quote in QUOTES if name.endswith(quote) and name != quote]
    if not pairs:
        raise ValueError(f'cannot split symbol {name!r} into base and quote; write it as "BASE/QUOTE"')
    if len(pairs) > 1 and len(pairs[0][0]) <= 2:
        readings = " or ".join("/".join(pair) for pair in reversed(pairs))
        raise ValueError(f'symbol {name!r} could be {readings}; write it as "BASE/QUOTE"')
    return pairs[0]


@dataclass(frozen=True)
class Instrument:
    """What is traded: price tick, quantity step, minimum quantity (base) and minimum notional (quote).

    Rounding never rounds a quantity up, and never lets a price be worse than asked for.

    >>> btc = Instrument("BTC/USDT", tick=Decimal("0.01"), step=Decimal("0.00001"), min_notional=Decimal("5"))
    >>> btc.quantise(Decimal("0.0123456789"))
    Decimal('0.01234')
    >>> btc.refusal(Decimal("0.0001"), Decimal("20000"))
    'notional 2.0000 USDT is below the minimum 5 USDT'
    """

    symbol: str
    tick: Decimal = Decimal("0.01")
    step: Decimal = Decimal("0.00001")
    min_qty: Decimal = Decimal("0.00001")
    min_notional: Decimal = Decimal(5)

    def __post_init__(self) -> None:
        if canonical_symbol(self.symbol) != self.symbol:
            raise ValueError(f"symbol must be written {canonical_symbol(self.symbol)!r}, was {self.symbol!r}")
        if self.tick <= 0 or self.step <= 0 or self.min_qty < 0 or self.min_notional < 0:
            raise ValueError(
                f"{self.symbol}: tick and step must be above 0, minima at least 0, were tick {self.tick}, "
                f"step {self.step}, min_qty {self.min_qty}, min_notional {self.min_notional}"
            )

    @property
    def base(self) -> str:
        """The coin that is bought and sold."""
        return self.symbol.split("/")[0]

    @property
    def quote(self) -> str:
        """The currency that prices are in."""
        return self.symbol.split("/")[1].split(":")[0]

    @property
    def is_perpetual(self) -> bool:
        """Whether this is a perpetual contract (``BASE/QUOTE:SETTLE``)."""
        return ":" in self.symbol

    def quantise(self, qty: Decimal) -> Decimal:
        """Round a quantity (>= 0, base units) down to the step."""
        return _floor(qty, self.step)

    def quantise_price(self, price: Decimal, *, is_buy: bool) -> Decimal:
        """Round a limit price (quote) to the tick: down for a buy, up for a sell, so never to a worse price."""
        down = _floor(price, self.tick)
        return down if is_buy or down == price else _EXACT.add(down, self.tick)

    @cached_property
    def _step(self) -> tuple[float, int]:
        return float(self.step), max(0, -int(self.step.normalize().as_tuple().exponent))

    @cached_property
    def float_step(self) -> tuple[float, float, float]:
        """The step as ``(step, unit, scale)``: ``n * unit / scale`` is the float nearest to ``n`` steps, exactly."""
        return float(self.step), *_ratio(self.step)

    def floor_qty(self, qty: float) -> float:
        """Round a research quantity (float >= 0) down to the step, never above ``qty``; at most one step below.

        >>> Instrument("BTC/USDT", step=Decimal("0.001")).floor_qty(0.0129)
        0.012
        """
        step, digits = self._step
        steps = int(qty / step)
        if round((steps + 1) * step, digits) <= qty:
            steps += 1  # 0.3 / 0.1 is 2.9999999999999996
        floored = round(steps * step, digits)
        return floored if floored <= qty else float(self.quantise(Decimal(qty)))

    def floor_qtys(self, qtys: FloatArray) -> FloatArray:
        """Round many quantities as :meth:`floor_qty` does, bit for bit.

        >>> import numpy as np
        >>> Instrument("BTC/USDT", step=Decimal("0.001")).floor_qtys(np.array([0.0129, 0.3])).tolist()
        [0.012, 0.3]
        """
        steps, unclear = _whole(qtys, self.step)
        floored = multiples(steps, self.step)
        for row in unclear.nonzero()[0]:
            floored[row] = self.floor_qty(float(qtys[row]))
        return floored

    def quantise_prices(self, prices: FloatArray, *, is_buy: bool) -> FloatArray:
        """Round many limit or stop prices to the tick as :meth:`quantise_price` does, bit for bit.

        >>> import numpy as np
        >>> Instrument("BTC/USDT").quantise_prices(np.array([0.129, 0.3]), is_buy=False).tolist()
        [0.13, 0.3]
        """
        ticks, unclear = _whole(prices, self.tick)
        rounded = multiples(ticks if is_buy else ticks + 1.0, self.tick)
        for row in unclear.nonzero()[0]:
            rounded[row] = float(self.quantise_price(Decimal(repr(float(prices[row]))), is_buy=is_buy))
        return rounded

    def refusal(self, qty: Decimal, price: Decimal) -> str | None:
        """Why the venue would refuse this order, or ``None`` if it would not."""
        if qty < self.min_qty or qty <= 0:
            return f"quantity {qty} {self.base} is below the minimum {self.min_qty} {self.base}"
        if qty * price < self.min_notional:
            return f"notional {qty * price} {self.quote} is below the minimum {self.min_notional} {self.quote}"
        return None


def _floor(value: Decimal, unit: Decimal) -> Decimal:
    return _EXACT.multiply(_EXACT.divide(value, unit).to_integral_value(ROUND_DOWN), unit)


def multiples(counts: FloatArray, unit: Decimal) -> FloatArray:
    """Give ``counts`` (whole numbers) times ``unit``, each the float nearest to the decimal product.

    A quotient of two floats that hold whole numbers is rounded once, so it is exact where a product with 0.1 is not.

    >>> import numpy as np
    >>> multiples(np.array([3.0]), Decimal("0.1")).tolist(), 3 * 0.1
    ([0.3], 0.30000000000000004)
    """
    above, below = _ratio(unit)
    return counts * above / below


def _ratio(unit: Decimal) -> tuple[float, float]:
    scale = 10 ** max(0, -int(unit.normalize().as_tuple().exponent))
    return float(unit * scale), float(scale)


def _whole(values: FloatArray, unit: Decimal) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Count whole units in each value; and say where floats leave it open (beside a whole number of units)."""
    import numpy as np  # settings name instruments too, and are read without numpy

    quotient = values / float(unit)
    counts = np.floor(quotient)
    rest = quotient - counts
    return counts, (rest < _NEAR) | (rest > 1 - _NEAR) | ~(quotient < _MANY)
