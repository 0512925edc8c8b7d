"""What a walk-forward learns from: features and one label, side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.algorithm import FloatMatrix, complete_rows
from itb.mlmodels.labels.column import Label, LabelColumn
from itb.mlmodels.labels.trade_classes import has_trade_classes, learned_column

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.timeframe import Timeframe

_CHUNK = 65_536


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Features (float32, one row per bar; a memory map is welcome), their names, one label, and the bars' open times.

    ``close`` is looked at where training is stopped by its trading result; ``has_classes`` says that the label is one
    of -1 (sell), 0 (hold) and 1 (buy); ``coins`` are those whose rows take turns, in a pool. Raises ``ValueError`` when
    lengths, types or names do not fit together.

    >>> from itb.market.timeframe import Timeframe
    >>> label = LabelColumn.after(np.array([0.0, 1.0, 1.0]), horizon=1)
    >>> features = np.zeros((3, 2), dtype=np.float32)
    >>> table = TrainingTable(features, ("a", "b"), label, "up", True, np.arange(3) * 60_000, Timeframe.parse("1m"))
    >>> len(table)
    3
    """

    features: FloatMatrix
    feature_names: tuple[str, ...]
    label: LabelColumn
    label_name: str
    is_binary: bool
    open_time: IntArray
    timeframe: Timeframe
    close: FloatArray | None = None
    has_classes: bool = False
    coins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise ValueError(f"features must be a float32 matrix, were {self.features.dtype} {self.features.shape}")
        if not len(self.features) == len(self.label) == len(self.open_time):
            raise ValueError(
                f"features, label and open_time must be as long as each other, were {len(self.features)}, "
                f"{len(self.label)}, {len(self.open_time)}"
            )
        if self.features.shape[1] != len(self.feature_names) or not self.feature_names:
            raise ValueError(f"{self.features.shape[1]} columns of features have {len(self.feature_names)} names")
        twice = sorted({name for name in self.feature_names if self.feature_names.count(name) > 1})
        if twice:
            raise ValueError(f"each feature needs a name of its own, {twice[0]!r} is there twice")

    @classmethod
    def of(cls, bars: Bars, features: FloatMatrix, feature_names: tuple[str, ...], label: Label) -> TrainingTable:
        """Join features of some bars with a label computed from the same bars; hold, buy, sell become 0, 1, -1."""
        return cls(
            features=features,
            feature_names=feature_names,
            label=learned_column(label, bars),
            label_name=label.name,
            is_binary=label.is_binary,
            open_time=bars.open_time,
            timeframe=bars.timeframe,
            close=bars.close,
            has_classes=has_trade_classes(label),
        )

    def __len__(self) -> int:
        return len(self.open_time)

    @cached_property
    def complete(self) -> npt.NDArray[np.bool_]:
        """Rows in which every feature is a finite number."""
        return complete_rows(self.features)

    @property
    def first_complete(self) -> int:
        """The first row that has every feature; the number of rows if there is none."""
        return int(self.complete.argmax()) if self.complete.any() else len(self)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of everything in the table."""
        told = (self.feature_names, self.label_name, self.is_binary, self.timeframe.ms, *self.coins)
        digest = hashlib.sha256(repr(told).encode())
        for i in range(0, len(self.features), _CHUNK):
            digest.update(self.features[i : i + _CHUNK].tobytes())
        for column in (self.label.values, self.label.known_at, self.open_time):
            digest.update(column.tobytes())
        if self.close is not None:
            digest.update(self.close.tobytes())
        return digest.hexdigest()

    def refuse_unusable(self) -> None:
        """Raise :class:`ModelError` when no row at all can be learned from, naming the feature that is to blame."""
        if (self.complete & (self.label.known_at >= 0)).any():
            return
        if not (self.label.known_at >= 0).any():
            raise ModelError(
                f"label {self.label_name!r} is unknown on all {len(self)} bars: more bars, or a shorter horizon"
            )
        finite = np.isfinite(self.features).mean(axis=0)
        worst = int(finite.argmin())
        raise ModelError(
            f"no bar has all {len(self.feature_names)} features: {self.feature_names[worst]!r} is a number on "
            f"{100 * finite[worst]:.0f} % of {len(self)} bars. Leave it out, shorten its window, or load more bars."
        )
