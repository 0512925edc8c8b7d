"""Law 5 on pooled training: what one model says of a coin may not hang on what any of its coins does later."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.laws.causal import poison_after
from itb.laws.forward import LAW, check_forward
from itb.mlmodels.pooled import Pool
from itb.runs.law_checks import UNCHECKED, Finding, of
from itb.runs.training_tables import training_tables

if TYPE_CHECKING:
    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.laws.result import LawResult
    from itb.market.bars import Bars, FloatArray
    from itb.mlmodels.walkforward import WalkForward

Coins = Sequence["Bars"]


def check_pool(config: Config, coins: Coins, learned: Sequence[LearnedColumn], small: WalkForward) -> Iterator[Finding]:
    """Check every learned column in a small pooled walk-forward: noise after a bar in all coins at once."""
    for column in learned:
        try:
            yield of(_check(config, coins, column, small))
        except ModelError as error:
            yield Finding(LAW, f"{column.name}, pooled", UNCHECKED, str(error))


def _check(config: Config, coins: Coins, column: LearnedColumn, small: WalkForward) -> LawResult:
    def pool_of(world: Coins) -> Pool:
        return Pool({bars.symbol: training_tables(config, bars, (column,))[0] for bars in world})

    def score(world: Coins) -> Mapping[str, FloatArray]:
        found = pool_of(world)
        with tempfile.TemporaryDirectory() as folder:
            walked = found.walk(small).run(found.table, column.algorithm, Path(folder), seed=column.seed)
        return {column.name: walked.scores}

    pool = pool_of(coins)
    blocks = pool.walk(small).blocks(pool.table)

    def poison(world: Coins, row: int, rng: np.random.Generator) -> Coins:
        time = pool.raster[row // pool.coins]
        rows = [int(np.searchsorted(bars.open_time, time, side="right")) - 1 for bars in world]
        return [bars if row < 0 else poison_after(bars, row, rng) for bars, row in zip(world, rows, strict=True)]

    sharp = [block.test_start for block in blocks] + [blocks[-1].fit_bar]
    cuts = [row // pool.coins * pool.coins + pool.coins - 1 for row in sharp]  # a time ends with its last coin
    return check_forward(score, coins, poison, cuts, subject=f"{column.name}, pooled")
