"""The laws on a network: on the newest bars of all symbols, in a small walk-forward of few epochs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.laws.leak import check_poison, check_walk_forward
from itb.laws.reproducible import check_reproducible
from itb.laws.result import LawResult
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.panel import Panel
from itb.runs.deep import markets_of, panel_walk
from itb.runs.law_checks import UNCHECKED, Finding, of
from itb.runs.stage_checks import check_stages

if TYPE_CHECKING:
    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars, FloatArray
    from itb.mlmodels.deep.result import CoinResult, PanelResult
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

_EPOCHS, _STEPS = 2, 40


def check_network(
    workspace: Workspace,
    market: Market,
    column: LearnedColumn,
    bars: Bars,
    small: WalkForward,
    scores: dict[str, FloatArray],
) -> Iterator[Finding]:
    """Run laws 3, 5 and 7 on a network, with ``bars`` of one symbol and those of the others at the same time.

    The scores of that symbol are put into ``scores``.
    """
    part, symbol = column.algorithm, bars.symbol
    assert isinstance(part, DeepAlgorithm)
    short = replace(part, epochs=min(part.epochs, _EPOCHS), fine_tune_epochs=min(part.fine_tune_epochs, 1))
    column = replace(column, algorithm=short)
    span = int(bars.open_time[0]), int(bars.open_time[-1]) + 1
    coins = {name: one.bars.between(*span) for name, one in markets_of(workspace, market).items()}
    coins = {name: one for name, one in coins.items() if len(one)}

    def walked(own: Bars, folder: Path) -> tuple[PanelResult, CoinResult]:
        every: Mapping[str, Bars] = {**coins, symbol: own}
        labels = {name: column.outcome(one) for name, one in every.items()}
        found = panel_walk(every, column, labels, small).run(folder)
        return found, found.apart(every, column.label, labels)[symbol]

    def scored(own: Bars) -> FloatArray:
        with tempfile.TemporaryDirectory() as folder:
            return walked(own, Path(folder))[1].scores

    with tempfile.TemporaryDirectory() as folder:
        try:
            whole, one = walked(bars, Path(folder))
        except ModelError as error:
            yield Finding("no leak", column.name, UNCHECKED, str(error))
            return
        yield of(check_walk_forward(one, small.embargo_bars))
        yield of(_check_step(column.name, whole, short))
    cuts = [fold.block.fit_bar for fold in one.folds[1:2]]
    yield of(check_poison(scored, bars, cuts, subject=column.name))
    yield of(check_reproducible(lambda: {"scores": scored(bars)}, subject=column.name))
    scores[column.name] = one.scores
    yield from check_stages(workspace.config, one, bars)


def _check_step(subject: str, found: PanelResult, part: DeepAlgorithm) -> LawResult:
    """Score rows alone, from their window alone, as live does."""
    panel, law = found.panel, "batch = step"
    rows = np.flatnonzero(np.isfinite(found.scores).any(axis=1))
    for row in rows[:: max(1, len(rows) // _STEPS)].tolist():
        first = row - part.warmup
        window = Panel(
            panel.symbols,
            panel.channels,
            panel.open_time[first : row + 1],
            panel.timeframe,
            np.array(panel.cells[:, first : row + 1]),
            panel.there[first : row + 1],
        )
        model = found.model_at(row)
        assert model is not None, "a score has somebody who gave it"
        alone = model.scores(window, range(len(window) - 1, len(window)))[0]
        if not np.array_equal(alone, found.scores[row], equal_nan=True):
            evidence = f"row {row} scores {found.scores[row].tolist()} among others and {alone.tolist()} alone"
            return LawResult(law, subject, passed=False, evidence=evidence)
    evidence = f"windows alone gave the batch's scores, bit for bit, at {min(len(rows), _STEPS)} rows"
    return LawResult(law, subject, passed=True, evidence=evidence, figures={"compared": len(rows)})
