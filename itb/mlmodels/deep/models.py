"""The table of networks."""

from __future__ import annotations

from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.mlp import PanelMlp
from itb.mlmodels.deep.resnet import Resnet1d
from itb.mlmodels.deep.tcn import Tcn
from itb.mlmodels.deep.transformer import PatchTransformer

DEEP: dict[str, type[DeepAlgorithm]] = {
    "resnet1d": Resnet1d,
    "tcn": Tcn,
    "panel_mlp": PanelMlp,
    "patch_transformer": PatchTransformer,
}
