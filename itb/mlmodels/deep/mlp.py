"""A multi-layer perceptron on the window as a whole, with dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from itb.mlmodels.deep.algorithm import Activation, DeepAlgorithm, Watch, check_choice, check_dropout, check_least
from itb.mlmodels.deep.blocks import activation_layer, dropout_layers


@dataclass(frozen=True)
class PanelMlp(DeepAlgorithm):
    """Layers of neurons that each read everything before them, with dropout between, as FollowUpward's.

    As there, the state is kept that trading the rows held back would have earned most with.

    Parameters
    ----------
    layers
        How many neurons each hidden layer has.
    activation
        ``silu``, ``relu``, ``gelu`` or ``tanh``.
    dropout
        Which share of a layer's values is forgotten while it learns.
    """

    layers: tuple[int, ...] = (64, 32)
    activation: Activation = "relu"
    dropout: float = 0.45
    judge: Watch = "trading"

    name: ClassVar[str] = "panel_mlp"

    def __post_init__(self) -> None:
        super().__post_init__()
        for neurons in self.layers:
            check_least("layers", neurons, 1)
        check_choice("activation", self.activation, Activation)
        check_dropout(self.dropout)

    def body(self, channels: int, coins: int) -> Any:
        """Build the network."""
        from torch import nn

        parts: list[Any] = [nn.Flatten()]
        width = channels * self.steps
        for neurons in self.layers:
            parts += [nn.Linear(width, neurons), activation_layer(self.activation), *dropout_layers(self.dropout)]
            width = neurons
        return nn.Sequential(*parts, nn.Linear(width, coins))
