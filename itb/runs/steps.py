"""The steps before a backtest, one at a time: features, labels, one model, the walk-forward."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.wording import number, percent
from itb.config import parts
from itb.errors import ConfigError
from itb.market.bars import utc
from itb.runs.capsule import new_run_id
from itb.runs.looks import enter_look
from itb.runs.market import Market, load_market
from itb.runs.model import run_walk_forward, training_table
from itb.runs.model import walk_forward as build_walk_forward
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from itb.mlmodels.quality import ModelQuality
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.workspace import Workspace


def write_features(workspace: Workspace, out: Path | None) -> Said:
    """Compute the features of every configured symbol and write ``timestamp`` and one float32 column each."""
    import pyarrow as pa

    lines, told = [], []
    for symbol, market, path in _markets(workspace, "features", out):
        features = parts.feature_set(workspace.config, market.bars.columns)
        workspace.report(0, 1, f"features of {symbol}")
        matrix = features.compute(market.bars)
        columns = {name: pa.array(matrix[:, i]) for i, name in enumerate(features.names)}
        _write(pa.table({"timestamp": _stamps(market), **columns}), path)
        workspace.report(1, 1, f"features of {symbol}")
        settled = matrix[features.warmup :]
        share = float(np.isnan(settled).mean()) if settled.size else 1.0
        lines.append(
            f"{market.bars.label}: {len(features.names)} features of {len(market.bars):,} bars, warm-up "
            f"{features.warmup} bars, {percent(share, 2, signed=False)} not a number after it: {path}"
        )
        told.append(
            {
                "symbol": symbol,
                "file": str(path),
                "bars": len(market.bars),
                "features": list(features.names),
                "warmup": features.warmup,
                "nan_share": share,
            }
        )
    return Said({"features": told}, tuple(lines))


def write_labels(workspace: Workspace, out: Path | None) -> Said:
    """Compute the label of every configured symbol and write it with the time each row became known."""
    import pyarrow as pa

    lines, told = [], []
    label = parts.label(workspace.config)
    for symbol, market, path in _markets(workspace, "labels", out):
        column = label(market.bars)
        known = np.flatnonzero(column.known_at >= 0)
        when = np.full(len(market.bars), -1, dtype=np.int64)
        when[known] = market.bars.close_time[column.known_at[known]]
        stamp = pa.array(when, mask=when < 0).cast(pa.timestamp("ms", "UTC"))
        table = pa.table({"timestamp": _stamps(market), label.name: pa.array(column.values), "known_at": stamp})
        _write(table, path)
        values = column.values[known]
        mean = float(values.mean()) if len(values) else float("nan")
        what = f"{percent(mean, 1, signed=False)} are 1" if label.is_binary else f"mean {number(mean, 5)}"
        lines.append(
            f"{market.bars.label}: {label.name} known for {len(known):,} of {len(market.bars):,} bars, {what}: {path}"
        )
        told.append({"symbol": symbol, "file": str(path), "label": label.name, "known": len(known), "mean": mean})
    return Said({"labels": told}, tuple(lines))


def train(workspace: Workspace, out: Path | None) -> Said:
    """Fit one model on the last training window, as the walk-forward would at the last bar; ``out`` is a folder."""
    from itb.mlmodels.latest import fit_latest

    config = workspace.config
    lines, told = [], []
    for symbol in config.data.symbols:
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        market = load_market(workspace, symbol, run_id=run_id, command="train")
        workspace.report(0, 1, f"training on {symbol}")
        table = training_table(config, market.bars)
        folder = (out or workspace.runs / "models") / run_id
        latest = fit_latest(build_walk_forward(config), table, parts.algorithm(config), folder, config.model.seed)
        workspace.report(1, 1, f"training on {symbol}")
        said = latest.manifest
        lines.append(
            f"{market.bars.label}: {said.column} learned from {said.rows:,} bars, {utc(said.trained_from)} to "
            f"{utc(said.trained_until)}, labels known by the close of {utc(said.known_at)}: {latest.path}"
        )
        if latest.note:
            lines.append(f"  {latest.note}")
        told.append(
            {
                "symbol": symbol,
                "file": str(latest.path),
                "column": said.column,
                "rows": said.rows,
                "trained_from": utc(said.trained_from),
                "trained_until": utc(said.trained_until),
                "known_at": utc(said.known_at),
            }
        )
    return Said({"models": told}, tuple(lines))


def walk_forward(workspace: Workspace, out: Path | None) -> Said:
    """Train again and again, write the out-of-sample scores, and grade them refit by refit and pooled."""
    import pyarrow as pa

    from itb.mlmodels.quality import grade_result

    lines, told, rows = [], [], []
    for symbol, market, path in _markets(workspace, "walkforward", out):
        walked = run_walk_forward(workspace, market.bars)
        quality = grade_result(walked)
        _write(pa.table({"timestamp": _stamps(market), walked.column: pa.array(walked.scores)}), path)
        name, value, _ = quality.pooled.headline
        scored = np.flatnonzero(np.isfinite(walked.scores))
        if len(scored):
            seen = market.bars.slice(int(scored[0]), None)
            run_id = new_run_id(workspace.clock(), symbol, workspace.config.data.timeframe)
            enter_look(workspace, market, seen, run_id=run_id, command="walkforward", metrics={name.lower(): value})
        rows += [(symbol, *row) for row in _fold_rows(walked, quality)]
        lines += [f"{market.bars.label}: {walked.column}: {quality.pooled.sentence}"]
        lines += [f"  {note}" for note in walked.notes[:5]]
        lines += [f"  scores: {path}", f"  timeline and models: {walked.folder}"]
        told.append(
            {
                "symbol": symbol,
                "column": walked.column,
                "file": str(path),
                "timeline": str(walked.folder / "timeline.json"),
                "refits": len(walked.folds),
                name.lower(): value,
                "rows": quality.pooled.rows,
                "sentence": quality.pooled.sentence,
            }
        )
    head = ("symbol", "refit", "fitted at (UTC)", "rows", "speaks from", "scored", "figure", "promoted")
    return Said({"walkforward": told}, tuple(lines), Table(head, tuple(rows)))


def _fold_rows(walked: WalkForwardResult, quality: ModelQuality) -> Iterator[tuple[str, ...]]:
    for fold, grade in zip(walked.folds, quality.folds, strict=True):
        name, value, _ = grade.headline
        entry = fold.entry
        verdict = "yes" if entry.promoted else f"no: {entry.reason}"
        speaks = utc(entry.speaks_from)[:16]
        figure = f"{name} {number(value, 3)}"
        fitted = utc(entry.known_at)[:16]
        yield str(fold.block.number), fitted, f"{fold.rows:,}", speaks, f"{grade.rows:,}", figure, verdict


def _markets(workspace: Workspace, step: str, out: Path | None) -> Iterator[tuple[str, Market, Path]]:
    """Load each configured market and say where its file goes."""
    symbols = workspace.config.data.symbols
    if out is not None and len(symbols) > 1:
        raise ConfigError(f"--out: names one file, but {len(symbols)} symbols are configured; add --symbol for one")
    for symbol in symbols:
        run_id = new_run_id(workspace.clock(), symbol, workspace.config.data.timeframe)
        market = load_market(workspace, symbol, run_id=run_id, command=step)
        name = "".join(letter for letter in symbol.lower() if letter.isalnum())
        yield symbol, market, out or workspace.runs / step / f"{name}-{workspace.config.data.timeframe}.parquet"


def _stamps(market: Market) -> Any:
    import pyarrow as pa

    return pa.array(market.bars.open_time).cast(pa.timestamp("ms", "UTC"))


def _write(table: pa.Table, path: Path) -> None:
    """Write a Parquet file, all of it or nothing."""
    import pyarrow.parquet as pq

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            pq.write_table(table, draft, compression="zstd")
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror or error}; name another place with --out"
        ) from None
