"""A small transformer on patches of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from itb.mlmodels.deep.algorithm import DeepAlgorithm, check_choice, check_dropout, check_least
from itb.mlmodels.deep.blocks import Pooling, head


@dataclass(frozen=True)
class PatchTransformer(DeepAlgorithm):
    """Attention between patches of ``patch`` steps each, all channels of them together (after Nie et al., 2023).

    Parameters
    ----------
    patch
        How many steps one patch has; ``steps`` must be a multiple of it.
    blocks
        How many layers of attention.
    heads
        How many kinds of attention a layer has side by side.
    filters
        How many numbers stand for a patch, a multiple of ``heads``.
    dropout
        Which share of the values a layer forgets while it learns.
    pooling
        What becomes of the patches in the end: their ``mean``, their ``max``, or the ``last``.
    mixing
        Let each coin's score be a sum of those of all coins.
    """

    patch: int = 8
    blocks: int = 2
    heads: int = 4
    filters: int = 32
    dropout: float = 0.1
    pooling: Pooling = "last"
    mixing: bool = False

    name: ClassVar[str] = "patch_transformer"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("patch", "blocks", "heads", "filters"):
            check_least(key, getattr(self, key), 1)
        if self.steps % self.patch:
            raise ValueError(f"steps must be a multiple of patch ({self.patch}), was {self.steps}")
        if self.filters % self.heads:
            raise ValueError(f"filters must be a multiple of heads ({self.heads}), was {self.filters}")
        check_choice("pooling", self.pooling, Pooling)
        check_dropout(self.dropout)

    def body(self, channels: int, coins: int) -> Any:
        """Build the network."""
        import torch
        from torch import nn

        part, places = self, self.steps // self.patch

        class Patches(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.read = nn.Conv1d(channels, part.filters, part.patch, stride=part.patch)
                self.place = nn.Parameter(torch.zeros(places, part.filters))
                self.layers = nn.ModuleList(
                    nn.TransformerEncoderLayer(
                        part.filters,
                        part.heads,
                        2 * part.filters,
                        part.dropout,
                        "gelu",
                        batch_first=True,
                        norm_first=True,
                    )
                    for _ in range(part.blocks)
                )
                self.even = nn.LayerNorm(part.filters)

            def forward(self, x: Any) -> Any:
                patches = self.read(x).transpose(1, 2) + self.place
                for layer in self.layers:
                    patches = layer(patches)
                return self.even(patches).transpose(1, 2)

        return nn.Sequential(Patches(), *head(self.pooling, self.filters, coins, mixing=self.mixing))
