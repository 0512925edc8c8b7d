"""Labels: the only thing in the house that looks forward."""

from __future__ import annotations

from itb.mlmodels.labels.column import Label, LabelColumn
from itb.mlmodels.labels.first_hit import FirstHit
from itb.mlmodels.labels.future_return import FutureReturn
from itb.mlmodels.labels.highlow import HighLow
from itb.mlmodels.labels.highlow2 import HighLow2
from itb.mlmodels.labels.peak_dip import PeakDip
from itb.mlmodels.labels.topbot2 import TopBot, TopBot2

LABELS: dict[str, type[FutureReturn | HighLow2 | HighLow | TopBot | TopBot2 | FirstHit | PeakDip]] = {
    "future_return": FutureReturn,
    "highlow2": HighLow2,
    "highlow": HighLow,
    "topbot": TopBot,
    "topbot2": TopBot2,
    "first_hit": FirstHit,
    "peak_dip": PeakDip,
}

__all__ = [
    "LABELS",
    "FirstHit",
    "FutureReturn",
    "HighLow",
    "HighLow2",
    "Label",
    "LabelColumn",
    "PeakDip",
    "TopBot",
    "TopBot2",
]
