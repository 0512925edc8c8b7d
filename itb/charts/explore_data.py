"""What the page of `itb explore` shows: plain arrays and words about one market."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from itb.charts.data import Calibration, MetricRow, Note, Table
    from itb.market.bars import FloatArray, IntArray

    Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class CoverageMap:
    """Share of bars that are there, source by source (rows) and cell by cell of the calendar; NaN: none was expected.

    ``start`` is when each cell begins (UTC milliseconds), ``days`` how long it is.
    """

    names: tuple[str, ...]
    start: IntArray
    share: Matrix
    days: int

    def __post_init__(self) -> None:
        if self.share.shape != (len(self.names), len(self.start)):
            raise ValueError(f"share must be {len(self.names)} x {len(self.start)}, was {self.share.shape}")


@dataclass(frozen=True, eq=False)
class HistogramPair:
    """Shares of rows per bin while the last model learned, and after it; ``psi`` is how far apart they are."""

    name: str
    edges: FloatArray
    before: FloatArray
    after: FloatArray
    psi: float


@dataclass(frozen=True, eq=False)
class LikenessMap:
    """Rank correlations of features in an order of likeness, and the number of the cluster that each belongs to."""

    names: tuple[str, ...]
    correlation: Matrix
    cluster: IntArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LabelSight:
    """One label as every refit met it: ``learned`` is its mean over rows taught (a share of ones, of flags).

    ``scored`` is the mean over the block that followed, ``uniqueness`` and ``dropped`` are shares. There were ``rows``
    to be taught.
    """

    name: str
    what: str
    folds: tuple[str, ...]
    learned: FloatArray
    scored: FloatArray
    uniqueness: FloatArray
    dropped: FloatArray
    rows: IntArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ScoreLadder:
    """Mean return of the bars in each group of scores, lowest first, with half its 95 % interval."""

    score: FloatArray
    value: FloatArray
    margin: FloatArray
    rows: IntArray
    bars: int  # over how many bars the return is taken


@dataclass(frozen=True, eq=False)
class ProfitLine:
    """Mean return of one coin after cost beyond each threshold, and the share of bars there; NaN of too few bars."""

    coin: str
    thresholds: FloatArray
    long: FloatArray
    long_share: FloatArray
    short: FloatArray
    short_share: FloatArray


@dataclass(frozen=True, eq=False)
class Swarm:
    """Contributions of some features, row by row (one row of the matrix a feature), and where the feature stood there.

    ``standing`` is the feature's rank among those rows, 0 lowest to 1 highest.
    """

    names: tuple[str, ...]
    parts: Matrix
    standing: Matrix
    unit: str


@dataclass(frozen=True, eq=False)
class Weights:
    """One number for each feature, with half its 95 % interval where it has one."""

    said: str
    unit: str
    values: FloatArray
    margin: FloatArray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ColumnSight:
    """One score column: what came of it, whether its probabilities were true, and what it hangs on.

    ``missing`` says, for a part that is not there, why.
    """

    name: str
    sentence: str
    ladder: ScoreLadder | None = None
    profits: tuple[ProfitLine, ...] = ()
    before: Calibration | None = None
    after: Calibration | None = None
    features: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = ()
    swarm: Swarm | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ExploreData:
    """Everything the page says about one market; a part that is ``None`` or empty has a sentence in ``missing``.

    ``missing`` leads from the name of a section (coverage, features, likeness, labels, scores, importance) to why it
    shows nothing.
    """

    title: str
    summary: str
    run_id: str
    is_synthetic: bool
    holdout_seen: bool = False
    created: str = ""
    period: str = ""
    looks: int | None = None
    facts: tuple[MetricRow, ...] = ()
    notes: tuple[Note, ...] = ()
    coverage: CoverageMap | None = None
    gaps: Table | None = None
    drift: Table | None = None
    drift_lead: str = ""
    histograms: tuple[HistogramPair, ...] = ()
    likeness: LikenessMap | None = None
    clusters: Table | None = None
    duplicates: Table | None = None
    labels: tuple[LabelSight, ...] = ()
    metrics: Table | None = None
    columns: tuple[ColumnSight, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, object] = field(default_factory=dict)
