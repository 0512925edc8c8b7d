"""A finished search in words: the verdict's numbers beside what they must be, and what a reader must know."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from itb.charts.data import Note, Table, Tone
from itb.charts.search_data import Fact, VerdictWords
from itb.charts.wording import DASH, number, percent
from itb.optimize.verdict import DEFLATED_SHARPE, OVERFITTING, SUPERIORITY_P
from itb.optimize.verdict_text import length, verdict_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from itb.optimize.desk import Record
    from itb.optimize.parity import Confirmation
    from itb.optimize.verdict import Verdict, Word
    from itb.runs.optimize import Searched

_TONES: dict[Word, Tone] = {"trust": "good", "weak": "warn", "overfit": "bad"}

_REMARKED = ("trials", "length")  # of which a sentence speaks


def verdict_words(done: Searched) -> VerdictWords:
    """Word the verdict of a search."""
    verdict = done.judged.verdict
    rows = tuple(
        (name[:1].upper() + name[1:].replace("sharpe", "Sharpe"), said)
        for name, said in verdict_rows(verdict)
        if name not in _REMARKED
    )
    return VerdictWords(verdict.word, verdict.line, _TONES[verdict.word], facts(verdict), rows, tuple(_remarks(done)))


def facts(verdict: Verdict) -> tuple[Fact, ...]:
    """Give the numbers that the rule looks at, each with what it asks."""
    spa = [p for p in (verdict.spa_cash, verdict.spa_hold) if not math.isnan(p)]
    worst = max(spa, default=math.nan)
    low, median = verdict.nested_sharpe_low, verdict.nested_median
    deflated, overfit = verdict.deflated_sharpe, verdict.overfitting
    return (
        _fact("Deflated Sharpe", number(deflated, 3), f"trust needs ≥ {DEFLATED_SHARPE}", deflated >= DEFLATED_SHARPE),
        _fact("SPA p-value", number(worst, 3), f"trust needs ≤ {SUPERIORITY_P}", worst <= SUPERIORITY_P),
        _fact("Nested Sharpe bound", number(low), "90 %, trust needs > 0", low > 0),
        _fact("Overfitting (PBO)", number(overfit), f"above {OVERFITTING} is overfit", overfit <= OVERFITTING),
        _fact("Median nested window", percent(median, 2), "at or below 0 is overfit", median > 0),
    )


def _fact(name: str, value: str, wanted: str, is_good: bool) -> Fact:
    return Fact(name, value, wanted, "plain" if value == DASH else "good" if is_good else "bad")


def summary(done: Searched) -> str:
    """Say in one or two sentences what was claimed and what the procedure made without hindsight."""
    verdict, nested = done.judged.verdict, done.judged.nested
    claimed = f"The best of {len(done.records):,} trials claims a Sharpe ratio of {number(verdict.sharpe)}"
    made = "made" if verdict.nested_total_return >= 0 else "lost"
    earned = percent(abs(verdict.nested_total_return), 1, signed=False)
    if math.isnan(verdict.nested_total_return):
        return f"{claimed}; too few days are left to replay the choice."
    return (
        f"{claimed}. Chosen without hindsight, window by window, the same search {made} {earned} in "
        f"{len(nested.daily):,} days (Sharpe {number(verdict.nested_sharpe)})."
    )


def confirmation_told(checks: Sequence[Confirmation]) -> str:
    """Say how many of the best trials have two results that are the same, and how many have backtrader's alone."""
    swept = [check for check in checks if check.is_compared]
    agreed, alone, best = sum(check.agrees for check in swept), len(checks) - len(swept), f"the best {len(checks)}"
    if not swept:
        causes = dict.fromkeys(check.screened.refused.cause for check in checks if check.screened.refused)
        return f"{best} were computed in backtrader alone ({', '.join(causes)}): there is nothing to compare"
    if not alone:
        return f"{agreed} of {best} are the same in backtrader, to 1e-9"
    told = f"of {best}, {agreed} of {len(swept)} that were swept are the same in backtrader, to 1e-9"
    return f"{told}; {alone} were computed there alone"


