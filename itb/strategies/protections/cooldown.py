"""Cool-down: no entry for a while after a trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from itb.ledger.trades import Trade
from itb.market.span import Span
from itb.strategies.protections.protection import Scope, span


@dataclass(frozen=True)
class Cooldown:
    """Enter a symbol again only some time after its last trade ended; a reversal becomes an exit.

    Parameters
    ----------
    stop_duration
        How long its entries are forbidden: a number of bars, or a length such as `"4h"`.

    >>> Cooldown(stop_duration=3).stops_for.count
    3
    """

    name: ClassVar[str] = "cooldown"
    refuses_reversal: ClassVar[bool] = True

    stop_duration: int | str = 1

    def __post_init__(self) -> None:
        _ = self.stops_for

    @property
    def looks_back(self) -> Span:
        """It looks at the trade alone that has just ended."""
        return Span(count=1)

    @property
    def stops_for(self) -> Span:
        """How long entries are forbidden."""
        return span("stop_duration", self.stop_duration)

    def triggers(self, recent: Sequence[Trade]) -> Scope | None:
        """Forbid entries of the symbol whose trade has just ended."""
        return Scope(recent[-1].symbol)
