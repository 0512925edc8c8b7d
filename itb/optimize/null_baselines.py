"""What the same trading would have earned without knowing anything: random entries, permuted positions, any refit.

Every p-value is ``(1 + random results at or above the claim) / (1 + random results)``; a NaN counts as above.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from itb.market.bars import FloatArray, IntArray

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]

_CHUNK = 2_000_000  # numbers at a time: bounds the memory, not the result


@dataclass(frozen=True, eq=False)
class NullBaseline:
    """A claim, what chance gave instead, and the share of chance that did as well."""

    claimed: float
    random: FloatArray
    p_value: float


def random_entries(
    prices: FloatArray,
    entries: IntArray,
    exits: IntArray,
    sides: IntArray,
    *,
    one_way_cost: float,
    times: int = 1_000,
    seed: int = 0,
) -> NullBaseline:
    """Place the same trades at random: their number, holding times, sides and costs stay, their places do not.

    ``prices`` are the prices trades can fill at (opens); trade ``i`` fills at ``prices[entries[i]]`` and
    ``prices[exits[i]]`` on ``sides[i]`` (1 long, -1 short), trades do not overlap and come in order. The claim is the
    sum of the trades' simple returns, each less ``2 * one_way_cost`` (a fraction). Every arrangement of the trades, in
    any order and with any gaps, is equally likely.

    >>> prices = 100 + 10 * np.sin(np.arange(400) / 5)
    >>> low = np.flatnonzero((prices[1:-1] < prices[:-2]) & (prices[1:-1] < prices[2:]))[:10] + 1
    >>> found = random_entries(prices, low, low + 15, np.ones(10, dtype=np.int64), one_way_cost=0.001, times=200)
    >>> found.claimed > 1, found.p_value < 0.01
    (True, True)
    """
    lengths = exits - entries
    count, bars = len(entries), len(prices)
    if not len(entries) == len(exits) == len(sides) or count == 0:
        raise ValueError(f"expected the same, positive number of entries, exits and sides, were {count}, {len(exits)}")
    if (lengths < 1).any() or (entries[1:] < exits[:-1]).any() or entries[0] < 0 or exits[-1] >= bars:
        raise ValueError("trades must be in order, at least one bar long, apart, and within the prices")
    rng = np.random.default_rng(seed)
    free = bars - 1 - int(lengths.sum())
    cost = 2 * one_way_cost * count
    claimed = float(np.sum(sides * (prices[exits] / prices[entries] - 1))) - cost
    random = np.empty(times)
    step = max(_CHUNK // count, 1)
    for first in range(0, times, step):
        rows = min(step, times - first)
        order = rng.permuted(np.broadcast_to(np.arange(count), (rows, count)), axis=1)
        length = lengths[order]
        # Sorted places among the free bars, made distinct: every way to spread the gaps is equally likely.
        gaps = _subsets(rng, rows, count, free + count) - np.arange(count)
        begin = gaps + np.cumsum(length, axis=1) - length
        random[first : first + rows] = np.sum(sides[order] * (prices[begin + length] / prices[begin] - 1), axis=1)
    random -= cost
    return NullBaseline(claimed, random, p_value(claimed, random))


def permuted_positions(
    positions: FloatArray | Matrix,
    returns: FloatArray | Matrix,
    *,
    one_way_cost: float,
    block: int,
    times: int = 1_000,
    seed: int = 0,
) -> NullBaseline:
    """Cut positions into blocks and put these into a random order: the same exposure, without its timing.

    ``positions[t]`` (fraction of equity, below 0 short) is held over ``returns[t]``; a change of position pays
    ``one_way_cost`` (fraction) of its size. The claim is the sum of returns after cost. Every random result pays what
    the claim paid: cuts between blocks add changes of position, which are no fault of chance. The circle of positions
    starts at a random bar. Blocks should be as long as a typical trade or longer. With a column for each of several
    symbols, those of one bar stay together.

    >>> returns = np.random.default_rng(0).normal(0, 0.01, 1_000)
    >>> seer = permuted_positions(np.sign(returns), returns, one_way_cost=0, block=5, times=200)
    >>> blind = permuted_positions(np.sign(returns[::-1]), returns, one_way_cost=0, block=5, times=200)
    >>> seer.p_value < 0.01, blind.p_value > 0.05
    (True, True)
    """
    bars = len(positions)
    if bars != len(returns) or not 1 <= block <= bars:
        raise ValueError(
            f"expected as many returns as positions and a block in them, were {len(returns)}, {bars}, {block}"
        )
    rng = np.random.default_rng(seed)

    held, moved = (values.reshape(bars, -1) for values in (positions, returns))
    cost = one_way_cost * float(np.abs(np.diff(held, prepend=0.0, axis=0)).sum())
    claimed = float((held * moved).sum()) - cost
    blocks = -(-bars // block)
    random = np.empty(times)
    step = max(_CHUNK // held.size, 1)
    within = np.arange(block)
    for first in range(0, times, step):
        rows = min(step, times - first)
        order = rng.permuted(np.broadcast_to(np.arange(blocks), (rows, blocks)), axis=1)
        # The blocks divide a circle of `blocks * block` bars, of which those past the last bar are left out.
        place = (order[:, :, None] * block + within).reshape(rows, -1)
        place = place[place < bars].reshape(rows, bars)
        place = (place + rng.integers(0, bars, (rows, 1))) % bars
        random[first : first + rows] = np.einsum("rbs,bs->r", held[place], moved)
    random -= cost
    return NullBaseline(claimed, random, p_value(claimed, random))


def permuted(
    claimed: float,
    evaluate: Callable[[np.random.Generator], float],
    *,
    times: int = 100,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> NullBaseline:
    """Compare ``claimed`` with what ``evaluate`` makes of chance, for instance a model fitted on permuted labels.

    ``evaluate`` is called ``times`` times with a random source of its own (seeded by number, so that a run that goes on
    later gives the same), and returns the same figure as the claim; :func:`permuted_blocks` permutes rows for it.
    Where ``stop`` says so, it is called no more, and those that are there count.

    >>> permuted(2.0, lambda rng: float(rng.normal()), times=99).p_value < 0.1
    True
    """
    sources = np.random.SeedSequence(seed).spawn(times)
    going = itertools.takewhile(lambda _: not stop(), sources)
    random = np.array([evaluate(np.random.default_rng(source)) for source in going], dtype=np.float64)
    return NullBaseline(claimed, random, p_value(claimed, random))


def permuted_blocks(count: int, block: int, rng: np.random.Generator) -> IntArray:
    """Give the rows of ``count`` in a random order of blocks of ``block`` rows, so that labels keep their clustering.

    >>> permuted_blocks(7, 3, np.random.default_rng(3)).tolist()
    [6, 3, 4, 5, 0, 1, 2]
    """
    order = rng.permutation(-(-count // block))
    rows = (order[:, None] * block + np.arange(block)).ravel()
    return np.asarray(rows[rows < count])


def p_value(claimed: float, random: FloatArray) -> float:
    """Give the share of chance, the claim itself counted, that did at least as well.

    >>> p_value(1.0, np.array([0.0, 2.0, 0.5]))
    0.5
    """
    return (1 + int(np.count_nonzero(~(random < claimed)))) / (1 + len(random))


def _subsets(rng: np.random.Generator, rows: int, size: int, of: int) -> npt.NDArray[np.int64]:
    """Draw ``rows`` sorted sets of ``size`` different numbers below ``of``, each set equally likely."""
    drawn = np.sort(rng.integers(0, of, (rows, size)), axis=1)
    for row in np.flatnonzero((np.diff(drawn, axis=1) == 0).any(axis=1)):
        drawn[row] = np.sort(rng.choice(of, size, replace=False))
    return drawn
