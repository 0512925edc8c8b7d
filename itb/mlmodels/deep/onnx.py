"""Score by the ONNX runtime in place of torch: an optional package, single precision."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.deep.door import torch_for
from itb.mlmodels.deep.model import PanelModel, Table

if TYPE_CHECKING:
    from itb.mlmodels.deep.panel import Cells

_OPSET = 17


def need_onnx() -> None:
    """Raise :class:`itb.errors.ModelError` where a package of the ONNX runtime is not installed."""
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            told = f'the ONNX runtime needs the package {package}, which is not installed; pip install "itb[onnx]"'
            raise ModelError(told)


@dataclass(frozen=True, eq=False)
class OnnxModel(PanelModel):
    """A network that the ONNX runtime computes, on one thread, as its own model file says.

    Scores are those of torch but for the last digits of single precision: where bit for bit the backtest's scores are
    wanted, let torch score. Raises :class:`itb.errors.ModelError` where a package is missing.
    """

    @classmethod
    def of(cls, model: PanelModel) -> OnnxModel:
        """Take a fitted network."""
        need_onnx()
        return cls(**{field.name: getattr(model, field.name) for field in fields(PanelModel)})

    @cached_property
    def content(self) -> bytes:
        """The network as an ONNX model: ``windows`` (rows x channels x steps) to ``scores`` (rows x coins)."""
        torch = torch_for(self.part.name)
        example = torch.zeros(2, len(self.channels), self.part.steps)
        written = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the newer exporter wants more packages, and shapes are fixed but for rows
            torch.onnx.export(
                self.built(),
                (example,),
                written,
                dynamo=False,
                opset_version=_OPSET,
                input_names=["windows"],
                output_names=["scores"],
                dynamic_axes={"windows": {0: "rows"}, "scores": {0: "rows"}},
            )
        return written.getvalue()

    @cached_property
    def session(self) -> Any:
        """The runtime's own form of the network."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])

    def estimates(self, windows: Cells) -> Table:
        """Score windows (rows x channels x steps) that are whole."""
        (said,) = self.session.run(None, {"windows": np.ascontiguousarray(windows)})
        return self.in_labels(np.asarray(said, dtype=np.float64))
