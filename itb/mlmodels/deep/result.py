"""What the walk-forward of a panel gives, for all coins together and for each apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from itb.mlmodels.deep.model import load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.fold import pack_rows
from itb.mlmodels.labels.column import NEVER
from itb.mlmodels.registry import check_model
from itb.mlmodels.result import Fold, WalkForwardResult
from itb.mlmodels.table import TrainingTable

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import Bars, IntArray
    from itb.mlmodels.deep.algorithm import DeepAlgorithm, Watch
    from itb.mlmodels.deep.judging import Epoch
    from itb.mlmodels.deep.model import PanelModel
    from itb.mlmodels.deep.panel import Panel, Targets
    from itb.mlmodels.deep.walk import Table
    from itb.mlmodels.labels.column import Label, LabelColumn
    from itb.mlmodels.scores import WalkForwardScores
    from itb.mlmodels.splits import Block
    from itb.mlmodels.timeline import ModelTimeline, TimelineEntry


@dataclass(frozen=True, eq=False)
class CoinResult(WalkForwardResult):
    """``symbol``'s share of a panel's walk-forward; ``curves``: how each refit's training went, judged by ``watch``."""

    symbol: str = ""
    curves: tuple[tuple[Epoch, ...], ...] = ()
    watch: Watch = "loss"

    importance_kind: ClassVar[str] = "share of all slopes, mean over refits"

    @property
    def class_sources(self) -> tuple[WalkForwardScores, ...]:
        """None: networks give estimates."""
        return ()

    @property
    def own_channels(self) -> tuple[str, ...]:
        """The channels of this coin among those of all."""
        return tuple(name for name in self.table.feature_names if name.startswith(f"{self.symbol} "))


@dataclass(frozen=True, eq=False)
class PanelFold:
    """One refit, counted in rows of the panel; ``learned`` are the rows whose labels it learned from."""

    block: Block
    entry: TimelineEntry
    learned: range
    until: int
    note: str
    importance: tuple[float, ...]
    curve: tuple[Epoch, ...]


@dataclass(frozen=True, eq=False)
class PanelResult:
    """Out-of-sample scores of all coins (times x coins; NaN where none was given), and what they were made of."""

    column: str
    panel: Panel
    targets: Targets
    scores: Table
    timeline: ModelTimeline
    folds: tuple[PanelFold, ...]
    folder: Path
    fingerprint: str
    fitted: int
    algorithm: DeepAlgorithm

    def model_at(self, row: int) -> PanelModel | None:
        """Load the model that scores a row; ``None`` where nobody speaks."""
        entry = self.timeline.entry_at(int(self.panel.open_time[row]))
        return None if entry is None else load_panel_model(check_model(self.folder / entry.file)[1], DEEP)

    def apart(
        self, bars: Mapping[str, Bars], label: Label, labels: Mapping[str, LabelColumn]
    ) -> Mapping[str, CoinResult]:
        """Give each coin its own scores and refits, counted in its own bars."""
        return {
            symbol: self._of(coin, bars[symbol], label, labels[symbol])
            for coin, symbol in enumerate(self.panel.symbols)
        }

    def _of(self, coin: int, bars: Bars, label: Label, column: LabelColumn) -> CoinResult:
        rows = self.panel.place(bars.open_time)
        table = TrainingTable(
            features=self.panel.cells.T[rows],
            feature_names=self.panel.channels,
            label=column,
            label_name=label.name,
            is_binary=label.is_binary,
            open_time=bars.open_time,
            timeframe=bars.timeframe,
            close=bars.close,
        )
        low, high = self.algorithm.score_range
        return CoinResult(
            column=self.column,
            low=low,
            high=high,
            is_classifier=False,
            scores=self.scores[rows, coin],
            table=table,
            timeline=self.timeline,
            folds=tuple(self._fold(fold, rows, column) for fold in self.folds),
            folder=self.folder,
            fingerprint=self.fingerprint,
            fitted=self.fitted,
            algorithm=None,
            symbol=self.panel.symbols[coin],
            curves=tuple(fold.curve for fold in self.folds),
            watch=self.algorithm.judge,
        )

    def _fold(self, fold: PanelFold, rows: IntArray, column: LabelColumn) -> Fold:
        block = fold.block

        def first(row: int) -> int:
            return int(np.searchsorted(rows, row))

        def last(row: int) -> int:
            return int(np.searchsorted(rows, row, side="right")) - 1

        known = (column.known_at != NEVER) & np.isin(
            rows, np.arange(fold.learned.start, fold.learned.stop, fold.learned.step)
        )
        learned = np.flatnonzero(known)
        learned = learned[rows[column.known_at[learned]] <= fold.until]
        return Fold(
            block=replace(
                block,
                fit_bar=last(block.fit_bar),
                train_start=first(block.train_start),
                known_until=last(block.known_until),
                test_start=first(block.test_start),
                test_stop=first(block.test_stop),
            ),
            entry=fold.entry,
            rows=len(learned),
            first_row=int(learned[0]) if len(learned) else last(block.fit_bar),
            last_row=int(learned[-1]) if len(learned) else last(block.fit_bar),
            last_known=int(column.known_at[learned].max()) if len(learned) else -1,
            importance=np.array(fold.importance),
            note=fold.note,
            learned=pack_rows(learned.astype(np.int64)),
        )
