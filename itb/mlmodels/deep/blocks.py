"""Pieces that networks are made of; torch is imported where they are built."""

from __future__ import annotations

from typing import Any, Literal

from itb.mlmodels.deep.algorithm import Activation

Norm = Literal["none", "batch", "layer"]
Pooling = Literal["mean", "max", "last"]


def activation_layer(name: Activation) -> Any:
    """Build an activation."""
    from torch import nn

    return {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}[name]()


def norm_layers(name: Norm, filters: int) -> list[Any]:
    """Build what evens out ``filters`` rows of a window: over the batch, or over the window itself."""
    from torch import nn

    if name == "none":
        return []
    return [nn.BatchNorm1d(filters) if name == "batch" else nn.GroupNorm(1, filters)]


def dropout_layers(share: float) -> list[Any]:
    """Build a dropout, if there is any."""
    from torch import nn

    return [nn.Dropout(share)] if share else []


def pooled(pooling: Pooling) -> Any:
    """Build what turns a window of filters (rows x filters x steps) into one number per filter."""
    from torch import nn

    class Pool(nn.Module):
        def forward(self, x: Any) -> Any:
            if pooling == "last":
                return x[..., -1]
            return x.mean(dim=-1) if pooling == "mean" else x.amax(dim=-1)

    return Pool()


def residual(body: Any, shortcut: Any) -> Any:
    """Build body(x) + shortcut(x)."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    return Residual()


def past_only(reach: int) -> Any:
    """Build what puts ``reach`` zeros before a window, so that a convolution sees no later step."""
    from torch import nn

    return nn.ConstantPad1d((reach, 0), 0.0)


def head(pooling: Pooling, filters: int, coins: int, *, mixing: bool) -> list[Any]:
    """Build the end of a network: one number per coin, then, with ``mixing``, each coin's from those of all."""
    from torch import nn

    mixed = [nn.Linear(coins, coins)] if mixing else []
    return [pooled(pooling), nn.Linear(filters, coins), *mixed]


def scaled(body: Any, channels: int) -> Any:
    """Build a network around a body: inputs are scaled by ``centre`` and ``scale``; what is missing becomes 0."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("centre", torch.zeros(channels, 1))
            self.register_buffer("scale", torch.ones(channels, 1))
            self.body = body

        def forward(self, x: Any) -> Any:
            return self.body(torch.nan_to_num((x - self.centre) / self.scale, nan=0.0, posinf=0.0, neginf=0.0))

    return Network()
