"""Whether a run of hits and misses is still what was expected, however often one looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BETS = 40
_Z = 1.959963984540054  # 97.5 % of a normal distribution lies below


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Give the 95 % interval of a rate (Wilson, 1927); without observations it is everything.

    >>> [round(end, 3) for end in wilson(7, 10)]
    [0.397, 0.892]
    """
    if not count:
        return 0.0, 1.0
    rate, square = hits / count, _Z * _Z
    middle = (rate + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def evidence_against(hits: Sequence[bool], rate: float) -> list[float]:
    """Say after each observation how much speaks against "each hits with at least this chance, whatever came before".

    It is the wealth of somebody who bets on misses, a mean over fixed stakes, beginning with 1: where the chance is
    ``rate`` or higher its expectation never grows, so it ever reaches ``1 / alpha`` with probability ``alpha`` at most
    (Ville, 1939; Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2024). One may
    look after every observation and stop at will. The observations must not share what decides them.

    >>> [round(value, 2) for value in evidence_against([False, False, True], 0.5)]
    [1.5, 2.33, 0.93]
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate must be above 0 and below 1, was {rate}")
    stakes = [(k + 1) / ((_BETS + 1) * (1 - rate)) for k in range(_BETS)]
    logs, found = [0.0] * _BETS, []
    for is_hit in hits:
        for k, stake in enumerate(stakes):
            logs[k] += math.log1p(stake * (rate - is_hit))
        top = max(logs)
        found.append(math.exp(min(top, 700.0)) * math.fsum(math.exp(value - top) for value in logs) / _BETS)
    return found
