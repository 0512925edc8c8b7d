"""The residual network of binancepredict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from itb.mlmodels.deep.algorithm import Activation, DeepAlgorithm, check_choice, check_dropout, check_least
from itb.mlmodels.deep.blocks import Norm, Pooling, activation_layer, dropout_layers, head, norm_layers, residual


@dataclass(frozen=True)
class Resnet1d(DeepAlgorithm):
    """Convolutions over time with shortcuts around every two of them (He et al., 2015), in one dimension.

    Every coin's channels are read side by side. binancepredict has ``steps = 512, blocks = 6, filters = 64,
    double_every = 4, pooling = "mean"``.

    Parameters
    ----------
    blocks
        How many pairs of convolutions.
    filters
        How many filters the first of them have.
    double_every
        After how many blocks filters double; 0: never.
    kernel
        Width of a convolution in bars, an odd number.
    norm
        What follows a convolution: ``none``, ``batch`` or ``layer`` normalisation.
    activation
        ``silu``, ``relu``, ``gelu`` or ``tanh``.
    dropout
        Which share of the values a block forgets while it learns.
    pooling
        What becomes of the steps in the end: their ``mean``, their ``max``, or the ``last``.
    mixing
        Let each coin's score be a sum of those of all coins.
    """

    blocks: int = 2
    filters: int = 32
    double_every: int = 0
    kernel: int = 3
    norm: Norm = "batch"
    activation: Activation = "silu"
    dropout: float = 0.1
    pooling: Pooling = "last"
    mixing: bool = True

    name: ClassVar[str] = "resnet1d"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in {"blocks": 1, "filters": 1, "double_every": 0, "kernel": 1}.items():
            check_least(key, getattr(self, key), least)
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd number of bars, was {self.kernel}")
        check_choice("norm", self.norm, Norm)
        check_choice("activation", self.activation, Activation)
        check_choice("pooling", self.pooling, Pooling)
        check_dropout(self.dropout)

    def body(self, channels: int, coins: int) -> Any:
        """Build the network."""
        from torch import nn

        parts = [*self._convolution(channels, self.filters), activation_layer(self.activation)]
        width = self.filters
        for block in range(self.blocks):
            wider = width * 2 if self.double_every and block and block % self.double_every == 0 else width
            body = nn.Sequential(
                *self._convolution(width, wider),
                activation_layer(self.activation),
                *dropout_layers(self.dropout),
                *self._convolution(wider, wider),
            )
            shortcut = nn.Identity() if wider == width else nn.Conv1d(width, wider, 1)
            parts += [residual(body, shortcut), activation_layer(self.activation)]
            width = wider
        return nn.Sequential(*parts, *head(self.pooling, width, coins, mixing=self.mixing))

    def _convolution(self, into: int, out: int) -> list[Any]:
        from torch import nn

        return [nn.Conv1d(into, out, self.kernel, padding=self.kernel // 2), *norm_layers(self.norm, out)]
