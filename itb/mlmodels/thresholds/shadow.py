"""Shadow trades: what sides would have brought if each were held for a fixed time, without an account."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from itb.mlmodels.thresholds.policy import Numbers, Sides


@dataclass(frozen=True, eq=False)
class ShadowTrades:
    """Trades in order of the bars that triggered them; ``profit`` is a fraction of the entry, after cost.

    ``is_alone`` marks those that a book with room for one trade would have taken: none was open when they began.
    """

    row: npt.NDArray[np.int64]
    side: Sides
    entry: Numbers
    exit: Numbers
    profit: Numbers
    is_alone: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)


def shadow_trades(sides: Sides, opens: Numbers, hold: int, cost: float) -> ShadowTrades:
    """Trade every bar that has a side: in at the next open, out at the open ``hold`` bars later.

    Trades may overlap, as binancepredict's do; ``cost`` is of a round trip, a fraction. A trade whose exit is not there
    yet is none.

    >>> opens = np.array([100.0, 100.0, 110.0, 121.0, 121.0])
    >>> trades = shadow_trades(np.array([1, 1, 0, 0, 0], dtype=np.int8), opens, hold=2, cost=0.01)
    >>> trades.row.tolist(), trades.profit.round(3).tolist(), trades.is_alone.tolist()
    ([0, 1], [0.2, 0.09], [True, False])
    """
    if hold < 1:
        raise ValueError(f"hold must be at least 1 bar, was {hold}")
    rows = np.flatnonzero(sides)
    rows = rows[rows + 1 + hold < len(opens)].astype(np.int64)
    entry, out = opens[rows + 1], opens[rows + 1 + hold]
    alone = np.zeros(len(rows), dtype=np.bool_)
    free = 0
    for place, row in enumerate(rows.tolist()):
        if row >= free:
            alone[place], free = True, row + hold
    return ShadowTrades(rows, sides[rows], entry, out, sides[rows] * (out / entry - 1) - cost, alone)


def in_turn(rows: npt.NDArray[np.int64], hold: int, tranches: int) -> npt.NDArray[np.bool_]:
    """Mark the triggers (rows in order) that find one of ``tranches`` free, each held for ``hold`` bars.

    As in a backtest and live: an exit is ordered at the close that a holding time ends with and fills at the next open,
    so that a tranche is free again at the close after it.

    >>> in_turn(np.array([0, 1, 2, 3, 4]), hold=2, tranches=2).tolist()
    [True, True, False, True, True]
    """
    free = np.zeros(tranches, dtype=np.int64)
    taken = np.zeros(len(rows), dtype=np.bool_)
    for place, row in enumerate(rows.tolist()):
        ready = np.flatnonzero(free <= row)
        if len(ready):
            taken[place], free[ready[0]] = True, row + hold + 1
    return taken
