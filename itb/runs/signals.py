"""The signals: a stage after training, and `itb signals`, which writes what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.config import parts
from itb.config.messages import unknown_name
from itb.errors import ConfigError
from itb.indicators.score import ArrayScores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from itb.config import Config
    from itb.indicators.signals import SignalSet
    from itb.market.bars import FloatArray
    from itb.runs.scored import ScoredMarket, ScoreRanges
    from itb.runs.workspace import Workspace


def signal_ranges(config: Config, ranges: ScoreRanges) -> ScoreRanges:
    """Add the columns that the signals make, with their ranges; refuse a signal whose columns are not there."""
    signals = checked_signals(config, ranges)
    return {**ranges, **signals.ranges(ranges)}


def add_signals(workspace: Workspace, scored: ScoredMarket) -> ScoredMarket:
    """Put the signals' columns behind the scores; flags are 1 or 0, and NaN where a score that they read is."""
    if not workspace.config.signals:
        return scored
    known = {name: (source.low, source.high) for name, source in scored.scores.items()}
    signals = checked_signals(workspace.config, known)
    values = signal_columns(signals, {name: source.batch() for name, source in scored.scores.items()})
    ranges, times = signals.ranges(known), scored.market.bars.open_time
    return scored.with_scores({name: ArrayScores(name, times, made, *ranges[name]) for name, made in values.items()})


def checked_signals(config: Config, columns: Iterable[str]) -> SignalSet:
    """Build the configured signals; raise :class:`itb.errors.ConfigError` for a column that is not there, or twice."""
    signals = parts.signal_set(config)
    known = list(columns)
    for number, signal in enumerate(signals.signals):
        for name in signal.inputs:
            if name not in known:
                raise ConfigError(config.complaint(("signals", number, "columns"), unknown_name("column", name, known)))
        for name in signal.outputs:
            if name in known:
                told = f'"{name}" is a column already; give this one a name of its own'
                raise ConfigError(config.complaint(("signals", number, "names"), told))
        known += signal.outputs
    return signals


def signal_columns(signals: SignalSet, columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Compute the signals as numbers: a flag is 1 or 0, and NaN where a column that it reads is NaN.

    >>> from itb.indicators.signals import SignalSet, ThresholdSignal
    >>> rule = SignalSet((ThresholdSignal("score", ("buy", "sell"), 0.5, 0.1),))
    >>> signal_columns(rule, {"score": np.array([np.nan, 0.7, 0.0])})["buy"].tolist()
    [nan, 1.0, 0.0]
    """
    made = signals(columns)
    known: dict[str, FloatArray] = {name: np.asarray(columns[name], np.float64) for name in signals.inputs}
    for signal in signals.signals:
        unknown = np.isnan([known[name] for name in signal.inputs]).any(axis=0)
        for name in signal.outputs:
            values = made[name]
            known[name] = np.where(unknown, np.nan, values) if values.dtype == bool else np.asarray(values, np.float64)
    return {name: known[name] for name in signals.names}
