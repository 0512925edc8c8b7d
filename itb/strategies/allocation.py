"""How the symbols of one account share it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allocation:
    """How much of the equity one symbol's position is sized from, and how many positions may stand.

    Parameters
    ----------
    max_open_trades
        At most so many positions at a time, entries on their way included; 0: as many as there are symbols.
    equity_share
        Fraction of the equity that a position is sized from; 0: evenly, ``1 / max_open_trades``.

    >>> Allocation().share(4), Allocation(max_open_trades=2).share(4), Allocation(equity_share=0.3).share(4)
    (0.25, 0.5, 0.3)
    """

    max_open_trades: int = 0
    equity_share: float = 0.0

    def __post_init__(self) -> None:
        if self.max_open_trades < 0:
            raise ValueError(f"max_open_trades must be 0 or more, was {self.max_open_trades}")
        if not 0 <= self.equity_share <= 1:
            raise ValueError(f"equity_share must be a fraction in [0, 1], was {self.equity_share}")

    def slots(self, symbols: int) -> int:
        """How many positions may stand at a time."""
        return min(self.max_open_trades or symbols, symbols)

    def share(self, symbols: int) -> float:
        """Fraction of the equity that one symbol's position is sized from."""
        return self.equity_share or 1 / self.slots(symbols)

    def among(self, symbols: int) -> Allocation:
        """Give the same said in full, so that it stays what it is where fewer symbols are traded.

        >>> Allocation().among(4), Allocation(max_open_trades=8).among(4)
        (Allocation(max_open_trades=4, equity_share=0.25), Allocation(max_open_trades=4, equity_share=0.25))
        """
        return Allocation(self.slots(symbols), self.share(symbols))
