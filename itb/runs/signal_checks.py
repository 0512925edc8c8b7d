"""The laws on the configured signals: later scores change nothing, and the warm-up that they state is enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from itb.config import parts
from itb.laws.forward import check_forward
from itb.laws.result import LawResult
from itb.runs.law_checks import Finding, of
from itb.runs.signals import signal_columns

if TYPE_CHECKING:
    from itb.config import Config
    from itb.indicators.signals import SignalSet
    from itb.market.bars import FloatArray
    from itb.runs.scored import ScoreRanges

_ROWS = 400
_CUTS = (0, 1, 57, 200, _ROWS - 2)


def check_signals(config: Config, ranges: ScoreRanges) -> Iterator[Finding]:
    """Check the signals on made-up scores that lie in the range of their columns, a tenth of them missing."""
    signals = parts.signal_set(config)
    if not signals.signals:
        return
    rng = np.random.default_rng(0)
    subject = f"signals {', '.join(signals.names)}"
    told = {name: _made_up(ranges.get(name, (0.0, 1.0)), signals.warmup + _ROWS, rng) for name in signals.inputs}

    def poison(world: Mapping[str, FloatArray], row: int, noise: np.random.Generator) -> dict[str, FloatArray]:
        later = {name: _made_up(ranges.get(name, (0.0, 1.0)), len(values), noise) for name, values in world.items()}
        return {name: np.append(values[: row + 1], later[name][row + 1 :]) for name, values in world.items()}

    yield of(check_forward(lambda world: signal_columns(signals, world), told, poison, _CUTS, subject=subject))
    yield of(_warmed(signals, told, subject))


def _warmed(signals: SignalSet, told: Mapping[str, FloatArray], subject: str) -> LawResult:
    whole = signal_columns(signals, told)
    kept = signals.warmup + 1
    for back in (0, 1, 101, _ROWS - 2):
        stop = len(next(iter(told.values()))) - back
        live = signal_columns(signals, {name: values[stop - kept : stop] for name, values in told.items()})
        for name, values in live.items():
            if not np.isclose(values[-1], whole[name][stop - 1], rtol=1e-9, atol=1e-9, equal_nan=True):
                evidence = (
                    f"{name} is {values[-1]:.10g} from the last {kept} rows, {whole[name][stop - 1]:.10g} from all"
                )
                return LawResult("warmup", subject, passed=False, evidence=evidence)
    return LawResult("warmup", subject, passed=True, evidence=f"{kept} rows gave the values of all at 4 rows")


def _made_up(bounds: tuple[float, float], rows: int, rng: np.random.Generator) -> FloatArray:
    low, high = (bound if np.isfinite(bound) else place for bound, place in zip(bounds, (-1.0, 1.0), strict=True))
    return np.where(rng.random(rows) < 0.1, np.nan, rng.uniform(low, high, rows))
