"""A verdict in words for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from itb.optimize.neighbourhood import PLATEAU

if TYPE_CHECKING:
    from itb.optimize.verdict import Verdict

_WIDTH = 18


def verdict_lines(verdict: Verdict) -> list[str]:
    """Word a verdict: a name and what it says on each line, the one line that decides last."""
    return [f"{name:<{_WIDTH}}{said}" for name, said in (*verdict_rows(verdict), ("verdict", verdict.line))]


def verdict_rows(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """Give each figure's name and what it says; one of which something is not known is left out."""
    rows = {
        "sharpe": _sharpe(verdict),
        "trials": f"{verdict.trials_raw:,} on this market and time, {verdict.trials_failed:,} without a result; "
        f"worth {verdict.trials_effective:,.0f} independent ones",
        "deflated sharpe": f"{verdict.deflated_sharpe:.3f}; {verdict.probabilistic_sharpe:.3f} as the only trial",
        "reality check": _superiority(verdict),
        "overfitting": f"PBO {verdict.overfitting:.2f}, loss out of sample {verdict.overfitting_loss:.2f}, "
        f"degradation slope {verdict.overfitting_slope:.2f}",
        "nested": _nested(verdict),
        "kept": f"{verdict.kept:.0%} of the claimed Sharpe ratio out of sample",
        "length": length(verdict),
        "track record": f"{verdict.minimum_track_days:,.0f} days like these show a Sharpe ratio above 0 at 95 %",
        "neighbourhood": f"{'plateau' if verdict.stability >= PLATEAU else 'spike'}: neighbours keep "
        f"{verdict.stability:.0%} of the lead",
        "chance": _chance(verdict),
        "break-even": f"{verdict.break_even_bps:.1f} bps a side, {verdict.charged_bps:.1f} charged",
    }
    return tuple((name, said) for name, said in rows.items() if said and "nan" not in said)


def _sharpe(verdict: Verdict) -> str:
    bounds = f"{verdict.sharpe_low:.2f} to {verdict.sharpe_high:.2f} (80 %)"
    return f"{verdict.sharpe:.2f} claimed, {bounds}; luck alone shows {verdict.luck_sharpe:.2f}"


def _nested(verdict: Verdict) -> str:
    ratio = f"Sharpe {verdict.nested_sharpe:.2f}, above {verdict.nested_sharpe_low:.2f} (90 %)"
    windows = f"median of {verdict.nested_windows} windows {verdict.nested_median:+.2%}"
    return f"{ratio}, total {verdict.nested_total_return:+.1%}, {windows}"


def _superiority(verdict: Verdict) -> str:
    against = (
        ("cash", verdict.spa_cash, verdict.superior_cash),
        ("buy-and-hold", verdict.spa_hold, verdict.superior_hold),
    )
    known = [f"p {p:.4f} against {name} ({count} superior)" for name, p, count in against if not math.isnan(p)]
    return ", ".join(known)


def length(verdict: Verdict) -> str:
    """Say how long the history is, and how long it should be for so many trials."""
    needed = f"{verdict.trials_raw:,} trials need {verdict.backtest_years_at_1:.1f} at Sharpe 1"
    said = f"you have {verdict.years:.1f} years; {needed}"
    if math.isnan(verdict.backtest_years_at_claim):
        return said
    return f"{said}, {verdict.backtest_years_at_claim:.1f} at the claimed {verdict.sharpe:.1f}"


def _chance(verdict: Verdict) -> str:
    tests = (
        ("random entries", verdict.random_entry_p),
        ("permuted positions", verdict.permutation_p),
        (f"permuted labels ({verdict.label_permutations} models)", verdict.label_permutation_p),
    )
    return ", ".join(f"{name} p {p:.3f}" for name, p in tests if not math.isnan(p))
