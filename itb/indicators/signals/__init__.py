"""Signals: what is made of scores before somebody acts on them."""

from __future__ import annotations

from itb.indicators.signals.class_rule import ClassRule
from itb.indicators.signals.combine import Combine
from itb.indicators.signals.rule import ThresholdRule
from itb.indicators.signals.signal import Columns, Flags, Range, Ranges, Signal, SignalColumns
from itb.indicators.signals.signal_set import SignalSet
from itb.indicators.signals.smoothen import Smoothen
from itb.indicators.signals.threshold_rule import ThresholdSignal, ThresholdSignal2

AnySignal = Smoothen | Combine | ThresholdSignal | ThresholdSignal2 | ClassRule

SIGNALS: dict[str, type[AnySignal]] = {
    "smoothen": Smoothen,
    "combine": Combine,
    "threshold_rule": ThresholdSignal,
    "threshold_rule2": ThresholdSignal2,
    "class_rule": ClassRule,
}

__all__ = [
    "SIGNALS",
    "ClassRule",
    "Columns",
    "Combine",
    "Flags",
    "Range",
    "Ranges",
    "Signal",
    "SignalColumns",
    "SignalSet",
    "Smoothen",
    "ThresholdRule",
    "ThresholdSignal",
    "ThresholdSignal2",
]
