"""What backtrader would keep of a running strategy for ever, bounded: lines, orders and trades of long ago."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import Any

from itb.engine.lines import lines_below
from itb.errors import BarsError


class _Bounded:
    """Mixed into a line that was shortened: looking back behind its beginning is an error, not a wrong value."""

    array: Any
    _idx: int

    def __getitem__(self, ago: int) -> Any:
        place = self._idx + ago
        if place < 0:
            raise BarsError(_told(1 - ago, len(self.array)))
        return self.array[place]

    def get(self, ago: int = 0, size: int = 1) -> Any:
        """Give ``size`` values up to ``ago``, as a line that was not shortened does."""
        start = self._idx + ago - size + 1
        if start < 0:
            raise BarsError(_told(size - ago, len(self.array)))
        return self.array[start : start + size]


def _told(wanted: int, kept: int) -> str:
    return (
        f"a line was asked for its last {wanted:,} values, a running bot keeps {kept:,}; look back less far, or raise "
        "live.history"
    )


@cache
def _bounded(kind: Any) -> Any:
    return type(kind)(kind.__name__, (_Bounded, kind), {"__module__": __name__})


def let_go(strategy: Any, keep: int) -> None:
    """Shorten all lines of a strategy, its indicators and feeds to ``keep`` bars; ended orders and trades go.

    Bars are counted on as before. Call it between two bars, in the strategy's thread.
    """
    for line in chain(chain.from_iterable(feed.lines for feed in strategy.datas), lines_below(strategy)):
        excess = len(line.array) - keep
        if excess > 0:
            del line.array[:excess]
            line._idx -= excess
            if not isinstance(line, _Bounded):
                kind: Any = type(line)
                line.__class__ = _bounded(kind)
    strategy._orders.clear()
    for by_id in strategy._trades.values():
        for trades in by_id.values():
            del trades[:-1]


def needed(strategy: Any, keep: int) -> int:
    """Give how many bars a strategy's indicators need, at least ``keep``."""
    return int(max(keep, strategy._minperiod, *strategy._minperiods)) + 1
