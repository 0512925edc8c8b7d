"""The table of networks."""

from __future__ import annotations

from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.resnet import Resnet1d

DEEP: dict[str, type[DeepAlgorithm]] = {"resnet1d": Resnet1d}
