"""What a trial earned, day by day: all that objectives, windows and the verdict read."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from itb.market.bars import FloatArray, IntArray

Engine = Literal["vectorbt", "backtrader"]


@dataclass(frozen=True, eq=False)
class Performance:
    """Daily figures of one trial over the days of the search, and its closed trades.

    Parameters
    ----------
    daily
        Simple return of each UTC day, after costs; flat days are 0.
    daily_cost
        Fees and slippage paid on each day, as a share of the equity at its start.
    exit_day, trade_return
        Of each closed trade: the place in ``daily`` of the day it ended, and its profit after costs as a share of the
        starting cash.
    engine
        Who computed it.
    refused
        Why the sweep left it to backtrader; empty where it did not.
    """

    daily: FloatArray
    daily_cost: FloatArray
    exit_day: IntArray
    trade_return: FloatArray
    engine: Engine = "vectorbt"
    refused: str = ""

    def __post_init__(self) -> None:
        if len(self.daily) != len(self.daily_cost) or len(self.exit_day) != len(self.trade_return):
            raise ValueError(
                f"expected as many costs as days and as many exits as trades, were {len(self.daily_cost)} for "
                f"{len(self.daily)} and {len(self.exit_day)} for {len(self.trade_return)}"
            )

    def between(self, first: int, last: int) -> Performance:
        """Give the days ``first:last`` and the trades that ended in them."""
        inside = (self.exit_day >= first) & (self.exit_day < last)
        return Performance(
            self.daily[first:last],
            self.daily_cost[first:last],
            self.exit_day[inside] - first,
            self.trade_return[inside],
            self.engine,
            self.refused,
        )

    @property
    def rounded(self) -> Performance:
        """The same to the precision that is stored, so that a figure does not depend on whether it was stored."""
        return Performance(
            self.daily.astype(np.float32).astype(np.float64),
            self.daily_cost.astype(np.float32).astype(np.float64),
            self.exit_day,
            self.trade_return.astype(np.float32).astype(np.float64),
            self.engine,
            self.refused,
        )

    @property
    def at_twice_the_cost(self) -> Performance:
        """The same days with every cost paid a second time (trades keep their profit)."""
        return Performance(
            self.daily - self.daily_cost, self.daily_cost * 2, self.exit_day, self.trade_return, self.engine
        )

    def encoded(self) -> dict[str, Any]:
        """Give it as JSON knows it: packed, in the precision of :attr:`rounded`."""
        return {
            "daily": _pack(self.daily, "<f4"),
            "daily_cost": _pack(self.daily_cost, "<f4"),
            "exit_day": _pack(self.exit_day, "<i4"),
            "trade_return": _pack(self.trade_return, "<f4"),
            "engine": self.engine,
            "refused": self.refused,
        }

    @classmethod
    def decoded(cls, told: dict[str, Any]) -> Performance:
        """Read back what :meth:`encoded` gave."""
        return cls(
            _unpack(told["daily"], "<f4").astype(np.float64),
            _unpack(told["daily_cost"], "<f4").astype(np.float64),
            _unpack(told["exit_day"], "<i4").astype(np.int64),
            _unpack(told["trade_return"], "<f4").astype(np.float64),
            told["engine"],
            told["refused"],
        )


def _pack(values: FloatArray | IntArray, kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _unpack(text: str, kind: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), dtype=kind)
