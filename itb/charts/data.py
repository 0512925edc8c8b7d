"""What a report shows: plain arrays and words, so that charts need to know no engine and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from itb.ledger.trades import Trade
    from itb.market.bars import Bars, FloatArray, IntArray

Tone = Literal["plain", "good", "bad", "warn"]


@dataclass(frozen=True)
class MetricRow:
    """One figure of the result, already written for people, beside buy-and-hold and cash (empty: not applicable).

    ``is_headline`` puts it on a tile at the top; ``formula`` says in words or signs how it was computed.

    >>> MetricRow("Sharpe ratio", "0.84", hold="1.10", formula="mean / std of bar returns × √bars per year").tone
    'plain'
    """

    name: str
    strategy: str
    hold: str = ""
    cash: str = ""
    formula: str = ""
    tone: Tone = "plain"
    is_headline: bool = False


@dataclass(frozen=True)
class Note:
    """One honest sentence about the run; ``warn`` and ``bad`` stand out."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Table:
    """Rows of words under column heads; the first column is the row's name."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row must have {len(self.columns)} cells, was {row!r}")


@dataclass(frozen=True, eq=False)
class ScoreLine:
    """A score on every bar of its market (NaN: no score) and the thresholds it is compared with, by name."""

    column: str
    values: FloatArray
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Region:
    """A stretch of time worth shading, such as the hold-out; UTC milliseconds, ``stop`` excluded."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class MarketPanel:
    """One symbol: its bars, the scores read there and stretches to shade."""

    bars: Bars
    scores: tuple[ScoreLine, ...] = ()
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        for score in self.scores:
            same_length(f"score {score.column!r}", score.values, self.bars.open_time)


@dataclass(frozen=True, eq=False)
class EquityCurve:
    """Value of the account at each bar's ``close_time`` (UTC milliseconds), in ``currency``.

    ``hold`` is buy-and-hold from the same ``start_cash``.
    """

    close_time: IntArray
    strategy: FloatArray
    start_cash: float
    hold: FloatArray | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        same_length("strategy", self.strategy, self.close_time)
        if self.hold is not None:
            same_length("hold", self.hold, self.close_time)


@dataclass(frozen=True, eq=False)
class FoldQuality:
    """One quality figure of the model (AUC, IC …) for every walk-forward block, and what guessing would score.

    ``column`` is told where there are several score columns.
    """

    metric: str
    labels: tuple[str, ...]
    values: FloatArray
    base: float
    pooled: float | None = None
    column: str = ""

    def __post_init__(self) -> None:
        same_length("values", self.values, self.labels)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Reliability of a probability: mean prediction, share that came true and count, per bin of predictions."""

    column: str
    predicted: FloatArray
    observed: FloatArray
    counts: IntArray

    def __post_init__(self) -> None:
        same_length("observed", self.observed, self.predicted)
        same_length("counts", self.counts, self.predicted)


@dataclass(frozen=True, eq=False)
class Importance:
    """How much each feature was used, largest first or not; ``kind`` says what the values are.

    ``column`` is told where there are several score columns.
    """

    names: tuple[str, ...]
    values: FloatArray
    kind: str = "share of total gain"
    column: str = ""

    def __post_init__(self) -> None:
        same_length("values", self.values, self.names)


@dataclass(frozen=True, eq=False)
class CostCurve:
    """Net return of the same fills at other costs (one-way basis points, fractions of the starting cash).

    ``break_even_bps`` is the cost at which the return equals cash, ``None`` when there is no gross edge;
    ``charged_bps`` is the cost the run charged (NaN without fills).
    """

    one_way_bps: FloatArray
    net_return: FloatArray
    charged_bps: float
    break_even_bps: float | None = None

    def __post_init__(self) -> None:
        same_length("net_return", self.net_return, self.one_way_bps)


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """How the training of a network went, refit by refit: the loss of each epoch, learned from and held back.

    ``kept`` is the epoch of each refit whose state was kept, counted from 0.
    """

    column: str
    learned: tuple[FloatArray, ...]
    held: tuple[FloatArray, ...]
    kept: tuple[int, ...]

    def __post_init__(self) -> None:
        for learned, held in zip(self.learned, self.held, strict=True):
            same_length("losses held back", held, learned)
        same_length("kept", self.kept, self.learned)


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report says. Only the first four fields are needed; every other part is shown if it is there.

    ``trades`` are drawn on the market of their symbol and counted in the distributions; ``None`` leaves that part out.
    ``scenarios`` compares the two complete runs over bars whose inner order is unknown, ``ambiguous`` lists the trades
    that differ; ``symbols`` says what each symbol did on a shared account, ``quality`` sets several score columns side
    by side; ``rejected`` counts refused orders by reason;
    ``looks`` is how often the register says that this stretch of market was looked at; ``manifest`` is any JSON value
    tree.

    >>> ReportData("BTC/USDT 1h", "Made nothing.", "20240301-1", is_synthetic=True).is_free
    False
    """

    title: str
    summary: str
    run_id: str
    is_synthetic: bool
    is_free: bool = False
    holdout_seen: bool = False
    created: str = ""
    metrics: tuple[MetricRow, ...] = ()
    notes: tuple[Note, ...] = ()
    equity: EquityCurve | None = None
    markets: tuple[MarketPanel, ...] = ()
    trades: Sequence[Trade] | None = None
    folds: tuple[FoldQuality, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    importances: tuple[Importance, ...] = ()
    symbols: Table | None = None
    curves: tuple[LearningCurves, ...] = ()
    quality: Table | None = None
    costs: CostCurve | None = None
    scenarios: Table | None = None
    ambiguous: Table | None = None
    rejected: tuple[tuple[str, int], ...] = ()
    looks: int | None = None
    manifest: Mapping[str, object] = field(default_factory=dict)


def same_length(name: str, values: Sized, wanted: Sized) -> None:
    """Refuse with ``ValueError`` what has not as many values as something else."""
    if len(values) != len(wanted):
        raise ValueError(f"{name} must have {len(wanted)} values, had {len(values)}")
