"""What a network reads of one coin at one bar, as features: for whoever looks at rows, such as a watch for drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from itb.indicators.feature import FloatMatrix
    from itb.market.bars import Bars
    from itb.mlmodels.deep.panel import Reading


@dataclass(frozen=True)
class PanelRow:
    """The channels of ``symbol`` in a panel, without the clock; ``columns`` are those of its bars that are read.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.mlmodels.deep.panel import Reading
    >>> row = PanelRow("SIN/USDT", ("close", "volume"), Reading())
    >>> row.names, row.warmup, row(sinus(bars=9)).shape
    (('SIN/USDT close', 'SIN/USDT volume'), 1, (9, 2))
    """

    symbol: str
    columns: tuple[str, ...]
    reading: Reading

    @property
    def names(self) -> tuple[str, ...]:
        """The channels, as the panel names them."""
        return tuple(f"{self.symbol} {column}" for column in self.columns)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value."""
        return self.reading.warmup

    def __call__(self, bars: Bars) -> FloatMatrix:
        """Give what is read of each bar, the ones before taken as neighbours."""
        values = {name: np.asarray(bars[name], dtype=np.float64) for name in bars.columns}
        return np.column_stack([self.reading.row_values(name, values) for name in self.columns])
