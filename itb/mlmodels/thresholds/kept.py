"""Fitted rules as text: what a policy learned, kept beside the models and read back without running anything."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.thresholds.gaussian_ratio import Bells, RatioRule
from itb.mlmodels.thresholds.policy import SideRule, SideThresholds
from itb.mlmodels.thresholds.recalibrated import LinearRule
from itb.mlmodels.thresholds.rolling_quantile import QuantileRule, RollingQuantile


def rule_bytes(rule: SideRule) -> bytes:
    """Write a fitted rule as JSON; numbers come back bit for bit.

    >>> rule_bytes(SideThresholds(0.5, float("nan")))
    b'{"kind": "thresholds", "buy": 0.5, "sell": null}'
    """
    return json.dumps(_plain(rule)).encode()


def load_rule(content: bytes) -> SideRule:
    """Read a rule back; raise :class:`itb.errors.ModelError` for anything else.

    >>> load_rule(rule_bytes(SideThresholds(0.5, -0.25)))
    SideThresholds(buy=0.5, sell=-0.25)
    """
    try:
        return _rule(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"not a threshold rule ({error}). Run `itb walkforward` again.") from None


def _plain(rule: SideRule) -> dict[str, Any]:
    match rule:
        case SideThresholds():
            return {"kind": "thresholds", "buy": _or_none(rule.buy), "sell": _or_none(rule.sell)}
        case RatioRule():
            return {"kind": "gaussian_ratio", **asdict(rule)}
        case QuantileRule():
            return {"kind": "rolling_quantile", "policy": asdict(rule.policy), "before": rule.before.tolist()}
        case LinearRule():
            numbers = {"weights": rule.weights.tolist(), "level": rule.level.tolist()}
            return {"kind": "recalibrated", **numbers, "buy": rule.buy, "sell": rule.sell}
    raise TypeError(f"{type(rule).__name__} is a rule that cannot be kept in a file")


def _rule(told: dict[str, Any]) -> SideRule:
    match told.pop("kind"):
        case "thresholds":
            return SideThresholds(*(np.nan if told[side] is None else float(told[side]) for side in ("buy", "sell")))
        case "gaussian_ratio":
            long, short = (None if told[side] is None else Bells(**told[side]) for side in ("long", "short"))
            return RatioRule(long, short, float(told["ratio"]))
        case "rolling_quantile":
            return QuantileRule(RollingQuantile(**told["policy"]), np.array(told["before"], dtype=np.float64))
        case "recalibrated":
            weights, level = (np.array(told[name], dtype=np.float64) for name in ("weights", "level"))
            return LinearRule(weights, level, float(told["buy"]), float(told["sell"]))
        case other:
            raise ValueError(f"kind {other!r} is unknown")


def _or_none(number: float) -> float | None:
    return None if np.isnan(number) else number  # JSON knows no NaN
