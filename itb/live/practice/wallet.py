"""The account's money: free and locked, never below zero."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from itb.live.practice.orders import ZERO


class Wallet:
    """Balances by asset; each change says what it is.

    >>> wallet = Wallet({"USDT": Decimal(100)})
    >>> wallet.lock("USDT", Decimal(30))
    >>> wallet.free("USDT"), wallet.locked("USDT")
    (Decimal('70'), Decimal('30'))
    """

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        if any(amount < 0 for amount in balances.values()):
            raise ValueError(f"balances must be at least 0, were {dict(balances)}")
        self._free = dict(balances)
        self._locked: dict[str, Decimal] = {}

    def free(self, asset: str) -> Decimal:
        """Give what can be used."""
        return self._free.get(asset, ZERO)

    def locked(self, asset: str) -> Decimal:
        """Give what open orders hold."""
        return self._locked.get(asset, ZERO)

    def assets(self) -> list[str]:
        """Every asset that was ever held, in the order of the alphabet."""
        return sorted(self._free)

    def totals(self) -> dict[str, Decimal]:
        """Free plus locked, by asset."""
        return {asset: self.free(asset) + self.locked(asset) for asset in self.assets()}

    def lock(self, asset: str, amount: Decimal) -> None:
        """Move free money to locked (or back, where negative)."""
        self.add(asset, -amount)
        self._locked[asset] = self.locked(asset) + amount
        if self._locked[asset] < 0:
            raise ArithmeticError(f"{asset}: {self._locked[asset]} locked after a release of {-amount}")

    def add(self, asset: str, amount: Decimal) -> None:
        """Add to what is free (take, where negative)."""
        self._free[asset] = self.free(asset) + amount
        if self._free[asset] < 0:
            raise ArithmeticError(f"{asset}: {self._free[asset]} free after a change of {amount}")
