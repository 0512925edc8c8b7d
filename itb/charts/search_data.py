"""What the page of a search shows: plain arrays and words, so that charts need to know no search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.data import Importance, Note, Table, Tone, same_length

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.market.bars import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Fact:
    """A number of the verdict: what it is, what it was, and what the rule (or reason) asks of it.

    >>> Fact("Deflated Sharpe", "0.27", "needs at least 0.95", "bad").tone
    'bad'
    """

    name: str
    value: str
    wanted: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class VerdictWords:
    """A verdict for people: its word, the numbers that decided, all others as rows of (name, what it says).

    ``remarks`` are sentences on what was counted, how long the history is and what backtrader confirmed.
    """

    word: str
    line: str
    tone: Tone
    facts: tuple[Fact, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    remarks: tuple[Note, ...] = ()


@dataclass(frozen=True, eq=False)
class DailyLine:
    """The worth of 1 at the end of each UTC day (``day`` in milliseconds)."""

    name: str
    day: IntArray
    worth: FloatArray

    def __post_init__(self) -> None:
        same_length(f"worth of {self.name!r}", self.worth, self.day)


@dataclass(frozen=True, eq=False)
class Crowd:
    """The worth of 1 in each of all ``trials``: ``shares`` are quantiles (days x quantiles) at the end of each ``day``.

    ``lines`` has some of the trials whole, one in each row.
    """

    day: IntArray
    quantiles: tuple[float, ...]
    shares: npt.NDArray[np.float64]
    lines: npt.NDArray[np.float64]
    trials: int

    def __post_init__(self) -> None:
        same_length("shares", self.shares, self.day)
        same_length("quantiles", self.quantiles, self.shares.T)
        if len(self.lines):
            same_length("lines", self.lines.T, self.day)


@dataclass(frozen=True, eq=False)
class Parameter:
    """One setting that varied: its value in each trial (NaN: did not exist there).

    With ``choices`` the values are places in them. ``is_log`` asks for a logarithmic axis.
    """

    name: str
    values: FloatArray
    choices: tuple[str, ...] = ()
    is_log: bool = False

    @property
    def short(self) -> str:
        """The name without the sections that lead to it."""
        return self.name.rpartition(".")[2]

    def word(self, value: float) -> str:
        """Write a value.

        >>> Parameter("model.kind", np.array([1.0]), ("a", "b")).word(1.0)
        'b'
        """
        if not np.isfinite(value):
            return "–"
        return self.choices[int(value)] if self.choices else f"{value:.4g}"


@dataclass(frozen=True, eq=False)
class Trials:
    """All trials in the order of their numbers.

    ``values`` (trials x objectives) are NaN where there is no result, ``state`` says why: complete, infeasible,
    pruned or failed. ``best`` is the place of the claimed one, ``neighbours`` are the places of the nearest around
    it, ``front`` marks the trials that no other beats in every objective. ``directions`` are 1 where more is better,
    else -1.
    """

    number: IntArray
    objectives: tuple[str, ...]
    directions: tuple[int, ...]
    values: npt.NDArray[np.float64]
    state: tuple[str, ...]
    best: int
    parameters: tuple[Parameter, ...] = ()
    neighbours: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    front: BoolArray | None = None

    def __post_init__(self) -> None:
        same_length("values", self.values, self.number)
        same_length("state", self.state, self.number)
        same_length("objectives", self.objectives, self.values.T)
        same_length("directions", self.directions, self.objectives)
        for parameter in self.parameters:
            same_length(f"values of {parameter.name!r}", parameter.values, self.number)

    @property
    def objective(self) -> FloatArray:
        """Values of the objective that ranks."""
        return np.asarray(self.values[:, 0])


@dataclass(frozen=True, eq=False)
class Halves:
    """A figure of each trial over the first half of the days (``inside``) and over the second (``outside``)."""

    figure: str
    number: IntArray
    inside: FloatArray
    outside: FloatArray
    best: int | None = None
    correlation: float = float("nan")

    def __post_init__(self) -> None:
        same_length("inside", self.inside, self.number)
        same_length("outside", self.outside, self.number)


@dataclass(frozen=True, eq=False)
class WindowReturns:
    """Total return of each trial (rows, best objective first) in each window; ``nested`` is that of the replay."""

    windows: tuple[str, ...]
    number: IntArray
    returns: npt.NDArray[np.float64]
    nested: FloatArray | None = None

    def __post_init__(self) -> None:
        same_length("returns", self.returns, self.number)
        same_length("windows", self.windows, self.returns.T)
        if self.nested is not None:
            same_length("nested", self.nested, self.windows)


@dataclass(frozen=True, eq=False)
class Drift:
    """The parameters chosen for each window: ``shares`` (parameters x windows) say where in its range each lay.

    ``words`` has the values themselves; NaN and an empty word where nobody was chosen or the parameter did not exist.
    """

    windows: tuple[str, ...]
    parameters: tuple[str, ...]
    shares: npt.NDArray[np.float64]
    words: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        same_length("parameters", self.parameters, self.shares)
        same_length("words", self.words, self.parameters)
        for row in (*self.words, *self.shares):
            same_length("a row of drift", row, self.windows)


@dataclass(frozen=True, eq=False)
class SearchReport:
    """Everything the page of a search says; parts that are not there are left out.

    ``lines`` are drawn in their order, the first one as the headline, over the ``crowd``.
    ``importance`` is a figure or the sentence why there is none; ``logits`` are those of the cross-validation;
    ``choices`` lists who was chosen for each window; ``engines``, ``failures`` and ``holdout`` are tables for the end.
    """

    title: str
    summary: str
    study: str
    is_synthetic: bool
    verdict: VerdictWords | None = None
    is_free: bool = False
    holdout_seen: bool = False
    created: str = ""
    period: str = ""
    lines: tuple[DailyLine, ...] = ()
    crowd: Crowd | None = None
    trials: Trials | None = None
    halves: Halves | None = None
    logits: FloatArray | None = None
    windows: WindowReturns | None = None
    importance: Importance | str = ""
    drift: Drift | None = None
    choices: Table | None = None
    best: Table | None = None
    engines: Table | None = None
    failures: Table | None = None
    holdout: Table | None = None
    notes: tuple[Note, ...] = ()
    manifest: Mapping[str, object] = field(default_factory=dict)
