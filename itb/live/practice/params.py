"""Parameters of a request, read with the refusals that the real exchange gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from itb.live.practice import refusals
from itb.live.practice.orders import ZERO, Ask
from itb.live.practice.refusals import RefusedError

_NUMBER = re.compile(r"\d{1,20}(\.\d{1,20})?")


@dataclass(frozen=True)
class Params:
    """Text by name; what is empty counts as not sent."""

    texts: Mapping[str, str]

    def text(self, name: str) -> str | None:
        """Give a text, or ``None``."""
        return self.texts.get(name) or None

    def need(self, name: str) -> str:
        """Give a text that must be there."""
        found = self.text(name)
        if found is None:
            raise RefusedError(refusals.missing(name))
        return found

    def whole(self, name: str) -> int | None:
        """Give a whole number, or ``None``."""
        found = self.text(name)
        if found is None:
            return None
        if not found.isascii() or not found.isdecimal() or len(found) > 18:
            raise RefusedError(refusals.missing(name))
        return int(found)

    def amount(self, name: str) -> Decimal:
        """Give a decimal number, 0 where it was not sent."""
        found = self.text(name)
        if found is None:
            return ZERO
        if not _NUMBER.fullmatch(found):
            raise RefusedError(refusals.missing(name))
        try:
            return Decimal(found)
        except InvalidOperation:
            raise RefusedError(refusals.missing(name)) from None

    def ask(self) -> Ask:
        """Read a new order."""
        kind = self.need("type")
        if kind in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}:
            self.need("timeInForce")
        return Ask(
            symbol=self.need("symbol"),
            side=self.need("side"),
            kind=kind,
            qty=self.amount("quantity"),
            price=self.amount("price"),
            stop=self.amount("stopPrice"),
            quote_qty=self.amount("quoteOrderQty"),
            tif=self.text("timeInForce") or "GTC",
            cid=self.text("newClientOrderId") or "",
        )

    def pair(self) -> tuple[Ask, Ask]:
        """Read an OCO, as the old endpoint words it (price, stopPrice) or the new one (above, below)."""
        symbol, side, qty = self.need("symbol"), self.need("side"), self.amount("quantity")

        def leg(kind: str, price: str, stop: str, tif: str, cid: str) -> Ask:
            return Ask(symbol, side, kind, qty, self.amount(price), self.amount(stop), ZERO, self.text(tif) or "GTC",
                       self.text(cid) or "")  # fmt: skip

        if self.text("aboveType") or self.text("belowType"):
            above, below = (
                leg(self.need(f"{place}Type"), f"{place}Price", f"{place}StopPrice", f"{place}TimeInForce",
                    f"{place}ClientOrderId")
                for place in ("above", "below")
            )  # fmt: skip
            return above, below
        has_limit = self.text("stopLimitPrice") is not None
        stop = leg(
            "STOP_LOSS_LIMIT" if has_limit else "STOP_LOSS", "stopLimitPrice", "stopPrice", "stopLimitTimeInForce",
            "stopClientOrderId",
        )  # fmt: skip
        return stop, leg("LIMIT_MAKER", "price", "", "", "limitClientOrderId")
