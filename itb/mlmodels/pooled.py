"""One model for several coins: their rows between each other in order of time, each coin's scores apart again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.fold import pack_rows
from itb.mlmodels.labels.column import NEVER, LabelColumn
from itb.mlmodels.result import WalkForwardResult
from itb.mlmodels.splits import walk_forward_blocks
from itb.mlmodels.table import TrainingTable

if TYPE_CHECKING:
    from itb.market.bars import IntArray
    from itb.mlmodels.promotion import Evidence, PromotionRule, Verdict
    from itb.mlmodels.result import Fold
    from itb.mlmodels.walkforward import WalkForward


@dataclass(frozen=True, eq=False)
class PooledTable(TrainingTable):
    """Rows of ``coins`` on one raster: of n coins, row t x n + c is coin c at time t, empty where it has no bar."""

    @property
    def first_complete(self) -> int:
        """The first row of the first time at which any coin has every feature."""
        return super().first_complete // len(self.coins) * len(self.coins)


@dataclass(frozen=True)
class PooledRule:
    """A promotion rule whose bars are counted in rows of a pool; ``name`` tells rules with equal settings apart."""

    rule: PromotionRule
    coins: int
    name: str

    @property
    def holdback_bars(self) -> int:
        return self.rule.holdback_bars * self.coins

    def decide(self, evidence: Evidence) -> Verdict:
        """Ask the rule."""
        return self.rule.decide(evidence)


@dataclass(frozen=True, eq=False)
class Pool:
    """The tables of several coins with the same features, label and timeframe, by symbol.

    Nothing about a coin reaches another before its time: blocks are cut by time, for all coins alike, and a label
    counts as known when every coin's bar of that time has closed. The order in which coins are given does not matter.
    """

    tables: Mapping[str, TrainingTable]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", dict(sorted(self.tables.items())))
        (first, one), *others = self.tables.items()
        for symbol, table in others:
            if table.feature_names != one.feature_names:
                strange = sorted(set(table.feature_names) ^ set(one.feature_names))
                what = f"{strange[0]!r} is a feature of only one of" if strange else "their order differs in"
                raise ModelError(f"pooled training needs the same features of every coin: {what} {first}, {symbol}")

    def relabelled(self, relabel: Callable[[TrainingTable], TrainingTable]) -> Pool:
        """Give the pool with other labels, found for each coin by itself."""
        return Pool({symbol: relabel(table) for symbol, table in self.tables.items()})

    @property
    def coins(self) -> int:
        """How many coins there are."""
        return len(self.tables)

    @cached_property
    def raster(self) -> IntArray:
        """Every open time that any coin has."""
        return np.unique(np.concatenate([table.open_time for table in self.tables.values()]))

    @cached_property
    def table(self) -> PooledTable:
        """All rows in order of time, those of one time in the order of symbols."""
        one = next(iter(self.tables.values()))
        rows = len(self.raster) * self.coins
        features = np.full((rows, len(one.feature_names)), np.nan, dtype=np.float32)
        values, known_at = np.full(rows, np.nan), np.full(rows, NEVER, dtype=np.int64)
        for coin, table in enumerate(self.tables.values()):
            times = np.searchsorted(self.raster, table.open_time)
            place = times * self.coins + coin
            features[place] = table.features
            values[place] = table.label.values
            known = table.label.known_at >= 0
            known_at[place[known]] = times[table.label.known_at[known]] * self.coins + self.coins - 1
        return PooledTable(
            features,
            one.feature_names,
            LabelColumn(values, known_at),
            one.label_name,
            one.is_binary,
            np.repeat(self.raster, self.coins),
            one.timeframe,
            has_classes=one.has_classes,
            coins=tuple(self.tables),
        )

    def walk(self, walk: WalkForward) -> WalkForward:
        """Give a walk-forward over the pool's rows that refits when ``walk`` would refit on bars.

        Raises :class:`itb.errors.ModelError` when there are too few bars for one refit.
        """
        first, coins = self.table.first_complete // self.coins, self.coins
        blocks = walk_forward_blocks(
            len(self.raster),
            mode=walk.mode,
            train_bars=walk.train_bars,
            refit_every=walk.refit_every,
            refit_delay_bars=walk.refit_delay_bars,
            first_bar=first,
        )
        if not blocks:
            raise ModelError(
                f"{len(self.raster)} bars of {coins} coins are too few: features warm up for {first}, and the first "
                f"refit needs {walk.train_bars} more. Load more bars, or shorten the training window."
            )
        return replace(
            walk,
            train_bars=walk.train_bars * coins,
            refit_every=walk.refit_every * coins,
            embargo_bars=walk.embargo_bars * coins,
            refit_delay_bars=(walk.refit_delay_bars - 1) * coins + 1,
            promotion=PooledRule(walk.promotion, coins, type(walk.promotion).__qualname__),
        )

    def apart(self, result: WalkForwardResult) -> Mapping[str, WalkForwardResult]:
        """Give each coin its own scores and blocks, counted in its own bars; importance is that of the whole pool."""
        return {symbol: self._of(result, symbol, coin) for coin, symbol in enumerate(self.tables)}

    def _of(self, result: WalkForwardResult, symbol: str, coin: int) -> WalkForwardResult:
        table = self.tables[symbol]
        place = np.searchsorted(self.raster, table.open_time) * self.coins + coin
        folds = tuple(self._fold(fold, table.open_time, place) for fold in result.folds)
        return replace(result, scores=result.scores[place], table=table, folds=folds, coin=symbol)

    def _fold(self, fold: Fold, times: IntArray, place: IntArray) -> Fold:
        """Count a refit in one coin's bars; ``place`` are its rows in the pool."""
        learned = np.flatnonzero(np.isin(place, fold.learned_rows)).astype(np.int64)
        block = fold.block
        return replace(
            fold,
            block=replace(
                block,
                fit_bar=self._last(times, block.fit_bar),
                train_start=self._first(times, block.train_start),
                known_until=self._last(times, block.known_until),
                test_start=self._first(times, block.test_start),
                test_stop=self._first(times, block.test_stop),
            ),
            rows=len(learned),
            first_row=int(learned[0]) if len(learned) else self._last(times, block.fit_bar),
            last_row=int(learned[-1]) if len(learned) else self._last(times, block.fit_bar),
            last_known=self._last(times, fold.last_known) if fold.last_known >= 0 else fold.last_known,
            learned=pack_rows(learned),
        )

    def _first(self, times: IntArray, row: int) -> int:
        """Give a coin's first bar that opens with a row of the pool or later."""
        time = row // self.coins
        return len(times) if time >= len(self.raster) else int(np.searchsorted(times, self.raster[time]))

    def _last(self, times: IntArray, row: int) -> int:
        """Give a coin's last bar that opens with a row of the pool or earlier; -1 if there is none."""
        return int(np.searchsorted(times, self.raster[row // self.coins], side="right")) - 1 if row >= 0 else -1
