"""Networks in `itb train`, `itb predict` and `itb evaluate`: taught once for all symbols, each symbol's share told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from itb.config import load_config
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ConfigError, ModelError
from itb.mlmodels.deep.crossfit import cross_panel
from itb.mlmodels.deep.model import load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.once import fit_latest_network, lesson_on
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.deep.resnet import Resnet1d
from itb.mlmodels.deep.walk import PanelWalk
from itb.mlmodels.kfold import PurgedKFold
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.registry import check_model
from itb.mlmodels.walkforward import WalkForward
from itb.runs.evaluate import evaluate
from itb.runs.market import load_market
from itb.runs.predict import Asked, predict
from itb.runs.train import train
from itb.runs.workspace import Workspace

pytest.importorskip("torch", reason="torch is not installed")

SYMBOLS = ("BTC/USDT", "ETH/USDT")
PART = Resnet1d(steps=6, blocks=1, filters=4, epochs=2, batch_rows=64)
NETWORK = "algorithm='resnet1d', steps=6, blocks=1, filters=4, epochs=2, batch_rows=64"
SETTINGS = (
    "data.symbols=['ETH/USDT', 'BTC/USDT']", "synthetic.bars=500",
    "label={kind='future_return', horizon=4, alias='r'}", f"models=[{{algorithm='linear'}}, {{{NETWORK}}}]",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1]}]",
    "walkforward={train=300, refit_every=100, min_train_rows=50, workers=1}",
    "strategy={score='r_resnet1d', buy_threshold=0.001, sell_threshold=-0.001}",
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path):
    def make(*settings: str) -> Workspace:
        config = load_config(overrides=[*SETTINGS, *settings], folder=tmp_path, environ={})
        return Workspace(config, clock=lambda: 1_767_312_000_000)

    return make


@pytest.fixture(scope="module")
def walk() -> PanelWalk:
    return walk_over(400)


def walk_over(count: int) -> PanelWalk:
    bars = SyntheticMarket(symbols=SYMBOLS, bars=500, seed=3).bars()
    bars = {symbol: one.head(count) for symbol, one in bars.items()}
    panel, label = Panel.of(bars, PART.reading), FutureReturn(4)
    targets = panel.targets(bars, {symbol: label(one) for symbol, one in bars.items()})
    rules = WalkForward(mode="sliding", train_bars=300, refit_every=50, min_train_rows=50)
    return PanelWalk(rules, panel, targets, PART, "r", "r_resnet1d")


def test_the_latest_network_is_the_refit_that_the_walk_forward_makes_at_that_bar(walk, tmp_path) -> None:
    found = walk.run(tmp_path)
    entry = found.timeline.entries[1]
    row = int(walk.panel.place(np.array([entry.known_at]))[0])
    path, manifest = fit_latest_network(walk_over(row + 1)).save(tmp_path / "latest")
    told, content = check_model(found.folder / entry.file)
    assert path.with_name(manifest.file).read_bytes() == content
    assert manifest == told


def test_training_writes_the_network_beside_the_models_of_each_symbol(workspace, tmp_path) -> None:
    told = train(workspace(), out=tmp_path / "models").data["models"]
    assert [one["column"] for one in told] == ["r_linear", "r_resnet1d"] * 2
    files = [check_model(Path(one["file"]))[1] for one in told if one["column"] == "r_resnet1d"]
    assert files[0] == files[1]
    assert load_panel_model(files[0], DEEP).symbols == SYMBOLS
    assert not list((tmp_path / "runs" / ".cache").glob("networks/*"))


def test_a_trained_network_predicts_the_bars_that_came_after_by_the_bars_of_all(workspace, tmp_path) -> None:
    earlier = workspace("data.to=2023-01-18")
    train(earlier, out=tmp_path / "models")
    place = workspace()
    said = predict(place, (tmp_path / "models",), Asked(metrics=True))
    bars = {symbol: load_market(place, symbol, run_id="1", command="test").bars for symbol in SYMBOLS}
    for one in said.data["predictions"]:
        table = pq.read_table(one["file"])
        scores = table["r_resnet1d"].to_numpy()
        (path,) = one["models"]["r_resnet1d"]
        model = load_panel_model(check_model(Path(path))[1], DEEP)
        panel = Panel.of(bars, model.part.reading)
        coin, first = panel.symbols.index(one["symbol"]), int(np.isfinite(scores).argmax())
        assert 0 < first < 499
        expected = model.scores(panel, range(first, 500))[:, coin]
        np.testing.assert_array_equal(scores[first:], expected)
        assert {graded["column"] for graded in one["metrics"]} == {"r_linear", "r_resnet1d"}
    again = predict(place, (tmp_path / "models",))
    assert [one["kept"] for one in again.data["predictions"]] == [500, 500]


def test_a_network_refuses_fewer_symbols_and_other_columns(workspace, tmp_path) -> None:
    only = "models=[{" + NETWORK + "}]"
    train(workspace("data.to=2023-01-18", only), out=tmp_path / "models")
    with pytest.raises(ConfigError, match=r"data\.symbols: .*its network also reads ETH/USDT"):
        predict(workspace(only, "data.symbols=['BTC/USDT']"), (tmp_path / "models" / "BTC_USDT-1h",))
    manifest = next((tmp_path / "models").rglob("models/*.json"))
    fields = json.loads(manifest.read_text())
    model = load_panel_model(check_model(manifest)[1], DEEP)
    assert fields["algorithm"] == "resnet1d"
    narrow = replace(model.part, columns=("close",))
    manifest.with_name(fields["file"]).write_bytes(replace(model, part=narrow).to_bytes())
    with pytest.raises(ModelError, match="the model was altered"):
        predict(workspace(only), (tmp_path / "models",))
    shutil.rmtree(tmp_path / "models")
    train(
        workspace("data.to=2023-01-18", only.replace("steps=6", "steps=6, columns=['close']")), out=tmp_path / "models"
    )
    predict(workspace(only), (tmp_path / "models",))  # a model says itself which columns it reads


@pytest.mark.parametrize("split", ["kfold", "file"])
def test_a_network_is_evaluated_symbol_by_symbol(workspace, tmp_path, split) -> None:
    (tmp_path / "sets.csv").write_text(
        "set_type\tstart\tend\ntraining\t2023-01-01 00:00:00+00:00\t2023-01-13 00:00:00+00:00\n"
        "test\t2023-01-14 00:00:00+00:00\t2023-01-20 00:00:00+00:00\n"
    )
    more = "evaluation={split='kfold', folds=2}" if split == "kfold" else "evaluation={split='file', file='sets.csv'}"
    said = evaluate(workspace(more))
    for one in said.data["evaluated"]:
        assert [scores["column"] for scores in one["scores"]] == ["r_linear", "r_resnet1d"]
        rows = [scores["paths"][0]["rows"] for scores in one["scores"]]
        assert rows[1] >= rows[0] - 10 > 100
        assert one["is_retrospective"] == (split == "kfold")
    assert said.table is not None
    assert {row[0] for row in said.table.rows} == {"ETH/USDT", "BTC/USDT"}


def test_no_label_of_a_tested_fold_and_no_bar_of_it_shapes_what_scores_it(walk) -> None:
    """Labels and bars of the tested fold are replaced by absurd ones: model and scales stay the same bits."""
    spans = ((150, 250),)
    (split,) = [one for one in PurgedKFold(folds=4).splits(walk.targets.known_at[:, 0]) if one.number == 1]
    lesson = lesson_on(walk, split.train, spans)
    wild = np.array(walk.targets.values)
    wild[146:254] = 9.9
    poisoned = replace(walk, targets=replace(walk.targets, values=wild))
    other = lesson_on(poisoned, np.setdiff1d(split.train, np.arange(146, 254)), spans)
    plain = lesson_on(walk, np.setdiff1d(split.train, np.arange(146, 254)), spans)
    np.testing.assert_array_equal(other.labels, plain.labels)
    np.testing.assert_array_equal(other.tail_labels, plain.tail_labels)
    cells = np.array(walk.panel.cells)
    cells[:, 150:250] = 1e6
    shifted = replace(lesson, panel=replace(walk.panel, cells=cells))
    for mine, theirs in zip(lesson.input_scale(6), shifted.input_scale(6), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_every_row_is_scored_once_by_a_network_that_never_learned_it(walk) -> None:
    learned = []

    class Cut(PurgedKFold):
        def splits(self, known_at):
            for split in super().splits(known_at):
                learned.append((split, lesson_on(walk, split.train, split.spans)))
                yield split

    found = cross_panel(walk, Cut(folds=3, first_bar=PART.warmup))
    assert np.isfinite(found.scores[0, PART.warmup :]).all()
    for split, lesson in learned:
        known = [row for row, labels in zip(lesson.rows, lesson.labels, strict=True) if np.isfinite(labels).any()]
        held = [row for row, labels in zip(lesson.tail, lesson.tail_labels, strict=True) if np.isfinite(labels).any()]
        assert set(known) | set(held) <= set(split.train.tolist())
        assert not set(known) & set(held)
        assert len(held) == round(len(split.train) * PART.tail_fraction)
