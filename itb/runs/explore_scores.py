"""What came of the scores and what they hang on, as `itb explore` shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.data import Calibration, Table
from itb.charts.explore_data import ColumnSight, ProfitLine, ScoreLadder, Swarm, Weights
from itb.charts.wording import number
from itb.market.costs import BPS
from itb.mlmodels import metrics
from itb.mlmodels.deep.result import CoinResult
from itb.mlmodels.explore.groups import score_groups
from itb.mlmodels.explore.importance import Spoken, contributions, permutation_importance, spoken_rows
from itb.mlmodels.labels.column import typical_reach
from itb.mlmodels.labels.future_return import FutureReturn
from itb.mlmodels.prediction_metrics import NAMES, prediction_metrics
from itb.mlmodels.thresholds.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from itb.market.bars import FloatArray
    from itb.mlmodels.explore.importance import Contributions
    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.thresholds.sweep import SideCurve
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace

SEED, REPEATS = 0, 2
_EVALUATIONS = 300_000  # rows that permutation scores, over all columns: some seconds of trees
_LIGHT = 250_000  # bytes of a model that scores a row in some microseconds; larger ones are given fewer rows
_ROWS = (200, 5_000)
_TAKEN_APART = 1_500
_SWARM, _DOTS = 10, 400
_THRESHOLDS, _TAIL, _LEAST = 200, 0.001, 30
_OURS = ("margin", "log_loss", "brier", "ic", "rank_ic", "skill", "interval_precision", "interval_recall")


def columns(workspace: Workspace, scored: ScoredMarket, qualities: Sequence[ModelQuality]) -> Iterator[ColumnSight]:
    """Show every learned column."""
    total = len(scored.walked)
    for done, (walked, quality) in enumerate(zip(scored.walked, qualities, strict=True)):
        workspace.report(done, total, f"looking at {walked.column}")
        yield _column(workspace, scored, walked, quality)
    workspace.report(total, total, "looking at scores")


def _column(
    workspace: Workspace, scored: ScoredMarket, walked: WalkForwardResult, quality: ModelQuality
) -> ColumnSight:
    bars = scored.market.bars
    scores = np.asarray(scored.scores[walked.column].batch(), dtype=np.float64)
    ahead = _bars_ahead(walked)
    returns = FutureReturn(ahead)(bars).values
    met = np.isfinite(scores) & np.isfinite(returns)
    groups = score_groups(scores, returns, reach=ahead)
    missing = []
    if not met.any():
        missing.append("No score has met a known return yet: there is nothing to set against it.")
    if not walked.is_classifier:
        missing.append("These scores are estimates, not probabilities: there is no calibration to look at.")
    weights, swarm, said = _weights(walked, len(scored.walked))
    before = _calibration(walked, walked.scores)
    after = None if np.array_equal(scores, walked.scores, equal_nan=True) else _calibration(walked, scores)
    return ColumnSight(
        name=walked.column,
        sentence=quality.pooled.sentence,
        ladder=ScoreLadder(groups.score, groups.value, groups.margin, groups.rows, ahead) if met.any() else None,
        profits=(_profits(workspace, bars.symbol, scores, returns),) if met.any() else (),
        before=before,
        after=after,
        features=walked.table.feature_names,
        weights=weights,
        swarm=swarm,
        missing=(*missing, *said),
    )


def _bars_ahead(walked: WalkForwardResult) -> int:
    """Over how many bars returns are taken: until half of the labels are known, of most labels their horizon."""
    return typical_reach(walked.table.label.known_at, 0.5)


def _profits(workspace: Workspace, symbol: str, scores: FloatArray, returns: FloatArray) -> ProfitLine:
    cost = 2 * workspace.config.costs.one_way_bps * BPS
    long, short = Sweep(cost=cost, points=_THRESHOLDS, tail=_TAIL).curves(scores, returns)
    rows = int((np.isfinite(scores) & np.isfinite(returns)).sum())
    shares = long.rows / rows, short.rows / rows
    return ProfitLine(symbol, long.thresholds, _means(long), shares[0], _means(short), shares[1])


def _means(curve: SideCurve) -> FloatArray:
    return np.where(curve.rows >= _LEAST, curve.means, np.nan)


def _calibration(walked: WalkForwardResult, scores: FloatArray) -> Calibration | None:
    labels = walked.table.label.values
    told = np.isfinite(scores) & np.isfinite(labels)
    if not walked.is_classifier or not told.any():
        return None
    curve = metrics.calibration(labels[told], scores[told])
    return Calibration(walked.column, curve.predicted, curve.observed, curve.counts)


def _weights(walked: WalkForwardResult, shared_by: int) -> tuple[tuple[Weights, ...], Swarm | None, tuple[str, ...]]:
    """Weigh features by the model's own account, by shuffling and by contributions."""
    if isinstance(walked, CoinResult):
        slopes = Weights(
            "Slopes: how much each input moves the scores of all symbols",
            "share, mean over refits",
            walked.importance,
            notes=("At rows held back from training, in standard deviations of the input, over the whole window.",),
        )
        return (slopes,), None, (f"{walked.column} reads windows, not rows: none of its inputs is shuffled alone.",)
    table = walked.table
    spoken = list(spoken_rows(walked, _ROWS[1]))
    if not spoken:
        return (), None, ("No model has spoken about a bar whose label is known: importance has nothing to stand on.",)
    own = Weights(
        "Gain: what training made of each feature",
        "share, mean over refits",
        walked.importance,
        notes=("In sample: a feature with many values finds more to split on, useful or not.",),
    )
    few = _thinned(spoken, _row_limit(spoken, len(table.feature_names), shared_by))
    shuffled = permutation_importance(
        few,
        table.features,
        table.label.values,
        is_classifier=walked.is_classifier,
        reach=typical_reach(table.label.known_at),
        repeats=REPEATS,
        seed=SEED,
    )
    how = (
        f"Out of sample: {shuffled.rows:,} rows, each by the model that spoke, {REPEATS} shuffles (seed {SEED}), "
        "95 % intervals over stretches of time. Below 0 the model did better without."
    )
    cost = Weights(
        "Permutation: what is lost when a feature is shuffled",
        "skill lost, percentage points",
        100 * shuffled.lost,
        100 * shuffled.margin,
        (how,),
    )
    taken = _thinned(spoken, _TAKEN_APART)
    parts = contributions(taken, table.features)
    if parts is None:
        why = f"{walked.column} is no model of trees: its scores are not taken apart into contributions."
        return (own, cost), None, (why,)
    unit = "log odds" if walked.is_classifier else "raw score"
    sizes = Weights(
        "Contributions: how much each feature moved the scores",
        f"mean |contribution|, {unit}",
        parts.mean_size,
        notes=(
            f"Out of sample: tree SHAP of {len(parts.rows):,} rows. What moved scores need not have made them right.",
        ),
    )
    return (own, cost, sizes), _swarm(walked, parts, unit), ()


