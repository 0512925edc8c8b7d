"""Every network: the laws, its shapes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.blocks import scaled
from itb.mlmodels.deep.model import load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.deep.walk import PanelWalk
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.registry import check_model
from itb.mlmodels.walkforward import WalkForward

SMALL: dict[str, DeepAlgorithm] = {
    "resnet1d": DEEP["resnet1d"](steps=8, epochs=1, batch_rows=64),
    "tcn": DEEP["tcn"](steps=8, epochs=1, batch_rows=64),
    "panel_mlp": DEEP["panel_mlp"](steps=8, epochs=1, batch_rows=64),
    "patch_transformer": DEEP["patch_transformer"](steps=8, epochs=1, batch_rows=64),
}
VARIANTS = [
    *SMALL.values(),
    *(
        DEEP["resnet1d"](
            steps=8, epochs=1, norm=norm, activation=activation, pooling=pooling, double_every=double, mixing=mixing
        )  # type: ignore[call-arg]  # keys of that very network
        for norm, activation, pooling, double, mixing in (
            ("none", "relu", "mean", 0, False),
            ("layer", "gelu", "max", 1, True),
            ("batch", "tanh", "last", 2, True),
        )
    ),
    DEEP["tcn"](steps=16, epochs=1, norm="batch", mixing=True),  # type: ignore[call-arg]  # keys of that very network
    DEEP["patch_transformer"](steps=12, patch=4, heads=2, pooling="mean", epochs=1),  # type: ignore[call-arg]  # keys of that very network
]
LABEL = FutureReturn(4)
WALK = WalkForward(mode="expanding", train_bars=400, refit_every=300, min_train_rows=50)


def walking(bars, part):
    panel = Panel.of(bars, part.reading)
    targets = panel.targets(bars, {symbol: LABEL(one) for symbol, one in bars.items()})
    return PanelWalk(WALK, panel, targets, part, LABEL.name, f"{LABEL.name}_{part.name}")


def test_each_network_is_listed_and_tried():
    assert {name: part().name for name, part in DEEP.items()} == {name: name for name in SMALL}


@pytest.mark.torch
@pytest.mark.parametrize("part", VARIANTS, ids=lambda part: part.name)
def test_the_laws_hold_for_every_network(part, gappy, tmp_path):
    run = walking(gappy, part).run(tmp_path / "one")
    again = walking(gappy, part).run(tmp_path / "other")
    np.testing.assert_array_equal(again.scores, run.scores)
    manifest, content = check_model(run.folder / run.folds[-1].entry.file)
    assert (manifest, content) == check_model(again.folder / again.folds[-1].entry.file)
    model = load_panel_model(content, DEEP)
    assert model.part == part
    assert model.to_bytes() == content
    start = run.folds[-1].block.test_start
    for row in range(start, len(run.panel), 29):
        np.testing.assert_array_equal(model.scores(run.panel, range(row, row + 1))[0], run.scores[row])


@pytest.mark.torch
@pytest.mark.parametrize("part", VARIANTS, ids=lambda part: part.name)
def test_a_later_step_is_read_and_an_earlier_one_too(part):
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = scaled(part.body(6, 3), 6).eval().double()
        x = torch.randn(2, 6, part.steps, dtype=torch.float64, requires_grad=True)
        out = network(x)
        assert out.shape == (2, 3)
        slope = torch.autograd.grad(out.sum(), x)[0].abs().sum(dim=(0, 1))
    assert slope[-1] > 0
    assert (slope > 0).sum() >= min(5, part.steps)


@pytest.mark.torch
def test_what_is_missing_is_read_as_the_mean():
    torch = pytest.importorskip("torch")
    network = scaled(torch.nn.Identity(), 2)
    network.centre.copy_(torch.tensor([[3.0], [1.0]]))
    network.scale.copy_(torch.tensor([[2.0], [1.0]]))
    x = torch.tensor([[[5.0, torch.nan], [torch.nan, 2.0]]])
    assert network(x).tolist() == [[[1.0, 0.0], [0.0, 1.0]]]


@pytest.mark.torch
def test_files_of_other_shapes_or_names_are_refused(gappy, tmp_path):
    from itb.mlmodels.deep.tensors import dump_tensors, load_tensors

    run = walking(gappy, SMALL["tcn"]).run(tmp_path)
    _, content = check_model(run.folder / run.folds[-1].entry.file)
    arrays, metadata = load_tensors(content)
    fewer = {name: array for name, array in arrays.items() if "bias" not in name}
    with pytest.raises(ModelError, match="not those of tcn"):
        load_panel_model(dump_tensors(fewer, metadata), DEEP)
    with pytest.raises(ModelError, match="not a network of itb"):
        load_panel_model(dump_tensors(arrays, {**metadata, "algorithm": "svm"}), DEEP)
    with pytest.raises(ModelError, match="scales of the file"):
        load_panel_model(dump_tensors({**arrays, "unit": np.ones(9)}, metadata), DEEP)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("resnet1d", {"kernel": 4}, "kernel must be an odd number of bars, was 4"),
        ("resnet1d", {"norm": "group"}, 'norm must be one of "none", "batch", "layer", was \'group\''),
        ("resnet1d", {"dropout": 1.0}, "dropout must be at least 0 and below 1, was 1.0"),
        ("resnet1d", {"values": "raw"}, 'values must be "changes" or "levels"'),
        ("resnet1d", {"loss": "hinge"}, "loss must be one of"),
        ("resnet1d", {"quantile": 1.0}, "quantile must lie between 0 and 1"),
        ("resnet1d", {"learning_rate": 0.0}, "learning_rate must be above 0"),
        ("resnet1d", {"plateau_factor": 0.0}, "plateau_factor must be above 0"),
        ("resnet1d", {"columns": ("close", "close")}, "columns must be named once each"),
        ("resnet1d", {"steps": 0}, "steps must be at least 1, was 0"),
        ("resnet1d", {"clip": -1.0}, "clip must be at least 0"),
        ("tcn", {"kernel": 1}, "kernel must be at least 2, was 1"),
        ("panel_mlp", {"layers": (8, 0)}, "layers must be at least 1, was 0"),
        ("patch_transformer", {"steps": 12, "patch": 8}, r"steps must be a multiple of patch \(8\), was 12"),
        ("patch_transformer", {"filters": 30}, r"filters must be a multiple of heads \(4\), was 30"),
    ],
)
def test_impossible_settings_are_refused(name, settings, told):
    with pytest.raises(ValueError, match=told):
        DEEP[name](**settings)
