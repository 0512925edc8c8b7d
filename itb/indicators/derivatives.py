"""What perpetual contracts say: funding, the basis of the perpetual, the premium of the mark price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature import ColumnFamily, require
from itb.indicators.rolling import rolling_sum
from itb.indicators.rolling_lags import lagged
from itb.indicators.rolling_stats import rolling_zscore
from itb.market.bars import Bars, FloatArray

_LEVELS = ("funding", "basis", "premium")
_SUMS = ("funding_sum", "funding_annual")
_FUNCTIONS = ("funding", "funding_age", *_SUMS, "basis", "premium")
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Derivatives(ColumnFamily):
    """Funding, basis and premium of a perpetual contract, from columns that sources have put beside the bars.

    ``functions``, all fractions unless said otherwise:

    - ``funding``: the last known rate;
    - ``basis``: the perpetual's close over the spot close, less 1;
    - ``premium``: the mark price over the spot close, less 1;
    - ``funding_age``: hours from the last known settlement to the bar's close;
    - ``funding_sum``: ``funding_sum_<w>``, the rates that became known during the last w bars, each counted once;
    - ``funding_annual``: ``funding_annual_<w>``, the same sum scaled to a year of 365 days.

    The last three read the settlement's time, a column of UTC milliseconds: no interval between settlements is
    assumed, since venues change it. A settlement that another one follows within the same bar is not seen: sum over
    bars shorter than the interval. ``zscores`` adds ``<function>_zscore_<w>`` for funding, basis and premium: the
    value less the window's mean, over its sample standard deviation.

    NaN where a column is not known or divides by 0, for a sum or a z-score where any row of its window is, and for
    the z-score of equal values.

    Parameters
    ----------
    functions
        Any of `funding`, `funding_age`, `funding_sum`, `funding_annual`, `basis`, `premium`.
    windows
        Lengths in bars for `funding_sum` and `funding_annual`.
    zscores
        Lengths in bars of the z-scores of `funding`, `basis` and `premium`; empty for none.
    rate
        Column of the last known funding rate.
    time
        Column of the time of that rate's settlement, UTC milliseconds.
    perp
        Column of the perpetual's close.
    spot
        Column of the spot close.
    mark
        Column of the mark price.

    >>> Derivatives(("basis", "funding_sum"), windows=(24,), zscores=(168,)).names
    ('basis', 'basis_zscore_168', 'funding_sum_24')
    """

    functions: tuple[str, ...]
    windows: tuple[int, ...] = ()
    zscores: tuple[int, ...] = ()
    rate: str = "funding_rate"
    time: str = "funding_time"
    perp: str = "perp_close"
    spot: str = "close"
    mark: str = "mark_close"

    def __post_init__(self) -> None:
        require("functions", self.functions)
        for function in self.functions:
            if function not in _FUNCTIONS:
                raise ValueError(f"functions: no function {function!r}; there are {', '.join(_FUNCTIONS)}")
        for name, least, users in (("windows", 1, _SUMS), ("zscores", 2, _LEVELS)):
            lengths, used = getattr(self, name), set(self.functions) & set(users)
            if lengths and not used:
                raise ValueError(f"{name}: none of {', '.join(self.functions)} uses it; {', '.join(users)} do")
            if lengths or (used and name == "windows"):
                require(name, lengths)
                if min(lengths) < least:
                    raise ValueError(f"{name} must be at least {least} bars, was {min(lengths)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        found: list[str] = []
        for function in self.functions:
            if function in _SUMS:
                found += [f"{function}_{window}" for window in self.windows]
            else:
                found += [function]
            if function in _LEVELS:
                found += [f"{function}_zscore_{window}" for window in self.zscores]
        return tuple(found)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return max([0, *self.windows, *(window - 1 for window in self.zscores)])

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        for function in self.functions:
            if function in _SUMS:
                yield from (self._sum(bars, window, yearly=function == "funding_annual") for window in self.windows)
            elif function == "funding_age":
                yield (bars.close_time - bars[self.time]) / _HOUR_MS
            else:
                values = self._level(bars, function)
                yield values
                yield from (rolling_zscore(values, window) for window in self.zscores)

    def _level(self, bars: Bars, function: str) -> FloatArray:
        if function == "funding":
            return bars[self.rate].copy()
        price, spot = bars[self.perp if function == "basis" else self.mark], bars[self.spot]
        share: FloatArray = np.divide(price, spot, out=np.full(len(bars), np.nan), where=spot != 0)
        return share - 1

    def _sum(self, bars: Bars, window: int, *, yearly: bool) -> FloatArray:
        time = bars[self.time]
        settled = np.where(time != lagged(time, 1), bars[self.rate], 0.0)
        settled[np.isnan(bars[self.rate]) | np.isnan(time)] = np.nan
        settled[:1] = np.nan  # whether the first bar's settlement is a new one, an earlier bar would tell
        total = rolling_sum(settled, window)
        return total * (bars.timeframe.bars_per_year / window) if yearly else total
