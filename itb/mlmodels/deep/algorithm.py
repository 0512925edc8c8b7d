"""What every network can be told: what it reads, how it learns, when it stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from itb.mlmodels.deep.panel import Reading, Values

LossName = Literal["mse", "l1", "huber", "quantile", "correlation", "sharpe"]
Optimizer = Literal["adam", "adamw"]
Watch = Literal["loss", "ic", "trading"]
Post = Literal["none", "linear", "elastic_net"]
Device = Literal["auto", "cpu", "cuda"]
Activation = Literal["silu", "relu", "gelu", "tanh"]

_CHOICES = {"loss": LossName, "optimizer": Optimizer, "judge": Watch, "post": Post, "device": Device}
_LEAST = {
    "steps": 1,
    "batch_rows": 2,
    "epochs": 1,
    "warmup_batches": 0,
    "plateau_epochs": 0,
    "patience": 1,
    "fine_tune_epochs": 0,
    "threads": 1,
    "prefetch": 0,
}
_POSITIVE = ("huber", "learning_rate")
_NOT_NEGATIVE = ("weight_decay", "clip", "cost", "penalty")
_SHARES = ("quantile", "tail_fraction")


@dataclass(frozen=True)
class DeepAlgorithm:
    """A network that reads the last ``steps`` bars of all coins at once and gives one score for each coin.

    It learns the label of every coin jointly: an estimate in the label's unit. Inputs and labels are scaled by what the
    training rows show. The newest ``tail_fraction`` of those is held back, purged of labels that reach into it, and the
    state that the ``judge`` likes best there is kept.

    Parameters
    ----------
    steps
        How many bars a window has, the present one included.
    columns
        Columns of the bars that are read; empty: all that every coin has.
    values
        ``changes`` reads prices as log ratios to the close before and sums as logarithms; ``levels`` reads them as they
        are.
    clock
        Also read the time of day and of week.
    loss
        What training lowers: ``mse``, ``l1``, ``huber``, ``quantile``, or one less ``correlation`` or ``sharpe`` ratio
        of a batch.
    quantile
        Which quantile the loss of that name estimates.
    huber
        Where the loss of that name turns from square to line, in standard deviations of the label.
    optimizer
        ``adam``, or ``adamw``, which takes weight decay apart from the gradient.
    learning_rate
        Step size after the warm-up.
    weight_decay
        How much weights shrink.
    batch_rows
        How many windows a step learns from.
    epochs
        How often all rows are seen, at most.
    warmup_batches
        Over how many batches the step size rises to its full size.
    plateau_epochs
        After how many epochs without a gain the step size is cut; 0: never.
    plateau_factor
        What is left of the step size then.
    clip
        Longest gradient that a step follows in full; 0: any.
    judge
        What the held-back rows are judged by: ``loss``, ``ic`` (correlation with the label) or ``trading`` (what the
        outer tenths of the scores earn after cost).
    cost
        Cost of a round trip, a fraction, for that trading result.
    tail_fraction
        Which share of the training rows, the newest, is held back.
    patience
        After how many epochs without a gain training stops.
    fine_tune_epochs
        Let a refit go on from the network before it, for so many epochs; 0: every refit begins anew.
    post
        Turn scores into expected labels by a regression over the scores of all coins on the held-back rows: ``linear``
        or ``elastic_net``.
    penalty
        Strength of that elastic net.
    device
        ``auto`` takes a GPU where there is one.
    threads
        How many threads torch computes with; the last bits of a model depend on it.
    mixed_precision
        Compute with bfloat16 on a GPU where that is safe.
    deterministic
        Refuse operations of torch that give other bits each time.
    prefetch
        How many batches are read ahead in a thread; 0: none.
    events
        Also write the curves as TensorBoard events.
    """

    steps: int = 64
    columns: tuple[str, ...] = ()
    values: Values = "changes"
    clock: bool = False
    loss: LossName = "mse"
    quantile: float = 0.5
    huber: float = 1.0
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    batch_rows: int = 256
    epochs: int = 20
    warmup_batches: int = 0
    plateau_epochs: int = 3
    plateau_factor: float = 0.5
    clip: float = 1.0
    judge: Watch = "loss"
    cost: float = 0.002
    tail_fraction: float = 0.2
    patience: int = 6
    fine_tune_epochs: int = 0
    post: Post = "none"
    penalty: float = 0.0001
    device: Device = "auto"
    threads: int = 1
    mixed_precision: bool = False
    deterministic: bool = True
    prefetch: int = 0
    events: bool = False

    name: ClassVar[str] = ""
    is_classifier: ClassVar[bool] = False
    score_range: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    suffix: ClassVar[str] = ".safetensors"

    def __post_init__(self) -> None:
        Reading(self.columns, self.values, self.clock)
        for name, kind in _CHOICES.items():
            check_choice(name, getattr(self, name), kind)
        for name, least in _LEAST.items():
            check_least(name, getattr(self, name), least)
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be above 0, was {getattr(self, name)}")
        for name in _NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be at least 0, was {getattr(self, name)}")
        for name in _SHARES:
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, was {getattr(self, name)}")
        if not 0 < self.plateau_factor <= 1:
            raise ValueError(f"plateau_factor must be above 0 and at most 1, was {self.plateau_factor}")

    @property
    def reading(self) -> Reading:
        """How bars become its input."""
        return Reading(self.columns, self.values, self.clock)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a score."""
        return self.steps - 1 + self.reading.warmup

    def body(self, channels: int, coins: int) -> Any:
        """Build the torch module from scaled windows (rows x channels x steps) to one number per coin."""
        raise NotImplementedError


def check_choice(name: str, value: str, kind: Any) -> None:
    """Refuse anything but the words of a literal type with ``ValueError``."""
    words = get_args(kind)
    if value not in words:
        told = ", ".join(f'"{word}"' for word in words)
        raise ValueError(f"{name} must be one of {told}, was {value!r}")


def check_least(name: str, value: int, least: int) -> None:
    """Refuse a count that is too small with ``ValueError``."""
    if value < least:
        raise ValueError(f"{name} must be at least {least}, was {value}")


def check_dropout(dropout: float) -> None:
    """Refuse a share that is none with ``ValueError``."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, was {dropout}")
