"""Platt's sigmoid: from a machine's values to probabilities."""

from __future__ import annotations

import numpy as np

from itb.market.bars import FloatArray
from itb.mlmodels.linear import sigmoid


def platt(values: FloatArray, labels: FloatArray) -> tuple[float, float]:
    """Give slope and offset of the logit of label 1 over decision values, by maximum likelihood.

    Platt (1999) with the targets and the damped Newton steps of Lin, Lin and Weng (2007). Where the likelihood wants
    a negative slope, the values say nothing: the slope is 0 and the offset the logit of the base rate.

    >>> slope, offset = platt(np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]), np.array([0, 0, 1, 0, 1, 1]))
    >>> round(slope, 3), abs(round(offset, 3))
    (0.63, 0.0)
    """
    unit = float(np.abs(values).max()) or 1.0
    values = values / unit
    ones = float(labels.sum())
    zeros = len(labels) - ones
    targets = np.where(labels > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    flat = float(np.log((ones + 1) / (zeros + 1)))
    slope, offset = 0.0, flat
    loss = _logit_loss(slope * values + offset, targets)
    for _ in range(100):
        chance = sigmoid(slope * values + offset)
        rest, spread = chance - targets, chance * (1 - chance)
        gradient = np.array([np.sum(values * rest), np.sum(rest)])
        if np.abs(gradient).max() < 1e-8 * len(labels):
            break
        cross = np.sum(values * spread)
        curvature = np.array([[np.sum(values**2 * spread), cross], [cross, np.sum(spread)]]) + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-10:
            tried = _logit_loss((slope - size * step[0]) * values + offset - size * step[1], targets)
            if tried <= loss - 1e-4 * size * float(gradient @ step):
                break
            size /= 2
        else:
            break
        slope, offset, loss = float(slope - size * step[0]), float(offset - size * step[1]), tried
    return (slope / unit, offset) if slope > 0 else (0.0, flat)


def _logit_loss(logits: FloatArray, targets: FloatArray) -> float:
    return float(np.sum(np.logaddexp(0, logits) - targets * logits))
