"""What goes into the models, as `itb explore` shows it: coverage, features, labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.explore_data import CoverageMap, HistogramPair, LabelSight, LikenessMap
from itb.charts.wording import DASH, number, percent
from itb.market.bars import utc
from itb.market.calendar import calendar_share, cell_days, raster
from itb.market.gaps import find_gaps
from itb.mlmodels.algorithm import complete_rows
from itb.mlmodels.explore.drift import chance_index, feature_drift, two_histograms
from itb.mlmodels.explore.lessons import fold_lesson
from itb.mlmodels.explore.likeness import likeness
from itb.mlmodels.labels.dropped import Dropped
from itb.runs.market import load_bars

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from itb.market.bars import IntArray
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.explore.likeness import Likeness
    from itb.mlmodels.result import Fold, WalkForwardResult
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

DRIFT_ROWS, LIKENESS_ROWS = 20_000, 10_000
SEED = 0
MOVED, COPIES, ALIKE = 0.25, 0.98, 0.7
_PICTURES, _GAPS, _DRAWN = 12, 20, 200


def coverage(workspace: Workspace, market: Market) -> tuple[CoverageMap, Table]:
    """Say day by day which bars and which values of every source are there; list the longest gaps."""
    raw = market.holdout.research(load_bars(workspace, market.bars.symbol))
    first, last = int(raw.open_time[0]), int(raw.open_time[-1])
    days = cell_days(first, last)
    start, share = calendar_share(*raster(raw.open_time, raw.timeframe), first_ms=first, last_ms=last, days=days)
    shares = {raw.symbol: share}
    for source in market.sources:
        there = source.found.is_there
        shares[source.name] = calendar_share(market.bars.open_time, there, first_ms=first, last_ms=last, days=days)[1]
    gaps = sorted(find_gaps(raw), key=lambda gap: -gap.bars)
    rows = tuple((utc(gap.start_ms), utc(gap.stop_ms), f"{gap.bars:,}") for gap in gaps[:_GAPS])
    found = CoverageMap(tuple(shares), start, np.stack(list(shares.values())), days)
    return found, Table(("first missing bar", "next bar there", "bars"), rows)


@dataclass(frozen=True, eq=False)
class FeatureSight:
    """Drift and likeness of one market's features, as tables and pictures."""

    drift: Table
    lead: str
    histograms: tuple[HistogramPair, ...]
    likeness: LikenessMap | None
    clusters: Table | None
    duplicates: Table | None
    moved: int
    groups: int
    pairs: int


def features(names: Sequence[str], matrix: FloatMatrix, times: IntArray, folds: Sequence[Fold]) -> FeatureSight:
    """Compare the last full refit's rows with those that came after, and every feature with every other."""
    before, after, lead = _windows(matrix, times, folds)
    was, came = (matrix[_sample(rows, DRIFT_ROWS)] for rows in (before, after))
    drifts = feature_drift(names, was, came)
    rows = tuple(
        (
            one.name,
            number(one.psi, 3),
            number(one.ks, 3),
            number(one.shift, 2, signed=True),
            percent(one.empty, 1, signed=False),
            *(_short(value) for value in (one.mean, one.deviation, one.low, one.median, one.high)),
        )
        for one in drifts
    )
    head = ("feature", "PSI", "KS", "shift (sd)", "empty", "mean", "sd", "1 %", "median", "99 %")
    index = {one.name: one.psi for one in drifts}
    worst = [one.name for one in drifts[:_PICTURES] if np.isfinite(one.psi)]
    pairs = tuple(
        HistogramPair(one.name, one.edges, one.before, one.after, index[one.name])
        for one in two_histograms(names, was, came, worst)
    )
    like = _likeness(names, matrix)
    chance = chance_index(len(was), len(came))
    lead += (
        f" A PSI of {number(chance, 3)} is what chance gives independent rows; neighbouring bars are not independent."
    )
    near = () if like is None else like.pairs(COPIES)
    return FeatureSight(
        drift=Table(head, rows),
        lead=lead,
        histograms=pairs,
        likeness=None if like is None else _map(like),
        clusters=None if like is None else _clusters(like),
        duplicates=Table(
            ("feature", "says the same as", "rank correlation"),
            tuple((first, second, number(rho, 4, signed=True)) for first, second, rho in near),
        ),
        moved=sum(one.psi >= MOVED for one in drifts),
        groups=0 if like is None else len(like.clusters),
        pairs=len(near),
    )


