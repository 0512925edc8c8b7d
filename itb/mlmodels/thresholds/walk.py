"""Fit a policy on what was known before each block, and judge it on the block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from itb.mlmodels.labels.column import NEVER
from itb.mlmodels.thresholds.policy import Numbers, SideRule, Sides, ThresholdPolicy


@dataclass(frozen=True)
class BlockFit:
    """One block of rows ``[start, stop)``, and the rule that was fitted on ``[fitted_from, start)`` for it."""

    fitted_from: int
    start: int
    stop: int
    rule: SideRule


@dataclass(frozen=True, eq=False)
class PolicyWalk:
    """Sides of every row, taken by rules that knew earlier rows only."""

    sides: Sides
    fits: tuple[BlockFit, ...]


def walk_policy(
    policy: ThresholdPolicy,
    scores: Numbers,
    returns: Numbers,
    known_at: npt.NDArray[np.int64],
    *,
    block: int,
    lookback: int = 0,
) -> PolicyWalk:
    """Refit a policy at the start of every block of rows and let it take sides in that block.

    ``returns`` are a label's values with the rows ``known_at`` which they became known, in the shape of ``scores``
    (rows, or rows x coins); scores must be out of sample. A fit sees the last ``lookback`` rows before its block (0:
    all of them), and of their returns those known before the block's first row; the others are NaN to it. Before the
    first block there is nothing: a policy that must learn takes no side in it.

    >>> from itb.mlmodels.thresholds import MeanGap
    >>> rows = np.arange(8)
    >>> scores = np.array([1.0, -1.0, 2.0, -2.0] * 2)
    >>> walk_policy(MeanGap(), scores, scores / 100, rows + 1, block=5).sides.tolist()
    [0, 0, 0, 0, 0, 0, 1, -1]
    """
    if not scores.shape == returns.shape == known_at.shape:
        shapes = f"{scores.shape}, {returns.shape} and {known_at.shape}"
        raise ValueError(f"scores, returns and known_at must be of one shape, were {shapes}")
    if block < 1:
        raise ValueError(f"block must be at least 1 row, was {block}")
    if lookback < 0:
        raise ValueError(f"lookback must be at least 1 row, or 0 for all, was {lookback}")
    sides = np.zeros(scores.shape, dtype=np.int8)
    fits = []
    for start in range(0, len(scores), block):
        rule = fit_before(policy, scores, returns, known_at, start, lookback)
        now = slice(start, min(start + block, len(scores)))
        sides[now] = rule.sides(scores[now])
        fits.append(BlockFit(_first_seen(start, lookback), now.start, now.stop, rule))
    return PolicyWalk(sides, tuple(fits))


def fit_before(
    policy: ThresholdPolicy,
    scores: Numbers,
    returns: Numbers,
    known_at: npt.NDArray[np.int64],
    start: int,
    lookback: int = 0,
) -> SideRule:
    """Fit a policy for the block that begins at row ``start``, on the rows before and the returns known by then."""
    past = slice(_first_seen(start, lookback), start)
    is_known = (known_at[past] != NEVER) & (known_at[past] < start)
    return policy.fit(scores[past], np.where(is_known, returns[past], np.nan))


def _first_seen(start: int, lookback: int) -> int:
    return max(0, start - lookback) if lookback else 0


@dataclass(frozen=True)
class Judgement:
    """What sides brought: ``rows`` with a side and a known return, the ``total`` of their returns after cost.

    ``share`` is that of all rows with a known return, ``mean`` the total over ``rows`` (0 of none), ``held`` the sum of
    all known returns. Returns that overlap count the same move again and again: this ranks policies, it is no account.
    """

    rows: int
    share: float
    total: float
    mean: float
    held: float


def judge(sides: Sides, returns: Numbers, cost: float = 0.001) -> Judgement:
    """Sum up ``side x return - cost`` where a side was taken; ``cost`` is of a round trip, a fraction.

    >>> judge(np.array([1, 0, -1], dtype=np.int8), np.array([0.01, 0.5, -0.02]), cost=0.001).total
    0.028
    """
    known = ~np.isnan(returns)
    taken, gains = sides[known], returns[known]
    acts = taken != 0
    total = float((taken * gains - cost)[acts].sum())
    rows = int(acts.sum())
    return Judgement(rows, rows / max(1, len(gains)), total, total / max(1, rows), float(gains.sum()))
