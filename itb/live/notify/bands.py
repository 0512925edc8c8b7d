"""Bands of a score: how strong it is, by edges of one's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict


@dataclass(frozen=True)
class Band:
    """A stretch of scores that begins at ``edge``.

    While a score stays in it a message is sent every ``frequency`` minutes of the hour (0: only when the band changes).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    edge: float
    frequency: int = 0
    sign: str = ""
    bold: bool = False
    text: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.edge):
            raise ValueError(f"edge must be a finite number, was {self.edge}")
        if self.frequency < 0:
            raise ValueError(f"frequency must be 0 or more minutes, was {self.frequency}")


@dataclass(frozen=True)
class Ladder:
    """Bands above and below zero; a score is in one of them or in none.

    It is in the first positive one, from the top, that it reaches, else in the first negative one, from the bottom,
    whose edge lies above it.

    >>> ladder = Ladder((Band(0.1), Band(0.3)), (Band(-0.1), Band(-0.3)))
    >>> [ladder.place(score)[0] for score in (0.3, 0.29, 0.0, -0.1, -0.11, -0.5)]
    [2, 1, 0, 0, -1, -2]
    """

    positive: tuple[Band, ...]
    negative: tuple[Band, ...]

    def __post_init__(self) -> None:
        for name, bands in (("positive_bands", self.positive), ("negative_bands", self.negative)):
            edges = [band.edge for band in bands]
            twice = next((edge for edge in edges if edges.count(edge) > 1), None)
            if twice is not None:
                raise ValueError(f"{name} must have each edge once, {twice:g} is there twice")

    def place(self, score: float) -> tuple[int, Band | None]:
        """Give a score's band and its number: 1 and -1 are the weakest, 0 is none."""
        up = sorted(self.positive, key=lambda band: band.edge, reverse=True)
        for number, band in enumerate(up):
            if score >= band.edge:
                return len(up) - number, band
        down = sorted(self.negative, key=lambda band: band.edge)
        for number, band in enumerate(down):
            if score < band.edge:
                return number - len(down), band
        return 0, None


def steps(score: float, first_edge: float, step: float) -> int:
    """Count the signs of a score: one at ``first_edge``, one more for each further ``step``; 0 below.

    >>> [steps(score, 0.15, 0.05) for score in (-0.26, 0.15, 0.149, 0.3, -1.0)]
    [3, 1, 0, 4, 18]
    """
    reach = abs(score) - first_edge
    return math.floor(round(reach / step, 9)) + 1 if reach >= 0 else 0


def is_due(close_time: int, frequency: int) -> bool:
    """Whether the minute of the hour of a close is one of every ``frequency``; never for 0."""
    return frequency > 0 and (close_time // 60_000) % 60 % frequency == 0
