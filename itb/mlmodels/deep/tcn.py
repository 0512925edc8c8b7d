"""A temporal convolutional network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from itb.mlmodels.deep.algorithm import Activation, DeepAlgorithm, check_choice, check_dropout, check_least
from itb.mlmodels.deep.blocks import Norm, activation_layer, dropout_layers, head, norm_layers, past_only, residual


@dataclass(frozen=True)
class Tcn(DeepAlgorithm):
    """Convolutions that look back only, twice as far from block to block (Bai, Kolter and Koltun, 2018).

    The last step's filters give the scores. With ``blocks`` = b and ``kernel`` = k it sees the last
    1 + 2 (k - 1) (2^b - 1) of its ``steps``.

    Parameters
    ----------
    blocks
        How many pairs of convolutions.
    filters
        How many filters each of them has.
    kernel
        How many steps a convolution reads.
    norm
        What follows a convolution: ``none``, ``batch`` or ``layer`` normalisation.
    activation
        ``silu``, ``relu``, ``gelu`` or ``tanh``.
    dropout
        Which share of the values a block forgets while it learns.
    mixing
        Let each coin's score be a sum of those of all coins.
    """

    blocks: int = 4
    filters: int = 32
    kernel: int = 3
    norm: Norm = "none"
    activation: Activation = "relu"
    dropout: float = 0.1
    mixing: bool = False

    name: ClassVar[str] = "tcn"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in {"blocks": 1, "filters": 1, "kernel": 2}.items():
            check_least(key, getattr(self, key), least)
        check_choice("norm", self.norm, Norm)
        check_choice("activation", self.activation, Activation)
        check_dropout(self.dropout)

    def body(self, channels: int, coins: int) -> Any:
        """Build the network."""
        from torch import nn

        parts: list[Any] = []
        width = channels
        for block in range(self.blocks):
            apart = 2**block
            inner: list[Any] = []
            for into in (width, self.filters):
                inner += [
                    past_only((self.kernel - 1) * apart),
                    nn.Conv1d(into, self.filters, self.kernel, dilation=apart),
                ]
                inner += [*norm_layers(self.norm, self.filters), activation_layer(self.activation)]
                inner += dropout_layers(self.dropout)
            shortcut = nn.Identity() if width == self.filters else nn.Conv1d(width, self.filters, 1)
            parts += [residual(nn.Sequential(*inner), shortcut), activation_layer(self.activation)]
            width = self.filters
        return nn.Sequential(*parts, *head("last", width, coins, mixing=self.mixing))
