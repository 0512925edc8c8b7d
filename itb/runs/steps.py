"""The steps before a backtest, one at a time: features, labels, one model, the walk-forward."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.wording import number, percent
from itb.config import parts
from itb.config.check import check_parts
from itb.config.columns import distinct_labels
from itb.config.dump import config_hash
from itb.config.plugins import load_plugins
from itb.errors import ConfigError
from itb.market.bars import utc
from itb.runs.capsule import new_run_id
from itb.runs.looks import earlier_looks, enter_look, look_note
from itb.runs.market import Market, load_market
from itb.runs.model import grades, score_columns
from itb.runs.outputs import output
from itb.runs.said import Said
from itb.runs.strategy import check_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from itb.config import Config
    from itb.indicators.feature_set import FeatureSet
    from itb.market.bars import IntArray
    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.outputs import Output
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace

_NOTES = 5  # of refits, before the rest is only counted
_ROWS = 40  # of a table, before the middle is only counted


def write_features(workspace: Workspace, out: Path | None = None, *, chunk: int | None = None) -> Said:
    """Compute the features of every configured symbol and write ``timestamp`` and one float32 column each.

    ``out`` is a ``.parquet`` or ``.csv`` file for one symbol, else a folder. A file that was made of the same is left
    as it is. ``chunk`` computes and writes so many rows at a time, in less memory.
    """
    if chunk is not None and chunk < 1:
        raise ConfigError(f"--chunk: expected at least 1 row, was {chunk}")
    lines, told = [], []
    for run_id, market in markets(workspace, "features", check_parts):
        bars = market.bars
        features = parts.feature_set(workspace.config, bars.columns)
        file = output(workspace, "features", market, out, features)
        facts = file.facts()
        is_new = facts is None
        if facts is None:
            facts = {
                **facts_of(workspace, market),
                "columns": list(features.names),
                "warmup": features.warmup,
            }
            _write_features(workspace, market, features, file, facts, chunk or len(bars))
        empty = f"{percent(facts['nan_share'], 2, signed=False)} empty after it"
        if len(bars) <= facts["warmup"]:
            empty = "more than there are: only columns with a shorter one have numbers"
        lines.append(
            f"{title(market)}: {len(facts['columns'])} features of {_stretch(market)}, warm-up "
            f"{facts['warmup']:,} bars, {empty}"
        )
        lines.append(f"  {'written to' if is_new else 'already in'} {file.path}")
        told.append({"run": run_id, **facts, "file": str(file.path), "is_new": is_new})
    return Said({"features": told}, tuple(lines))


def _write_features(
    workspace: Workspace, market: Market, features: FeatureSet, file: Output, facts: dict[str, Any], rows: int
) -> None:
    """Compute and write so many rows at a time; enter into the facts how many numbers are missing after the warm-up."""
    import pyarrow as pa

    bars, times = market.bars, stamps(market)
    missing, total = 0, -(-len(bars) // rows)
    what = f"features of {bars.symbol}"

    def tables() -> Iterator[pa.Table]:
        nonlocal missing
        workspace.report(0, total, what)
        for done, block in enumerate(features.blocks(bars, rows)):
            start = done * rows
            missing += int(np.isnan(block[max(features.warmup - start, 0) :]).sum())
            columns = {name: pa.array(block[:, place]) for place, name in enumerate(features.names)}
            yield pa.table({"timestamp": times[start : start + rows], **columns})
            workspace.report(done + 1, total, what)

    def known() -> dict[str, Any]:
        settled = max(len(bars) - features.warmup, 0) * len(features.names)
        facts["nan_share"] = missing / settled if settled else 1.0
        return facts

    file.write_blocks(tables(), known)
    known()  # a CSV file keeps no facts and did not ask


def write_labels(workspace: Workspace, out: Path | None = None) -> Said:
    """Compute the labels of every configured symbol and write each with the time at which a row became known.

    ``known_at`` (``<label>_known_at`` where there are several) is the close of the bar that settled the row; both
    columns are empty where the future is not there yet.
    """
    import pyarrow as pa

    lines, told = [], []
    for run_id, market in markets(workspace, "labels", check_parts):
        labels = distinct_labels(workspace.config)
        file = output(workspace, "labels", market, out, *labels)
        facts = file.facts()
        is_new = facts is None
        if facts is None:
            facts = {**facts_of(workspace, market), "labels": []}
            table: dict[str, Any] = {"timestamp": stamps(market)}
            for label in labels:
                column = label(market.bars)
                known = column.values[column.known_at >= 0]
                facts["labels"].append(
                    {
                        "label": label.name,
                        "horizon": label.horizon,
                        "known": len(known),
                        "mean": float(known.mean()) if len(known) else float("nan"),
                    }
                )
                table[label.name] = pa.array(column.values, from_pandas=True)
                table["known_at" if len(labels) == 1 else f"{label.name}_known_at"] = _closes(market, column.known_at)
            file.write(pa.table(table), facts)
        for label, one in zip(labels, facts["labels"], strict=True):
            mean = one["mean"]
            what = f"{percent(mean, 1, signed=False)} are 1" if label.is_binary else f"mean {number(mean, 5)}"
            found = f"{one['known']:,} known, {what}" if one["known"] else "none known: no row's future is there yet"
            lines.append(f"{title(market)}: {label.name} of {_stretch(market)}, {found}")
        lines.append(f"  {'written to' if is_new else 'already in'} {file.path}")
        told.append({"run": run_id, **facts, "file": str(file.path), "is_new": is_new})
    return Said({"labels": told}, tuple(lines))


def walk_forward(workspace: Workspace, out: Path | None = None) -> Said:
    """Train again and again, write the out-of-sample scores, and grade them refit by refit and pooled.

    Scores are written as they are after every stage that the config asks for. Grades are performance figures: they are
    entered into the register before they are shown. A run that was stopped goes on with the first refit that is not
    there yet.
    """
    import pyarrow as pa

    lines, told, rows = [], [], []
    for run_id, market in markets(workspace, "walkforward"):
        scored = score_columns(workspace, market)
        qualities = grades(scored)
        made_of = [walked.fingerprint for walked in scored.walked]
        file = output(workspace, "walkforward", market, out, *made_of, config_hash(workspace.config))
        facts = {**facts_of(workspace, market), "columns": list(scored.scores)}
        scores = {name: pa.array(source.batch()) for name, source in scored.scores.items()}
        file.write(pa.table({"timestamp": stamps(market), **scores}), facts)
        notes = list(_notes(workspace, scored, qualities, run_id))
        several = len(scored.walked) > 1
        for walked, quality in zip(scored.walked, qualities, strict=True):
            name = market.bars.symbol + (f" {walked.column}" if several else "")
            rows += [(name, *row) for row in _shortened(list(_fold_rows(walked, quality)))]
            lines.append(f"{title(market)}: {walked.column}: {quality.pooled.sentence}")
            lines += [f"  {note}" for note in _shown(walked.notes)]
            lines.append(f"  timeline and models in {walked.folder}")
            told.append({"run": run_id, **facts, "file": str(file.path), **_told(walked, quality), "notes": notes})
        lines += [*(f"  {note}" for note in notes), f"  scores in {file.path}"]
    head = ("symbol", "refit", "fitted at (UTC)", "rows", "speaks from", "scored", "figure", "promoted")
    return Said({"walkforward": told}, tuple(lines), Table(head, tuple(rows)))


def _told(walked: WalkForwardResult, quality: ModelQuality) -> dict[str, Any]:
    return {
        "column": walked.column,
        "fingerprint": walked.fingerprint,
        "timeline": str(walked.folder / "timeline.json"),
        "refits": len(walked.folds),
        "fitted_now": walked.fitted,
        "pooled": {**asdict(quality.pooled), "skill": quality.pooled.skill, "sentence": quality.pooled.sentence},
        "folds": [
            {**asdict(fold.entry), "number": fold.block.number, "note": fold.note, "quality": asdict(grade)}
            for fold, grade in zip(walked.folds, quality.folds, strict=True)
        ],
        "reliability": _reliability(quality),
        "refit_notes": list(walked.notes),
    }


def _reliability(quality: ModelQuality) -> list[dict[str, float]]:
    """Give the calibration curve: what probabilities said and what came true, bin by bin; nothing for estimates."""
    curve = quality.calibration
    if curve is None:
        return []
    bins = zip(curve.predicted.tolist(), curve.observed.tolist(), curve.counts.tolist(), strict=True)
    return [{"predicted": predicted, "observed": observed, "rows": rows} for predicted, observed, rows in bins]


def _shown(notes: Sequence[str]) -> Iterator[str]:
    yield from notes[:_NOTES]
    if len(notes) > _NOTES:
        yield f"{len(notes) - _NOTES} more refits had something to say"


def _notes(workspace: Workspace, scored: ScoredMarket, qualities: Sequence[ModelQuality], run_id: str) -> Iterator[str]:
    """Enter the look, and say what a reader of the grades must know: each column's figures are a trial."""
    yield from scored.notes
    spoken = [np.flatnonzero(np.isfinite(source.batch())) for source in scored.scores.values()]
    first = min((int(rows[0]) for rows in spoken if len(rows)), default=None)
    if first is None:
        return
    market, several = scored.market, len(qualities) > 1
    metrics = {
        (f"{quality.column}.{name}" if several else name): value
        for quality in qualities
        for name, value in {"skill": quality.pooled.skill, **asdict(quality.pooled)}.items()
    }
    seen = market.bars.slice(first, None)
    looks = earlier_looks(workspace, market, seen)
    trials = len(qualities)
    enter_look(workspace, market, seen, run_id=run_id, command="walkforward", metrics=metrics, trials=trials)
    yield market.holdout.note
    yield look_note(looks + trials)[0]


