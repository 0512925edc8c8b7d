"""`itb train`: one model of each score column on the last training window, for the bars to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itb.config.columns import columns
from itb.market.bars import utc
from itb.runs.capsule import series_of
from itb.runs.deep import is_deep
from itb.runs.model import walk_forward
from itb.runs.networks import latest_networks
from itb.runs.outputs import series_name
from itb.runs.pool import is_pooled, pooled
from itb.runs.said import Said
from itb.runs.steps import facts_of, markets, title
from itb.runs.training_tables import training_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from itb.config.columns import LearnedColumn
    from itb.mlmodels.registry import Manifest
    from itb.mlmodels.table import TrainingTable
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

POOL = "pool"  # in place of the symbol, in the name of a run that trained on all


def train(workspace: Workspace, out: Path | None = None) -> Said:
    """Fit one model of each score column on the last training window, as the walk-forward would at the last bar.

    ``out`` is the folder that the files go to, one below it for each symbol where there are several. Pooled training
    fits one model for all symbols. So does a network; it is written beside the other models of each.
    """
    config = workspace.config
    learned, walk = columns(config), walk_forward(config)
    by_rows = [column for column in learned if not is_deep(column)]
    has_pool = is_pooled(workspace) and bool(by_rows)
    told: list[dict[str, Any]] = []
    for run_id, market in markets(workspace, "train"):
        symbol = market.bars.symbol
        folder = workspace.runs / "models" / run_id
        if has_pool:
            found = pooled(workspace, market)
            name = run_id.replace(series_of(symbol), POOL)
            folder = workspace.runs / "models" / name if out is None else out
            lessons: list[tuple[WalkForward, TrainingTable]] = [(pool.walk(walk), pool.table) for pool in found.pools]
            told += _fitted(workspace, market, by_rows, lessons, folder, name)
            told += _networks_fitted(workspace, market, folder, name)
            break
        if out is not None:
            folder = out if len(config.data.symbols) == 1 else out / series_name(workspace, symbol)
        if by_rows:
            workspace.report(0, len(by_rows), f"computing features of {symbol}")
            lessons = [(walk, table) for table in training_tables(config, market.bars, by_rows)]
            told += _fitted(workspace, market, by_rows, lessons, folder, run_id)
        told += _networks_fitted(workspace, market, folder, run_id)
    lines = [line for one in told for line in _trained(one, pooled=has_pool)]
    return Said({"models": told}, tuple(lines))


def _fitted(
    workspace: Workspace,
    market: Market,
    learned: Sequence[LearnedColumn],
    lessons: Sequence[tuple[WalkForward, TrainingTable]],
    folder: Path,
    run_id: str,
) -> Iterator[dict[str, Any]]:
    from itb.mlmodels.latest import fit_latest

    for done, (column, (walk, table)) in enumerate(zip(learned, lessons, strict=True)):
        workspace.report(done, len(learned), f"training {column.name} on {market.bars.symbol}")
        latest = fit_latest(walk, table, column.algorithm, folder, seed=column.seed, column=column.name)
        yield {
            "run": run_id,
            **facts_of(workspace, market),
            "title": title(market),
            **_of(latest.path, latest.manifest),
        }
    workspace.report(len(learned), len(learned), f"trained on {market.bars.symbol}")


def _networks_fitted(workspace: Workspace, market: Market, folder: Path, run_id: str) -> Iterator[dict[str, Any]]:
    for network in latest_networks(workspace, market).values():
        facts = {**facts_of(workspace, market), "title": title(market)}
        yield {"run": run_id, **facts, **_of(*network.save(folder / "models"))}


def _of(path: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "file": str(path),
        "column": manifest.column,
        "rows": manifest.rows,
        "trained_from": utc(manifest.trained_from),
        "trained_until": utc(manifest.trained_until),
        "known_at": utc(manifest.known_at),
        "note": manifest.note,
    }


def _trained(told: Mapping[str, Any], *, pooled: bool) -> Iterator[str]:
    yield (
        f"{'pooled' if pooled else told['title']}: {told['column']} learned from {told['rows']:,} bars, "
        f"{told['trained_from']} to {told['trained_until']}, whose labels were known at the close of {told['known_at']}"
    )
    if told["note"]:
        yield f"  {told['note']}"
    yield f"  written to {told['file']}"
