from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from itb.charts import shell
from itb.errors import ConfigError
from itb.runs.explore import explore
from itb.runs.explore_scores import _thinned
from itb.runs.workspace import Workspace

TREES = ("model.algorithm=lightgbm", "model.rounds=10", "model.min_data_in_leaf=20")


@pytest.fixture(autouse=True)
def light_plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "plotly", lambda: "/* plotly */")


def pictures(path: Path) -> list[str]:
    found = re.search(r'id="figures">(.*?)</script>', path.read_text())
    assert found is not None
    return [figure["id"] for figure in json.loads(found[1])]


def test_page_shows_every_part_and_the_look_is_entered(workspace: Callable[..., Workspace]) -> None:
    place = workspace(*TREES)
    said = explore(place)
    path = Path(said.data["explore"][0]["file"])
    assert path == place.runs / "explore" / "BTC_USDT-1h.html"
    kinds = {name.rsplit("-", 1)[0].split("-")[0] for name in pictures(path)}
    assert kinds == {
        "coverage", "drift", "likeness", "label", "ladder", "profit", "calibration", "weight", "swarm"
    }  # fmt: skip
    (look,) = place.register.looks("BTC (synthetic, seed 7)", 0, 2**60)
    assert (look.command, look.trials) == ("explore", 1)
    assert "AUC" in said.lines[0]
    assert "look no. 1 at this stretch of market" in path.read_text()


def test_the_same_bars_and_settings_give_the_same_pictures(workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    def drawn(name: str) -> str:
        explore(workspace(*TREES), tmp_path / name)
        found = re.search(r'id="figures">(.*?)</script>', (tmp_path / name).read_text())
        assert found is not None
        return found[1]

    assert drawn("one.html") == drawn("two.html")


def test_a_strategy_without_scores_gets_a_page_about_its_bars_and_features(
    workspace: Callable[..., Workspace], tmp_path: Path
) -> None:
    (tmp_path / "hold.py").write_text(
        "import backtrader as bt\n\n\nclass Hold(bt.Strategy):\n    def next(self):\n        pass\n"
    )
    place = workspace(f"strategy.name={tmp_path}/hold.py:Hold")
    said = explore(place)
    path = Path(said.data["explore"][0]["file"])
    assert {name.split("-")[0] for name in pictures(path)} == {"coverage", "drift", "likeness"}
    assert path.read_text().count("The strategy Hold reads no score, so no model was trained.") == 3
    assert place.register.looks("BTC (synthetic, seed 7)", 0, 2**60) == []


def test_a_model_that_cannot_be_trained_leaves_the_rest_of_the_page(workspace: Callable[..., Workspace]) -> None:
    said = explore(workspace("walkforward.train=5000"))
    assert any("No model could be trained: 600 bars are too few" in line for line in said.lines)
    assert "No model could be trained" in Path(said.data["explore"][0]["file"]).read_text()


def test_every_column_and_every_label_has_its_pictures(several: Callable[..., Workspace]) -> None:
    said = explore(several("strategy.score=rise_logistic"))
    told = said.data["explore"][0]
    assert list(told["columns"]) == ["rise_logistic", "rise_linear", "move_linear"]
    names = pictures(Path(told["file"]))
    assert sum(name.startswith("label-") for name in names) == 2
    assert sum(name.startswith("profit-") for name in names) == 3
    assert sum(name.startswith("calibration-") for name in names) == 1
    page = Path(told["file"]).read_text()
    assert "rise_logistic is no model of trees" in page
    assert "These scores are estimates, not probabilities" in page


def test_coins_are_drawn_beside_each_other_on_each_page(workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    place = workspace(*TREES, options={"--symbol": ["BTC/USDT", "ETH/USDT"]})
    said = explore(place, tmp_path / "pages")
    for told, symbol in zip(said.data["explore"], ("BTC/USDT", "ETH/USDT"), strict=True):
        page = Path(told["file"])
        assert page.parent == tmp_path / "pages"
        assert f'"name":"{symbol} long above"' in page.read_text()
        assert '"name":"ETH/USDT short below"' in page.read_text()


def test_one_file_for_two_coins_is_refused(workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    place = workspace(options={"--symbol": ["BTC/USDT", "ETH/USDT"]})
    with pytest.raises(ConfigError, match="is one page for 2 symbols; name a folder, or one --symbol"):
        explore(place, tmp_path / "page.html")


def test_calibrated_scores_are_drawn_before_and_after(workspace: Callable[..., Workspace]) -> None:
    said = explore(
        workspace(
            "synthetic.bars=1200",
            "calibration.method=platt",
            "calibration.min_rows=100",
            "strategy.score=up_6_0bps_logistic",
        )
    )
    page = Path(said.data["explore"][0]["file"]).read_text()
    assert '"name":"as the model gave it"' in page
    assert '"name":"after calibration"' in page


def test_missing_bars_are_seen_where_they_are_missing(workspace: Callable[..., Workspace], stored, tmp_path) -> None:
    stored(exchange="mine", positions=[*range(200), *range(212, 600)])
    place = workspace("data.exchange=mine", "data.gaps=flat", options={"--symbol": ["BTC/USDT"]})
    page = Path(explore(place).data["explore"][0]["file"]).read_text()
    assert "Longest gaps" in page
    assert "12 missing bars were filled flat with volume 0" in page


def test_thinning_keeps_rows_evenly_over_all_models() -> None:
    from itb.mlmodels.explore.importance import Spoken

    rows = np.split(np.arange(100), [7, 7, 50])
    kept = _thinned([Spoken(None, part) for part in rows], 20)  # type: ignore[arg-type]  # no model is asked
    assert np.concatenate([one.rows for one in kept]).tolist() == list(range(0, 100, 5))