def _short(value: float) -> str:
    """Write a value of any size in three digits.

    >>> _short(-0.00000239), _short(52.31)
    ('−2.39e−06', '52.3')
    """
    return f"{value:.3g}".replace("-", "\u2212") if np.isfinite(value) else DASH


def _windows(matrix: FloatMatrix, times: IntArray, folds: Sequence[Fold]) -> tuple[IntArray, IntArray, str]:
    """Give the rows before and after, and say which they are."""
    fitted = [fold for fold in folds if len(fold.learned_rows)]
    bars = len(matrix)
    if fitted:
        longest = max(fold.block.test_stop - fold.block.test_start for fold in fitted)
        full = [fold for fold in fitted if fold.block.test_stop - fold.block.test_start == longest]
        last = full[-1]
        before, after = last.learned_rows, np.arange(last.block.test_start, bars, dtype=np.int64)
        what = f"Refit {last.block.number}, the last with a full block after it, learned from"
    else:
        complete = np.flatnonzero(complete_rows(matrix)).astype(np.int64)
        cut = len(complete) * 2 // 3
        before, after = complete[:cut], complete[cut:]
        what = "No model was trained; the first two thirds are"
    if not len(before) or not len(after):
        return before, after, f"{what} nothing that could be compared."
    then, now = (f"{utc(times[rows[0]])[:10]} to {utc(times[rows[-1]])[:10]}" for rows in (before, after))
    told = f"{what} {then} ({len(before):,} rows); what came after is {now} ({len(after):,} rows)."
    if max(len(before), len(after)) > DRIFT_ROWS:
        told += f" Of each, at most {DRIFT_ROWS:,} rows were drawn at random (seed {SEED})."
    return before, after, told


def _sample(rows: IntArray, most: int) -> IntArray:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))


def _likeness(names: Sequence[str], matrix: FloatMatrix) -> Likeness | None:
    complete = np.flatnonzero(complete_rows(matrix)).astype(np.int64)
    if len(complete) < 3:
        return None
    return likeness(names, np.ascontiguousarray(matrix[_sample(complete, LIKENESS_ROWS)]), ALIKE)


def _map(like: Likeness) -> LikenessMap:
    shown = like.without_copies(_DRAWN)
    notes = [f"Clusters: average linkage of 1 − |ρ|, cut at {ALIKE:g}; at most {LIKENESS_ROWS:,} rows (seed {SEED})."]
    if shown is not like:
        notes.append(f"Drawn are {len(shown.names)} of {len(like.names)} features, at most one of a cluster.")
    return LikenessMap(shown.names, shown.correlation, shown.cluster, tuple(notes))


def _clusters(like: Likeness) -> Table:
    several = sorted((cluster for cluster in like.clusters if len(cluster) > 1), key=lambda cluster: -len(cluster))
    rows = tuple((f"{place + 1}", f"{len(one)}", ", ".join(one)) for place, one in enumerate(several))
    return Table(("cluster", "features", "which"), rows)


def labels(walked: Sequence[WalkForwardResult]) -> Iterator[LabelSight]:
    """Show each label that was learned, as the refits of its first column met it."""
    seen: set[str] = set()
    for result in walked:
        if result.table.label_name not in seen:
            seen.add(result.table.label_name)
            yield _label(result)


def _label(result: WalkForwardResult) -> LabelSight:
    table, label = result.table, result.table.label
    lessons = [fold_lesson(label, fold.block, fold.learned_rows) for fold in result.folds]
    last = result.folds[-1].block
    dropped = Dropped.of(label, last.train_start, last.fit_bar + 1, last.known_until)
    unique = np.array([one.uniqueness for one in lessons])
    known = np.isfinite(unique)
    notes = [f"The last refit: {dropped}."]
    if known.any():
        rows = np.mean([one.learned for one in lessons if one.learned])
        notes.insert(
            0,
            f"Average uniqueness {percent(float(unique[known].mean()), 1, signed=False)}: the {rows:,.0f} rows of a "
            f"refit tell about {rows * unique[known].mean():,.0f} separate stories.",
        )
    return LabelSight(
        name=table.label_name,
        what="share of ones" if table.is_binary else "mean label",
        folds=tuple(utc(fold.entry.speaks_from)[:10] for fold in result.folds),
        learned=_column(lessons, "learned_mean"),
        scored=_column(lessons, "scored_mean"),
        uniqueness=unique,
        dropped=_column(lessons, "dropped"),
        rows=np.array([one.learned for one in lessons], dtype=np.int64),
        notes=tuple(notes),
    )


def _column(lessons: Sequence[Any], name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([getattr(one, name) for one in lessons], dtype=np.float64)