def _fold_rows(walked: WalkForwardResult, quality: ModelQuality) -> Iterator[tuple[str, ...]]:
    for fold, grade in zip(walked.folds, quality.folds, strict=True):
        name, value, _ = grade.headline
        entry = fold.entry
        verdict = "yes" if entry.promoted else f"no: {entry.reason}"
        figure = f"{name} {number(value, 3)}"
        fitted, speaks = utc(entry.known_at)[:16], utc(entry.speaks_from)[:16]
        yield str(fold.block.number), fitted, f"{fold.rows:,}", speaks, f"{grade.rows:,}", figure, verdict


def _shortened(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out the middle of a long table, and say how much that is.

    >>> [row[0] for row in _shortened([(str(i), "") for i in range(50)])][19:22]
    ['19', '... 10 more, see --json', '30']
    """
    if len(rows) <= _ROWS:
        return rows
    left = (f"... {len(rows) - _ROWS} more, see --json", *[""] * (len(rows[0]) - 1))
    return [*rows[: _ROWS // 2], left, *rows[-_ROWS // 2 :]]


def markets(
    workspace: Workspace, step: str, checked: Callable[[Config], None] = check_settings
) -> Iterator[tuple[str, Market]]:
    """Check every setting (``checked``: how), then load each configured market under the name of a run."""
    config = workspace.config
    load_plugins(config)
    checked(config)
    for symbol in config.data.symbols:
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        yield run_id, load_market(workspace, symbol, run_id=run_id, command=step)


def title(market: Market) -> str:
    """Name a market as lines begin."""
    return f"{market.bars.label}{' (synthetic)' if market.is_synthetic else ''}"


def _stretch(market: Market) -> str:
    bars = market.bars
    return (
        f"{len(bars):,} bar{'s' if len(bars) != 1 else ''} from {utc(bars.open_time[0])} to {utc(bars.open_time[-1])}"
    )


def facts_of(workspace: Workspace, market: Market) -> dict[str, Any]:
    """Say which bars a file was made of."""
    bars = market.bars
    return {
        "exchange": workspace.config.data.exchange,
        "symbol": bars.symbol,
        "timeframe": str(bars.timeframe),
        "is_synthetic": market.is_synthetic,
        "bars": len(bars),
        "first_bar": utc(bars.open_time[0]),
        "last_bar": utc(bars.open_time[-1]),
        "missing": market.missing,
        "data_fingerprint": market.fingerprint,
        "holdout_seen": market.holdout_seen,
    }


def stamps(market: Market) -> Any:
    """Give the open times as an Arrow array."""
    import pyarrow as pa

    return pa.array(market.bars.open_time).cast(pa.timestamp("ms", "UTC"))


def _closes(market: Market, bars: IntArray) -> Any:
    """Give the close time of each of ``bars``, empty where it is negative."""
    import pyarrow as pa

    return pa.array(market.bars.close_time[bars], mask=bars < 0).cast(pa.timestamp("ms", "UTC"))
