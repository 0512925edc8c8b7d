"""What training lowers: each loss of estimates against scaled labels, where those are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from itb.mlmodels.deep.algorithm import DeepAlgorithm

_TINY = 1e-8

Loss = Callable[[Any, Any, Any], Any]
"""(estimates, labels, known) -> a number; all rows x coins, ``known`` 1 where the label is and 0 where it is not."""


def loss_of(part: DeepAlgorithm) -> Loss:
    """Give the configured loss as a function of tensors."""
    named: dict[str, Loss] = {
        "mse": _mean(lambda error: error**2),
        "l1": _mean(lambda error: error.abs()),
        "huber": _mean(lambda error: _huber(error, part.huber)),
        "quantile": _mean(lambda error: _pinball(error, part.quantile)),
        "correlation": _correlation,
        "sharpe": _sharpe,
    }
    return named[part.loss]


def _mean(each: Callable[[Any], Any]) -> Loss:
    def loss(estimates: Any, labels: Any, known: Any) -> Any:
        return (each(labels - estimates) * known).sum() / known.sum().clamp(min=1.0)

    return loss


def _huber(error: Any, delta: float) -> Any:
    size = error.abs()
    inner = size.clamp(max=delta)
    return 0.5 * inner**2 + delta * (size - inner)


def _pinball(error: Any, quantile: float) -> Any:
    return quantile * error + (-error).clamp(min=0.0)


def _correlation(estimates: Any, labels: Any, known: Any) -> Any:
    """One less the mean over coins of the correlation within the batch."""
    count = known.sum(dim=0).clamp(min=1.0)
    a = (estimates - (estimates * known).sum(dim=0) / count) * known
    b = (labels - (labels * known).sum(dim=0) / count) * known
    together = (a * b).sum(dim=0) / ((a**2).sum(dim=0) * (b**2).sum(dim=0) + _TINY).sqrt()
    told = (known.sum(dim=0) > 1).to(together.dtype)
    return 1 - (together * told).sum() / told.sum().clamp(min=1.0)


def _sharpe(estimates: Any, labels: Any, known: Any) -> Any:
    """Minus the mean over the standard deviation of what positions of tanh(estimate) in all coins bring, by rows."""
    import torch

    gains = (torch.tanh(estimates) * labels * known).sum(dim=1) / known.sum(dim=1).clamp(min=1.0)
    return -gains.mean() / (gains.var(unbiased=False) + _TINY).sqrt()
