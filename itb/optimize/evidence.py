"""What a verdict is judged from: the daily returns of a search's trials and of its nested replay, and the counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import FloatArray, IntArray

WINDOW_DAYS = 30


@dataclass(frozen=True, eq=False)
class Evidence:
    """A finished search, as daily UTC returns (fractions, after costs; days without a position are 0).

    Parameters
    ----------
    returns
        One row a day, one column for each trial that finished, all over the same days.
    selected
        Column of the trial that is claimed: what the procedure picks on all these days.
    nested
        Out-of-sample returns of the replayed selection, day by day: chosen on the windows before, traded in the next;
        less those of cash, where cash earns.
    raw_trials
        Every trial of every run on this market and overlapping time, failed and pruned ones too, from the register.
        0 means as many as there are columns.
    failed_trials
        How many of them have no returns.
    nested_windows
        Number of the window of each nested day; stretches of 30 days without it.
    hold
        Returns of buy-and-hold over the days of ``returns``; without it the verdict compares with cash alone.
    cash
        Returns of cash over the same days; 0 without it.
    stability
        :attr:`itb.optimize.neighbourhood.Neighbourhood.stability` of the selected trial.
    random_entry_p, permutation_p
        P-values of :mod:`itb.optimize.null_baselines`.
    label_permutation_p, label_permutations
        P-value of the selected trial among so many whose model was trained on permuted labels.
    break_even_bps, charged_bps
        One-way cost at which the selected trial's gain is gone, and what was charged, in basis points.
    """

    returns: npt.NDArray[np.float64]
    selected: int
    nested: FloatArray
    raw_trials: int = 0
    failed_trials: int = 0
    nested_windows: IntArray | None = None
    hold: FloatArray | None = None
    cash: FloatArray | None = None
    stability: float = math.nan
    random_entry_p: float = math.nan
    permutation_p: float = math.nan
    label_permutation_p: float = math.nan
    label_permutations: int = 0
    break_even_bps: float = math.nan
    charged_bps: float = math.nan

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or min(self.returns.shape) < 1:
            raise ValueError(f"returns must be a table of days x trials, was of shape {self.returns.shape}")
        days, trials = self.returns.shape
        if days < 10:
            raise ValueError(f"a verdict needs at least 10 days of returns, was {days}; search over more bars")
        if not 0 <= self.selected < trials:
            raise ValueError(f"selected must be one of {trials} columns, was {self.selected}")
        for name, series, count in (
            ("hold", self.hold, days),
            ("cash", self.cash, days),
            ("nested_windows", self.nested_windows, len(self.nested)),
        ):
            if series is not None and len(series) != count:
                raise ValueError(f"{name} must have {count} days, had {len(series)}")
        for name, values in (("returns", self.returns), ("nested", self.nested), ("hold", self.hold)):
            if values is not None and not np.isfinite(values).all():
                raise ValueError(f"{name} must be finite; leave out trials that failed, and end a series at a ruin")
        if self.raw_trials and self.raw_trials < trials:
            raise ValueError(f"raw_trials counts every trial ever run, was {self.raw_trials} with {trials} columns")

    @property
    def trials(self) -> int:
        """Every trial that counts, whether it has returns or not."""
        return self.raw_trials or self.returns.shape[1]

    @property
    def excess(self) -> npt.NDArray[np.float64]:
        """Returns of all trials above those of cash."""
        return self.returns if self.cash is None else np.asarray(self.returns - self.cash[:, None])

    def excess_of_hold(self) -> npt.NDArray[np.float64]:
        """Give what each trial earned above buy-and-hold of as much as the trial itself was exposed to the market.

        The exposure is the slope of the trial's excess returns on those of the market. In a market that rose, a trial
        that was merely in it has nothing left here, and one that was out of it is not blamed for the rise.
        """
        assert self.hold is not None
        market = self.hold if self.cash is None else self.hold - self.cash
        centred = market - market.mean()
        variance = float(centred @ centred)
        if variance == 0:
            return self.excess
        slope = centred @ self.excess / variance
        return np.asarray(self.excess - market[:, None] * slope)

    def window_returns(self) -> FloatArray:
        """Give the total return of the nested replay in each of its windows, in order.

        >>> returns = np.zeros((60, 1))
        >>> Evidence(returns, 0, np.full(70, 0.01)).window_returns().round(3).tolist()
        [0.348, 0.489]
        """
        days = len(self.nested)
        if days == 0:
            return np.empty(0)
        windows = self.nested_windows
        if windows is None:
            whole = max(round(days / WINDOW_DAYS), 1)
            windows = np.minimum(np.arange(days) // WINDOW_DAYS, whole - 1)
        starts = np.flatnonzero(np.diff(windows, prepend=windows[0] - 1))
        return np.asarray(np.expm1(np.add.reduceat(np.log1p(np.maximum(self.nested, -1 + 1e-12)), starts)))
