"""`itb check` on signals: what is configured holds, and what looks ahead or forgets its warm-up is caught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from itb.config import parts
from itb.indicators.signals import SignalSet, Smoothen
from itb.runs.law_checks import BROKEN
from itb.runs.model import score_ranges
from itb.runs.signal_checks import check_signals

SIGNALS = (
    "signals=[{kind='smoothen', columns=['up_6_0bps_logistic'], names='calm', window=5}, "
    "{kind='threshold_rule', columns='calm', names=['buy', 'sell'], buy_signal_threshold=0.5, "
    "sell_signal_threshold=0.4}]"
)


@dataclass(frozen=True)
class Ahead(Smoothen):
    """Smooths rows that come later."""

    def __call__(self, columns):
        later = {name: np.append(values[1:], np.nan) for name, values in columns.items()}
        return super().__call__(later)


@dataclass(frozen=True)
class Forgetful(Smoothen):
    """States no warm-up."""

    warmup = 0


def findings(place):
    return list(check_signals(place.config, score_ranges(place.config)))


def test_configured_signals_are_listed_with_what_was_proved(workspace):
    found = findings(workspace(SIGNALS))
    assert [(one.law, one.subject, one.verdict) for one in found] == [
        ("no leak", "signals calm, buy, sell", "holds"),
        ("warmup", "signals calm, buy, sell", "holds"),
    ]


def test_without_signals_nothing_is_said(workspace):
    assert findings(workspace()) == []


@pytest.mark.parametrize(("part", "law"), [(Ahead, "no leak"), (Forgetful, "warmup")])
def test_a_signal_that_breaks_a_law_is_caught(workspace, monkeypatch, part, law):
    made = SignalSet((part(("up_6_0bps_logistic",), "calm", window=5),))
    monkeypatch.setattr(parts, "signal_set", lambda config: made)
    assert law in [one.law for one in findings(workspace()) if one.verdict == BROKEN]
