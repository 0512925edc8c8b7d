"""SignalSet: signals one after the other, from scores to flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from itb.indicators.signals.signal import Columns, Range, Ranges, Signal, SignalColumns
from itb.market.bars import FloatArray


@dataclass(frozen=True)
class SignalSet:
    """Signals in order; each may read the given scores and what those before it made.

    >>> from itb.indicators.signals import Combine, ThresholdSignal
    >>> signals = SignalSet((
    ...     Combine(("up", "down"), "score", "difference"),
    ...     ThresholdSignal("score", ("buy", "sell"), 0.1, -0.1),
    ... ))
    >>> signals.inputs, signals.names
    (('up', 'down'), ('score', 'buy', 'sell'))
    """

    signals: tuple[Signal, ...]

    def __post_init__(self) -> None:
        made: set[str] = set()
        for signal in self.signals:
            for name in signal.outputs:
                if name in made or name in self.inputs:
                    raise ValueError(
                        f"signal column {name!r} is there already, or read before it is made: give each "
                        "column a name of its own, and put what makes one before what reads it"
                    )
                made.add(name)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Score columns that must be given."""
        made: set[str] = set()
        asked: dict[str, None] = {}
        for signal in self.signals:
            asked.update(dict.fromkeys(name for name in signal.inputs if name not in made))
            made.update(signal.outputs)
        return tuple(asked)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that are made, in order."""
        return tuple(name for signal in self.signals for name in signal.outputs)

    @property
    def warmup(self) -> int:
        """How many earlier rows of the given scores decide a value, over all columns."""
        reach: dict[str, int] = {}
        for signal in self.signals:
            needed = signal.warmup + max(reach.get(name, 0) for name in signal.inputs)
            reach.update(dict.fromkeys(signal.outputs, needed))
        return max(reach.values(), default=0)

    def ranges(self, known: Ranges) -> dict[str, Range]:
        """Say between which numbers each column that is made lies, from the ranges of the given scores."""
        made: dict[str, Range] = {}
        for signal in self.signals:
            made.update(zip(signal.outputs, signal.ranges({**known, **made}), strict=True))
        return made

    def __call__(self, columns: Columns) -> SignalColumns:
        """Compute all columns; raise ``ValueError`` where a score is missing or of another length."""
        absent = [name for name in self.inputs if name not in columns]
        if absent:
            raise ValueError(f"no score column {absent[0]!r}; there are {', '.join(columns)}")
        known: dict[str, FloatArray] = {name: np.asarray(columns[name], np.float64) for name in self.inputs}
        if len({len(values) for values in known.values()}) > 1:
            lengths = ", ".join(f"{name} {len(values)}" for name, values in known.items())
            raise ValueError(f"score columns must be as long as each other, had {lengths} rows")
        made: dict[str, FloatArray] = {}
        for signal in self.signals:
            new = cast("dict[str, FloatArray]", signal(known | made))
            made.update(new)
        return made
