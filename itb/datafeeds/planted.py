"""Coins that foretell each other by a known rule: how well anyone can do is known, because it was put there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from itb.datafeeds.synthetic import START_MS
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

Effect = Literal["linear", "gated", "none"]

_PRICE = 100.0


@dataclass(frozen=True)
class PlantedPanel:
    """A leader, a gate and ``followers`` whose next return is foretold with an information coefficient of ``ic``.

    Returns are normal with standard deviation ``volatility``, independent but for the effect. ``"linear"``: a follower
    goes the way the leader went one bar before the last. ``"gated"``: it goes the way the leader just went where the
    gate's last return was above 0, and the other way elsewhere, so that no sum of returns foretells anything. Nobody
    can reach a higher correlation with the next return than ``ic``; the expected return itself reaches it.

    >>> bars = PlantedPanel("linear", length=3000, ic=0.5, seed=1).bars()
    >>> moves = {symbol: np.diff(np.log(one.close)) for symbol, one in bars.items()}
    >>> round(float(np.corrcoef(moves["LEAD/USDT"][:-2], moves["F1/USDT"][2:])[0, 1]), 1)
    0.5
    """

    effect: Effect
    length: int = 20_000
    followers: int = 2
    ic: float = 0.2
    volatility: float = 0.002
    timeframe: str = "15m"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.effect not in get_args(Effect):
            raise ValueError(f'effect must be "linear", "gated" or "none", was {self.effect!r}')
        if not 0 <= self.ic < 1:
            raise ValueError(f"ic must be at least 0 and below 1, was {self.ic}")
        if self.length < 3 or self.followers < 1:
            raise ValueError(f"expected 3 bars and 1 follower or more, were {self.length} and {self.followers}")

    @property
    def symbols(self) -> tuple[str, ...]:
        """Leader, gate, followers."""
        return ("LEAD/USDT", "GATE/USDT", *(f"F{number + 1}/USDT" for number in range(self.followers)))

    def bars(self) -> Mapping[str, Bars]:
        """Give the bars of every coin."""
        moves, _ = self._moves()
        rng = np.random.default_rng([self.seed, 1])
        timeframe = Timeframe.parse(self.timeframe)
        times = START_MS + np.arange(self.length) * timeframe.ms
        found = {}
        for symbol, move in zip(self.symbols, self.volatility * moves, strict=True):
            close = _PRICE * np.exp(np.cumsum(move))
            opened = np.concatenate([[_PRICE], close[:-1]])
            wicks = np.abs(rng.normal(0, self.volatility / 2, (2, self.length)))
            found[symbol] = Bars.of(
                symbol,
                timeframe,
                times,
                open=opened,
                high=np.maximum(opened, close) * np.exp(wicks[0]),
                low=np.minimum(opened, close) / np.exp(wicks[1]),
                close=close,
                volume=rng.lognormal(0, 1, self.length),
            )
        return found

    def expected(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """Give what is known of each coin's next return at each bar, in standard deviations; 0 where nothing is."""
        _, known = self._moves()
        return dict(zip(self.symbols, known, strict=True))

    def _moves(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give standardised returns, and of each coin what is known of the next one."""
        rng = np.random.default_rng([self.seed, 0])
        moves = rng.normal(size=(len(self.symbols), self.length))
        leader, gate = moves[0], moves[1]
        told = {
            "linear": np.concatenate([[0.0], leader[:-1]]),
            "gated": np.where(gate > 0, leader, -leader),
            "none": np.zeros(self.length),
        }
        known = np.zeros_like(moves)
        known[2:] = self.ic * told[self.effect]
        if self.effect != "none":
            moves[2:, 1:] = known[2:, :-1] + np.sqrt(1 - self.ic**2) * moves[2:, 1:]
        return moves, known