def _row_limit(spoken: Sequence[Spoken], width: int, shared_by: int) -> int:
    """Say how many rows may be shuffled: fewer of many features, and of models that take long."""
    size = max(len(spoken[0].model.to_bytes()), 1)
    budget = _EVALUATIONS * min(1.0, _LIGHT / size) / shared_by
    return int(np.clip(budget / (width * REPEATS), *_ROWS))


def _thinned(spoken: Sequence[Spoken], most: int) -> list[Spoken]:
    """Keep about ``most`` rows in all, evenly."""
    total = sum(len(one.rows) for one in spoken)
    each = max(1, -(-total // most))
    kept, passed = [], 0
    for one in spoken:
        rows = one.rows[-passed % each :: each]
        passed += len(one.rows)
        if len(rows):
            kept.append(replace(one, rows=rows))
    return kept


def _swarm(walked: WalkForwardResult, parts: Contributions, unit: str) -> Swarm:
    order = np.argsort(-parts.mean_size, kind="stable")[:_SWARM]
    each = max(1, -(-len(parts.rows) // _DOTS))
    rows, told = parts.rows[::each], parts.parts[::each]
    values = walked.table.features[rows][:, order].astype(np.float64)
    standing = [(metrics.midranks(one) - 1) / max(len(rows) - 1, 1) for one in values.T]
    names = tuple(walked.table.feature_names[i] for i in order)
    return Swarm(names, np.ascontiguousarray(told[:, order].T), np.stack(standing), f"contribution, {unit}")


def metric_table(scored: ScoredMarket) -> Table:
    """Set the original's figures and ours side by side, a row a column."""
    told = []
    for walked in scored.walked:
        label = walked.table.label
        found = prediction_metrics(
            label.values,
            np.asarray(scored.scores[walked.column].batch(), dtype=np.float64),
            is_classifier=walked.is_classifier,
            horizon=typical_reach(label.known_at),
        )
        told.append(found)
    names = [name for name in (*NAMES, *_OURS) if any(np.isfinite(found[name]) for found in told)]
    rows = (
        (walked.column, f"{found['rows']:,.0f}", *(number(found[name], 3) for name in names))
        for walked, found in zip(scored.walked, told, strict=True)
    )
    return Table(("score column", "rows", *names), tuple(rows))
