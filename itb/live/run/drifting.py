"""Whether live features still look like what the models learned from; told once, through the health board."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.live.scores.drift import DriftWatch, TrainingQuantiles
from itb.mlmodels.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from itb.live.run.engine import Ticked
    from itb.live.run.health import HealthBoard
    from itb.live.scores.desk import ScoreDesk
    from itb.mlmodels.algorithm import FloatMatrix

WINDOW = 500
MOVED = 0.25
_EVERY = 50
_STRETCHES = 200


@dataclass(frozen=True, eq=False)
class Ground:
    """The quantiles of training rows, and for each feature the largest index among stretches of ``WINDOW`` of them.

    A slow feature stays in one part of its range for long, so any stretch is far from the whole: only what is clearly
    farther than that has moved. At most two hundred stretches are looked at, evenly spread.
    """

    quantiles: TrainingQuantiles
    usual: Mapping[str, float]

    @classmethod
    def of(cls, names: Sequence[str], rows: FloatMatrix) -> Ground:
        """Take it from the rows that a model learned from."""
        quantiles = TrainingQuantiles.of(names, rows)
        usual = {}
        last = max(0, len(rows) - WINDOW)
        starts = range(0, last + 1, max(_EVERY, last // _STRETCHES))
        for place, name in enumerate(names):
            values = rows[:, place].astype(np.float64)
            found = (quantiles.index(name, values[start : start + WINDOW]) for start in starts)
            told = [index for index in found if np.isfinite(index)]
            usual[name] = max(told, default=0.0)
        return cls(quantiles, usual)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        edges, shares = (
            {name: values.tolist() for name, values in one.items()}
            for one in (self.quantiles.edges, self.quantiles.shares)
        )
        write_whole(path, json.dumps({"edges": edges, "shares": shares, "usual": self.usual}).encode())

    @classmethod
    def load(cls, path: Path) -> Ground:
        """Read it back; raise :class:`itb.errors.ModelError` if that cannot be."""
        try:
            told = json.loads(path.read_bytes())
            edges, shares = (
                {name: np.array(values, dtype=np.float64) for name, values in told[key].items()}
                for key in ("edges", "shares")
            )
            return cls(TrainingQuantiles(edges, shares), {name: float(one) for name, one in told["usual"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: not the quantiles of training rows ({error}); train again") from None


@dataclass
class Drift:
    """Compares the last ``WINDOW`` rows of each desk with its ground, every fifty bars.

    ``grounds`` are files, read again when a refit has written them anew. A desk without one is not watched.
    """

    desks: Mapping[str, ScoreDesk]
    grounds: Mapping[str, Path]
    board: HealthBoard
    _watches: dict[str, tuple[int, Ground, DriftWatch]] = field(default_factory=dict)
    _bars: dict[str, int] = field(default_factory=dict)

    def tick(self, ticked: Ticked) -> None:
        """Take the newest rows."""
        for symbol in ticked.step.bars:
            row = self.desks[symbol].newest
            count = self._bars[symbol] = self._bars.get(symbol, -1) + 1
            if count % _EVERY == 0:
                self._look(symbol)
            if symbol in self._watches and len(row):
                self._watches[symbol][2].add(row)
                if count % _EVERY == 0:
                    self._judge(symbol)

    def _look(self, symbol: str) -> None:
        path = self.grounds[symbol]
        stamp = path.stat().st_mtime_ns if path.exists() else 0
        if not stamp or (symbol in self._watches and self._watches[symbol][0] == stamp):
            return
        try:
            ground = Ground.load(path)
        except ModelError as error:
            self.board.trouble(f"{symbol}: ground", str(error))
            return
        names = self.desks[symbol].feature_names
        if symbol in self._watches:
            watch = self._watches[symbol][2]
            watch.against(ground.quantiles)
        else:
            watch = DriftWatch(names, ground.quantiles, window=WINDOW, least=WINDOW)
        self._watches[symbol] = stamp, ground, watch
        self.board.well(f"{symbol}: ground")

    def _judge(self, symbol: str) -> None:
        _, ground, watch = self._watches[symbol]
        indices = watch.indices()
        if indices:
            self.board.keep(f"{symbol}: drift", drift_told(symbol, indices, ground.usual))


def drift_told(symbol: str, indices: Mapping[str, float], usual: Mapping[str, float]) -> str | None:
    """Say which features have moved, the farthest first; ``None`` if none has.

    >>> drift_told("BTC/USDT", {"a": 0.3, "b": 2.0, "c": 0.1}, {"a": 0.5, "b": 0.5, "c": 0.0})
    'BTC/USDT: 1 of 3 features have left what the models learned from: b 2.00 (stability index; usual up to 0.50)'
    """
    moved = {name: index for name, index in indices.items() if index >= usual.get(name, 0.0) + MOVED}
    worst = sorted(moved, key=lambda name: (-moved[name], name))[:3]
    told = ", ".join(
        f"{name} {moved[name]:.2f} (stability index; usual up to {usual.get(name, 0.0):.2f})" for name in worst
    )
    head = f"{symbol}: {len(moved)} of {len(indices)} features have left what the models learned from"
    return f"{head}: {told}" if moved else None
