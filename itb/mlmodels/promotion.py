"""Who may speak: the rule by which a freshly fitted model replaces the one before, in a backtest as live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from itb.market.bars import FloatArray

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about a candidate when it is judged; nothing here lies after its fit.

    ``recent`` are its scores on the newest complete rows, NaN where it failed. ``labels``, ``candidate`` and
    ``incumbent`` (``None`` when nobody speaks yet) belong to the held-back rows, from which neither model learned;
    their labels overlap over ``horizon`` bars.
    """

    feature_names: tuple[str, ...]
    expected_names: tuple[str, ...]
    is_classifier: bool
    recent: FloatArray
    labels: FloatArray
    candidate: FloatArray
    incumbent: FloatArray | None
    horizon: int
    seed: int


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate may speak, and why."""

    promoted: bool
    reason: str


class PromotionRule(Protocol):
    """Decides whether a fitted model may speak; a frozen value object."""

    @property
    def holdback_bars(self) -> int:
        """How many of the newest bars must not be learned from, because the rule grades on them."""

    def decide(self, evidence: Evidence) -> Verdict:
        """Judge a candidate."""


@dataclass(frozen=True)
class Sane:
    """Promote a model that is sane: same features in the same order, and finite scores on the newest rows.

    With ``refuse_constant`` a model that says the same for each of those rows is not promoted either: it has learned
    nothing, and the earlier one goes on speaking.
    """

    refuse_constant: bool = True

    @property
    def holdback_bars(self) -> int:
        return 0

    def decide(self, evidence: Evidence) -> Verdict:
        """Judge by form alone, not by skill."""
        if evidence.feature_names != evidence.expected_names:
            return Verdict(promoted=False, reason="its features are not the ones computed now")
        wrong = int((~np.isfinite(evidence.recent)).sum())
        if wrong:
            return Verdict(
                promoted=False, reason=f"{wrong} of its {len(evidence.recent)} newest scores are not numbers"
            )
        if self.refuse_constant and len(evidence.recent) > 1 and np.ptp(evidence.recent) == 0:
            return Verdict(promoted=False, reason=f"it says {evidence.recent[0]:.6g} whatever it sees")
        return Verdict(promoted=True, reason="sane")


@dataclass(frozen=True)
class SkillGate:
    """Promote a sane model unless it is worse than the one that speaks, on bars that neither has learned from.

    The newest ``bars`` bars are held back from training; both models score them. The loss is log loss for
    probabilities and squared error for estimates. The mean difference of losses has a bootstrap interval over blocks
    as long as the label's horizon, since neighbouring labels overlap. With ``demand="not_worse"`` the candidate is
    refused if the whole interval says that it is worse; with ``"better"`` it is promoted only if the whole interval
    says that it is better. The price of the gate is that models never learn from the newest bars.
    """

    bars: int = 720
    demand: Literal["not_worse", "better"] = "not_worse"
    confidence: float = 0.9
    resamples: int = 1000
    refuse_constant: bool = True

    def __post_init__(self) -> None:
        if self.bars < 2:
            raise ValueError(f"bars must be at least 2, was {self.bars}")
        if self.demand not in {"not_worse", "better"}:
            raise ValueError(f'demand must be "not_worse" or "better", was {self.demand!r}')
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, was {self.confidence}")
        if self.resamples < 100:
            raise ValueError(f"resamples must be at least 100, was {self.resamples}")

    @property
    def holdback_bars(self) -> int:
        return self.bars

    def decide(self, evidence: Evidence) -> Verdict:
        """Judge by form, then by skill."""
        sane = Sane(refuse_constant=self.refuse_constant).decide(evidence)
        if not sane.promoted or evidence.incumbent is None:
            return sane
        known = np.isfinite(evidence.labels + evidence.candidate + evidence.incumbent)
        if not known.any():
            return Verdict(promoted=False, reason="no held-back row to compare it with the earlier model on")
        spoken, offered = (
            losses(scores, evidence.labels, is_classifier=evidence.is_classifier)[known]
            for scores in (evidence.incumbent, evidence.candidate)
        )
        gain = spoken - offered
        low, high = bootstrap_interval(gain, evidence.horizon, self.confidence, self.resamples, evidence.seed)
        told = f"gain in {'log loss' if evidence.is_classifier else 'squared error'} {low:+.4g} to {high:+.4g}"
        told = f"{told} on {len(gain)} rows that neither learned from"
        if high < 0:
            return Verdict(promoted=False, reason=f"worse than the earlier model: {told}")
        if self.demand == "better" and low <= 0:
            return Verdict(promoted=False, reason=f"not clearly better than the earlier model: {told}")
        return Verdict(promoted=True, reason=f"{'better' if low > 0 else 'not worse'} than the earlier model: {told}")


def losses(scores: FloatArray, labels: FloatArray, *, is_classifier: bool) -> FloatArray:
    """Give the loss of each score: log loss of a probability, squared error of an estimate.

    >>> losses(np.array([0.5, 2.0]), np.array([1.0, 0.0]), is_classifier=False).tolist()
    [0.25, 4.0]
    """
    if not is_classifier:
        return np.asarray((scores - labels) ** 2, dtype=np.float64)
    chance = np.clip(scores, _TINY, 1 - _TINY)
    return np.asarray(-np.log(np.where(labels > 0, chance, 1 - chance)), dtype=np.float64)


def bootstrap_interval(
    values: FloatArray, block: int, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Give an interval for the mean of a series whose neighbours depend on each other.

    Circular block bootstrap (Politis & Romano, 1992) with blocks of ``block`` values, percentile interval.

    >>> low, high = bootstrap_interval(np.arange(100) % 2 + 0.0, block=10, confidence=0.9, resamples=200, seed=1)
    >>> round(low, 3), round(high, 3)
    (0.5, 0.5)
    """
    n = len(values)
    block = max(1, min(block, n))
    count = -(-n // block)
    wrapped = np.concatenate([values, values[: block - 1]]) if block > 1 else values
    sums = np.concatenate([[0.0], np.cumsum(wrapped)])
    block_means = (sums[block : block + n] - sums[:n]) / block
    starts = np.random.default_rng(seed).integers(0, n, size=(resamples, count))
    means = block_means[starts].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
