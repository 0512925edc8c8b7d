"""Labels: the only thing in the house that looks forward."""

from __future__ import annotations

from itb.mlmodels.labels.column import Label, LabelColumn
from itb.mlmodels.labels.cross_sectional_rank import CrossSectionalRank
from itb.mlmodels.labels.first_hit import FirstHit
from itb.mlmodels.labels.future_return import FutureReturn
from itb.mlmodels.labels.gradient import Gradient
from itb.mlmodels.labels.highlow import HighLow
from itb.mlmodels.labels.highlow2 import HighLow2
from itb.mlmodels.labels.meta_label import MetaLabel
from itb.mlmodels.labels.peak_dip import PeakDip
from itb.mlmodels.labels.scaled_return import ScaledReturn
from itb.mlmodels.labels.topbot2 import TopBot, TopBot2
from itb.mlmodels.labels.trend_scan import TrendScan
from itb.mlmodels.labels.triple_barrier import TripleBarrier

AnyLabel = (
    FutureReturn
    | ScaledReturn
    | HighLow
    | HighLow2
    | TopBot
    | TopBot2
    | FirstHit
    | PeakDip
    | Gradient
    | TripleBarrier
    | MetaLabel
    | TrendScan
    | CrossSectionalRank
)

LABELS: dict[str, type[AnyLabel]] = {
    "future_return": FutureReturn,
    "scaled_return": ScaledReturn,
    "highlow": HighLow,
    "highlow2": HighLow2,
    "topbot": TopBot,
    "topbot2": TopBot2,
    "first_hit": FirstHit,
    "peak_dip": PeakDip,
    "gradient": Gradient,
    "triple_barrier": TripleBarrier,
    "meta": MetaLabel,
    "trend_scan": TrendScan,
    "cross_sectional_rank": CrossSectionalRank,
}

__all__ = [
    "LABELS",
    "CrossSectionalRank",
    "FirstHit",
    "FutureReturn",
    "Gradient",
    "HighLow",
    "HighLow2",
    "Label",
    "LabelColumn",
    "MetaLabel",
    "PeakDip",
    "ScaledReturn",
    "TopBot",
    "TopBot2",
    "TrendScan",
    "TripleBarrier",
]
