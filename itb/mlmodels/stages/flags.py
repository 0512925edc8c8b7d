"""Flags to buy and to sell from a score column, by thresholds that a policy chose on what was known before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.mlmodels.algorithm import settings_of
from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.stages.kept import FittedPart, StageKind, content_at, keep_parts
from itb.mlmodels.thresholds import POLICIES, SideRule, ThresholdPolicy
from itb.mlmodels.thresholds.kept import load_rule, rule_bytes
from itb.mlmodels.thresholds.walk import BlockFit, Judgement, PolicyWalk, judge, walk_policy

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import FloatArray
    from itb.mlmodels.stages.column import ScoreColumn
    from itb.mlmodels.timeline import ModelTimeline

NAME = "thresholds"


@dataclass(frozen=True)
class ThresholdFlags:
    """Refit ``policy`` every ``refit_every`` rows, counted from the first score, and flag the rows that follow.

    A fit sees the last ``lookback`` rows (0: all) and of their returns those known before its first row, so thresholds
    are chosen on one stretch and judged on the next.
    """

    policy: ThresholdPolicy
    refit_every: int
    lookback: int = 0

    def __post_init__(self) -> None:
        if self.refit_every < 1:
            raise ValueError(f"refit_every must be at least 1 bar, was {self.refit_every}")
        if self.lookback < 0:
            raise ValueError(f"lookback must be at least 0 bars, was {self.lookback}")

    def walk(self, column: ScoreColumn, returns: LabelColumn) -> FlagWalk:
        """Take sides in every row; ``returns`` are fractions that look forward, as a label gives them."""
        first = column.first
        known_at = np.where(returns.known_at == NEVER, NEVER, returns.known_at - first)[first:]
        walked = walk_policy(
            self.policy,
            column.scores[first:],
            returns.values[first:],
            known_at,
            block=self.refit_every,
            lookback=self.lookback,
        )
        return FlagWalk(column, returns, first, walked)

    def keep(self, column: ScoreColumn, returns: LabelColumn, folder: Path) -> tuple[FlagWalk, ModelTimeline]:
        """Take sides, and write the rule of every block into ``folder``."""
        found = self.walk(column, returns)
        name = next((name for name, part in POLICIES.items() if type(self.policy) is part), type(self.policy).__name__)
        kind = StageKind(
            NAME, name, {"policy": settings_of(self.policy), "refit_every": self.refit_every, "lookback": self.lookback}
        )
        parts = (found.part(fit) for fit in found.walked.fits if found.first + fit.start > 0)
        return found, keep_parts(kind, column, parts, folder)


@dataclass(frozen=True, eq=False)
class FlagWalk:
    """Sides of a score column from its ``first`` score on."""

    column: ScoreColumn
    returns: LabelColumn
    first: int
    walked: PolicyWalk

    @property
    def flags(self) -> Mapping[str, FloatArray]:
        """The columns ``<column>_buy`` and ``<column>_sell``: 1, or 0, or NaN where there is no score."""
        told = np.isfinite(self.column.scores)
        sides = np.zeros(len(told))
        sides[self.first :] = self.walked.sides
        return {
            f"{self.column.name}_{name}": np.where(told, (sides == side).astype(np.float64), np.nan)
            for name, side in (("buy", 1), ("sell", -1))
        }

    @property
    def silent(self) -> int:
        """Blocks, the first left aside, in which what came before showed no edge."""
        return sum(fit.rule.never_trades for fit in self.walked.fits[1:])

    def judge(self, cost: float) -> Judgement:
        """Say what the sides brought, ``cost`` being of a round trip."""
        return judge(self.walked.sides, self.returns.values[self.first :], cost)

    @property
    def sentence(self) -> str:
        """What a reader must know, in words."""
        blocks = len(self.walked.fits) - 1
        if blocks < 1:
            return "thresholds: there was nothing earlier to choose them by, so nothing is flagged"
        if self.silent == blocks:
            return f"thresholds: no edge was found before any of {blocks} blocks, so nothing is flagged"
        share = float((self.walked.sides != 0).mean())
        without = f"; {self.silent} of {blocks} blocks had none to go by and flag nothing" if self.silent else ""
        return f"thresholds: {100 * share:.1f} % of bars are flagged by what earlier bars showed{without}"

    def part(self, fit: BlockFit) -> FittedPart:
        """Word one block's rule for its file."""
        start, first = self.first + fit.start, self.first + fit.fitted_from
        known = self.returns.known_at[first:start]
        rows = np.flatnonzero((known != NEVER) & (known < start) & np.isfinite(self.column.scores[first:start]))
        return FittedPart(
            fit_bar=start - 1,
            speaks_from=start,
            last_row=first + int(rows[-1]) if len(rows) else start - 1,
            rows=len(rows),
            content=rule_bytes(fit.rule),
            reason="no edge in what came before" if fit.rule.never_trades else "chosen on what came before",
        )


def rule_at(timeline: ModelTimeline, open_time: int, folder: Path) -> SideRule | None:
    """Load the rule of the block that a bar lies in; its sides take the scores from the block's first bar on."""
    content = content_at(timeline, open_time, folder)
    return None if content is None else load_rule(content)


@dataclass(frozen=True)
class NoThresholds:
    """No flags: a strategy has thresholds of its own."""


CHOICES = {"none": NoThresholds, **POLICIES}
