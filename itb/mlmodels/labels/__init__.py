"""Labels: the only thing in the house that looks forward."""

from __future__ import annotations

from itb.mlmodels.labels.column import Label, LabelColumn
from itb.mlmodels.labels.future_return import FutureReturn
from itb.mlmodels.labels.highlow import HighLow
from itb.mlmodels.labels.highlow2 import HighLow2
from itb.mlmodels.labels.topbot2 import TopBot, TopBot2

LABELS: dict[str, type[FutureReturn | HighLow2 | HighLow | TopBot | TopBot2]] = {
    "future_return": FutureReturn,
    "highlow2": HighLow2,
    "highlow": HighLow,
    "topbot": TopBot,
    "topbot2": TopBot2,
}

__all__ = ["LABELS", "FutureReturn", "HighLow", "HighLow2", "Label", "LabelColumn", "TopBot", "TopBot2"]
