"""A feature of another market: computed from columns that a source has put beside the main bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.errors import BarsError
from itb.indicators.feature import ColumnFamily, Feature, columns_of
from itb.market.bars import OHLCV, Bars, FloatArray


@dataclass(frozen=True)
class OnSource(ColumnFamily):
    """A feature computed from the columns ``<prefix>_open``, ``<prefix>_high``, ... as if they were the bars.

    Rows where one of the source's open, high, low, close and volume is not known are NaN, and so are the ones after
    them while the feature warms up again: a stretch of known rows is computed by itself, so that a gap leaves nothing
    behind that a live run would not see. Names are those of the feature. Raises :class:`itb.errors.BarsError` when the
    columns are not there.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.indicators.bar_features import BarSeries
    >>> bars = sinus(bars=3)
    >>> eth = {f"eth_{name}": values for name, values in bars.columns.items()}
    >>> bool((OnSource(BarSeries(("range",)), "eth")(bars.with_columns(**eth)) == BarSeries(("range",))(bars)).all())
    True
    """

    feature: Feature
    prefix: str

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return self.feature.names

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return self.feature.warmup

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        stretches = self._stretches(bars)
        parts = [columns_of(self.feature, self._view(bars.slice(*stretch))) for stretch in stretches]
        for _ in self.names:
            column = np.full(len(bars), np.nan)
            for (start, stop), part in zip(stretches, parts, strict=True):
                column[start:stop] = next(part)
            yield column

    def _stretches(self, bars: Bars) -> list[tuple[int, int]]:
        """Find where all of the source's prices and its volume are known."""
        needed = [f"{self.prefix}_{name}" for name in OHLCV]
        absent = [name for name in needed if name not in bars.columns]
        if absent:
            raise BarsError(
                f"{bars.label}: no column {absent[0]!r}, so there are no bars of {self.prefix!r}; "
                f"the columns are {', '.join(bars.columns)}"
            )
        known = np.all([np.isfinite(bars[name]) for name in needed], axis=0)
        edges = np.flatnonzero(np.diff(known, prepend=False, append=False)).tolist()
        return list(zip(edges[::2], edges[1::2], strict=True))

    def _view(self, bars: Bars) -> Bars:
        start = f"{self.prefix}_"
        columns = {name.removeprefix(start): bars[name] for name in bars.columns if name.startswith(start)}
        return Bars(f"{bars.symbol} {self.prefix}", bars.timeframe, bars.open_time, columns)