def _remarks(done: Searched) -> Iterator[Note]:
    verdict, study, judged = done.judged.verdict, done.study, done.judged
    checks = judged.confirmations
    if not checks:
        yield Note("Every trial was traded in backtrader itself: there is no sweep to confirm.", "good")
    elif judged.is_verified:
        is_compared = any(check.is_compared for check in checks)
        yield Note(f"Confirmation: {confirmation_told(checks)}.", "good" if is_compared else "plain")
    for check in checks:
        if not check.agrees:
            yield Note(f"Unverified: {check.difference}", "bad")
    said = length(verdict)
    is_short = verdict.years < verdict.backtest_years_at_1
    yield Note(said[:1].upper() + said[1:] + ".", "warn" if is_short else "plain")
    others = verdict.trials_raw - len(done.records)
    counted = f"The register counts {verdict.trials_raw:,} trials on this market and time"
    beside = f", {others:,} of them from other searches or looks" if others > 0 else ""
    yield Note(
        f"{counted}{beside}; {verdict.trials_failed:,} of this search have no result. By the likeness of their returns "
        f"they are worth {number(verdict.trials_effective, 0)} independent ones.",
        "warn" if others > 0 else "plain",
    )
    if not judged.nested.is_carried:
        yield Note("In the nested line positions change hands for nothing between windows.", "warn")
    if study.search.sampler not in ("random", "qmc", "grid"):
        yield Note(
            f"The sampler {study.search.sampler} learned from all windows, so the nested line knows a little too much; "
            "itb optimize --walk-forward does not.",
            "plain",
        )


def notes(done: Searched, holdout: Mapping[str, Any] | None = None) -> tuple[Note, ...]:
    """Give what a reader must know of the market; ``holdout`` is what its opening gave."""
    study = done.study
    told = [Note(text, tone) for text, tone in study.markets.notes(study.config)]
    if study.config.costs.is_free:
        told.append(Note("Trading was free in this search: no real venue is.", "bad"))
    if holdout is not None:
        return (*told, Note(holdout["note"], "bad"))
    return (*told, *(Note(text, tone) for text, tone in study.markets.holdout_notes()))


def engines(measured: Sequence[Record]) -> Table:
    """Count who evaluated the trials, and why the sweep left some to backtrader."""
    performances = [record.performance for record in measured if record.performance is not None]
    by = Counter(performance.engine for performance in performances)
    why = Counter(performance.refused.partition(":")[0] for performance in performances if performance.refused)
    total = max(len(performances), 1)
    rows = [(f"by {engine}", f"{n:,}", percent(n / total, 1, signed=False)) for engine, n in by.most_common()]
    rows += [
        (f"left to backtrader: {cause}", f"{n:,}", percent(n / total, 1, signed=False)) for cause, n in why.items()
    ]
    return Table(("Trials", "Count", "Share"), tuple(rows))


def failures(records: Sequence[Record]) -> Table:
    """Count the trials without a result by their reason, and those that break a constraint."""
    reasons = Counter(f"{r.state}: {r.reason}" for r in records if r.state != "complete")
    reasons.update(
        f"breaks search.{name}" for r in records if r.state == "complete" for name, by in r.excess.items() if by > 0
    )
    return Table(("Reason", "Trials"), tuple((reason, f"{count:,}") for reason, count in reasons.most_common(40)))


def holdout_table(found: Mapping[str, Any] | None) -> Table | None:
    """Say what the sealed hold-out gave, where it was opened."""
    if found is None:
        return None
    rows = (
        ("Sharpe ratio", number(found["sharpe"])),
        ("Total return", percent(found["total_return"])),
        ("Maximum drawdown", percent(-abs(found["max_drawdown"]))),
        ("Closed trades", f"{found['trades']:,}"),
        ("Days", number(found["days"], 0)),
    )
    return Table(("Figure", "In the hold-out"), rows)
