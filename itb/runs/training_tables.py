"""Features and labels of one market, as training reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars
    from itb.mlmodels.table import TrainingTable


def training_tables(config: Config, bars: Bars, learned: Sequence[LearnedColumn]) -> tuple[TrainingTable, ...]:
    """Compute the configured features once, and a table of them with the label of each column, none a network's."""
    from itb.mlmodels.table import TrainingTable

    features = parts.feature_set(config, bars.columns)
    matrix = features.compute(bars)
    labels = {column.label.name: column.label for column in learned}
    tables = {name: TrainingTable.of(bars, matrix, features.names, label) for name, label in labels.items()}
    return tuple(tables[column.label.name] for column in learned)
