"""The ONNX runtime says what torch says."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.onnx import OnnxModel
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.deep.walk import PanelWalk
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.walkforward import WalkForward

pytestmark = pytest.mark.torch
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")), reason="onnx is not installed"
)


@pytest.fixture(scope="module", params=list(DEEP))
def run(request, gappy, tmp_path_factory):
    part, label = DEEP[request.param](steps=8, epochs=1), FutureReturn(4)
    panel = Panel.of(gappy, part.reading)
    targets = panel.targets(gappy, {symbol: label(bars) for symbol, bars in gappy.items()})
    walk = WalkForward(mode="expanding", train_bars=400, refit_every=400, min_train_rows=50)
    return PanelWalk(walk, panel, targets, part, "r", f"r_{part.name}").run(tmp_path_factory.mktemp("walk"))


@needs_onnx
def test_its_scores_are_those_of_torch_in_single_precision(run):
    model = run.model_at(len(run.panel) - 1)
    rows = range(run.folds[0].block.test_start, len(run.panel))
    ours, theirs = model.scores(run.panel, rows), OnnxModel.of(model).scores(run.panel, rows)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5 * np.nanstd(ours) + 1e-6 * np.nanmax(np.abs(ours)))
    alone = OnnxModel.of(model).scores(run.panel, rows[5:6])
    np.testing.assert_allclose(alone[0], ours[5], rtol=0, atol=1e-5 * np.nanstd(ours) + 1e-6 * np.nanmax(np.abs(ours)))


def test_without_the_package_one_line_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr("itb.mlmodels.deep.onnx.find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(ModelError, match=r'needs the package onnxruntime, .* pip install "itb\[onnx\]"'):
        OnnxModel.of(run.model_at(len(run.panel) - 1))
