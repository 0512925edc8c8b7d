"""Judge a finished search: compute every number of its verdict from the evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from itb.optimize.bootstrap import Interval, block_length, interval, stationary_weights
from itb.optimize.effective_trials import effective_trials
from itb.optimize.overfitting import Overfitting, overfitting
from itb.optimize.reality_check import Superiority, superiority
from itb.optimize.sharpe_statistics import (
    DAYS_A_YEAR,
    Moments,
    deflated_sharpe,
    expected_maximum,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
    trial_variance,
)
from itb.optimize.verdict import NESTED_CONFIDENCE, SUPERIORITY_P, Verdict, decide

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray
    from itb.optimize.evidence import Evidence

_BLOCKS = 16
_BLOCK_DAYS = 5  # of a block of CSCV, at least
_YEAR = math.sqrt(DAYS_A_YEAR)


def judge(evidence: Evidence, *, resamples: int = 2_000, seed: int = 0) -> Verdict:
    """Compute every number of a verdict and apply the rule; the same evidence and seed give the same verdict.

    >>> from itb.optimize.evidence import Evidence
    >>> noise = np.random.default_rng(1).normal(0, 0.02, (400, 30))
    >>> best = int((noise.mean(axis=0) / noise.std(axis=0)).argmax())
    >>> found = judge(Evidence(noise, best, noise[200:, best - 1]), resamples=500)
    >>> found.word, found.sharpe > 1, found.deflated_sharpe < 0.95
    ('weak', True, True)
    """
    returns, excess = evidence.returns, evidence.excess
    days, measured = returns.shape
    claim = excess[:, evidence.selected]
    record = Moments.of(claim)
    annual = record.sharpe * _YEAR
    worth = effective_trials(excess)
    effective = worth.number * evidence.trials / measured
    variance = trial_variance(worth.sharpes, days)
    deflated = deflated_sharpe(record, effective, variance)
    block = _block(claim) if evidence.hold is None else max(_block(claim), _block(evidence.hold))
    weights = stationary_weights(days, block, resamples, seed)
    cash = superiority(excess, weights, block=block, size=SUPERIORITY_P)
    hold, outright = _against_hold(evidence, weights, block)
    halves = cross_validated(excess)
    nested = _nested(evidence, resamples, seed)
    windows = evidence.window_returns()
    median = float(np.median(windows)) if len(windows) else math.nan
    whole = interval(claim, weights, NESTED_CONFIDENCE)
    word, because = decide(
        deflated=deflated,
        superiority_p=max(cash.consistent, hold.consistent) if hold else cash.consistent,
        nested_low=nested.sharpe_low if nested else math.nan,
        overfit=halves.probability if halves else math.nan,
        nested_median=median,
    )
    return Verdict(
        word=word,
        because=because,
        days=days,
        trials_raw=evidence.trials,
        trials_failed=evidence.failed_trials,
        trials_measured=measured,
        trials_effective=effective,
        sharpe=annual,
        total_return=float(np.expm1(np.log1p(np.maximum(returns[:, evidence.selected], -1 + 1e-12)).sum())),
        probabilistic_sharpe=probabilistic_sharpe(record),
        deflated_sharpe=deflated,
        luck_sharpe=math.sqrt(variance) * expected_maximum(effective) * _YEAR,
        spa_cash=cash.consistent,
        spa_cash_lower=cash.lower,
        spa_cash_upper=cash.upper,
        white_cash=cash.white,
        superior_cash=int(cash.superior.sum()),
        spa_hold=hold.consistent if hold else math.nan,
        spa_hold_outright=outright.consistent if outright else math.nan,
        superior_hold=int(hold.superior.sum()) if hold else 0,
        overfitting=halves.probability if halves else math.nan,
        overfitting_loss=halves.loss if halves else math.nan,
        overfitting_slope=halves.slope if halves else math.nan,
        minimum_track_days=_finite(minimum_track_record(record)),
        backtest_years_at_1=minimum_backtest_years(evidence.trials),
        backtest_years_at_claim=_finite(minimum_backtest_years(evidence.trials, annual)),
        nested_days=len(evidence.nested),
        nested_sharpe=nested.sharpe if nested else math.nan,
        nested_sharpe_low=nested.sharpe_low if nested else math.nan,
        nested_total_return=nested.total_return if nested else math.nan,
        nested_total_return_low=nested.total_return_low if nested else math.nan,
        nested_windows=len(windows),
        nested_median=median,
        kept=nested.sharpe / annual if nested and annual > 0 else math.nan,
        sharpe_low=whole.sharpe_low,
        sharpe_high=whole.sharpe_high,
        stability=evidence.stability,
        random_entry_p=evidence.random_entry_p,
        permutation_p=evidence.permutation_p,
        label_permutation_p=evidence.label_permutation_p,
        label_permutations=evidence.label_permutations,
        break_even_bps=evidence.break_even_bps,
        charged_bps=evidence.charged_bps,
        block_days=block,
        resamples=resamples,
        seed=seed,
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _block(returns: FloatArray) -> float:
    """Choose a block that holds the means' dependence, and at least the cube root of the days for the variance's."""
    return float(round(max(block_length(returns), len(returns) ** (1 / 3))))


def _against_hold(
    evidence: Evidence, weights: npt.NDArray[np.float64], block: float
) -> tuple[Superiority | None, Superiority | None]:
    if evidence.hold is None:
        return None, None
    matched = superiority(evidence.excess_of_hold(), weights, block=block, size=SUPERIORITY_P)
    outright = evidence.returns - evidence.hold[:, None]
    return matched, superiority(outright, weights, block=block, size=SUPERIORITY_P)


def cross_validated(returns: npt.NDArray[np.float64]) -> Overfitting | None:
    """Cross-validate the choice among trials as a verdict does; ``None`` below two trials or 20 days."""
    days, trials = returns.shape
    blocks = min(_BLOCKS, days // _BLOCK_DAYS // 2 * 2)
    return overfitting(returns, blocks) if trials > 1 and blocks >= 4 else None


def _nested(evidence: Evidence, resamples: int, seed: int) -> Interval | None:
    if len(evidence.nested) < 10:
        return None
    weights = stationary_weights(len(evidence.nested), _block(evidence.nested), resamples, seed)
    return interval(evidence.nested, weights, NESTED_CONFIDENCE)
