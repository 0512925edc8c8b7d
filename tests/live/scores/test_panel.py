"""A network live: one forward pass a bar for all symbols, with the bits of the backtest."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import ModelError
from itb.live.bars.bar import rows_of
from itb.live.episodes import Episodes
from itb.live.host.growing import GrowingBars
from itb.live.scores.panel import PanelDesk
from itb.live.scores.panel_column import PanelColumn
from itb.live.scores.speaking import ColumnFiles
from itb.mlmodels.deep.model import PanelModel
from itb.mlmodels.deep.panel import Panel
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.timeline import ModelTimeline
from itb.mlmodels.walkforward import WalkForward

pytest.importorskip("torch", reason="torch is not installed")

HOUR_MS = 3_600_000
WARM = 520
NO_ROW = np.empty((1, 0), dtype=np.float32)  # a network reads bars by itself


@pytest.fixture(scope="module")
def bars():
    found = SyntheticMarket(symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT"), bars=640, seed=5).bars()
    eth = found["ETH/USDT"]
    keep = np.ones(len(eth), dtype=bool)
    keep[[400, 560, 561]] = False
    holed = type(eth)(eth.symbol, eth.timeframe, eth.open_time[keep], {k: v[keep] for k, v in eth.columns.items()})
    return {**found, "ETH/USDT": holed}


@pytest.fixture(scope="module")
def walked(bars, tmp_path_factory):
    from itb.mlmodels.deep.resnet import Resnet1d
    from itb.mlmodels.deep.walk import PanelWalk

    part, label = Resnet1d(steps=8, blocks=1, filters=4, epochs=1), FutureReturn(4)
    panel = Panel.of(bars, part.reading)
    targets = panel.targets(bars, {symbol: label(one) for symbol, one in bars.items()})
    walk = WalkForward(mode="expanding", train_bars=300, refit_every=120, min_train_rows=50)
    return PanelWalk(walk, panel, targets, part, "r", "r_resnet1d").run(tmp_path_factory.mktemp("walk"))


class Live:
    """A desk whose bars arrive timestamp by timestamp."""

    def __init__(self, bars, folder, warm=WARM, **more):
        start = next(iter(bars.values())).open_time[0]
        self.bars, self.troubles, self.ticks = bars, [], []
        self.until = int(start) + warm * HOUR_MS
        self.windows = {symbol: GrowingBars(one.between(None, self.until)) for symbol, one in bars.items()}
        self.waiting = {symbol: list(rows_of(one.between(self.until, None))) for symbol, one in bars.items()}
        episodes = Episodes(self.troubles.append)
        self.desk = PanelDesk(self.windows, folder, episodes, HOUR_MS, tell=self.ticks.append, **more)
        files = ColumnFiles(folder, coins=tuple(bars))
        self.columns = {symbol: PanelColumn(self.desk, symbol, files) for symbol in bars}

    def step(self, without=()):
        """Deliver the bars of the next timestamp, then ask for every score."""
        time, self.until = self.until, self.until + HOUR_MS
        for symbol, rows in self.waiting.items():
            if symbol not in without and rows and rows[0].open_time == time:
                self.windows[symbol].append(rows.pop(0))
        return time, {symbol: column.score(time, NO_ROW) for symbol, column in self.columns.items()}


def test_live_scores_are_those_of_the_backtest_bit_for_bit(bars, walked):
    live = Live(bars, walked.folder)
    for _ in range(len(walked.panel) - WARM):
        live.step()
    for coin, symbol in enumerate(walked.panel.symbols):
        times = bars[symbol].open_time
        said = live.columns[symbol].say_all(times, NO_ROW)[live.columns[symbol].column]
        np.testing.assert_array_equal(said, walked.scores[walked.panel.place(times), coin])
    assert live.troubles == []


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
def test_the_onnx_runtime_says_the_same_but_for_the_last_digits(bars, walked):
    live = Live(bars, walked.folder, runtime="onnx")
    for _ in range(20):
        time, said = live.step()
        known = walked.scores[int(walked.panel.place(np.array([time]))[0])]
        near = 1e-5 * np.nanstd(walked.scores)
        np.testing.assert_allclose([said[symbol] for symbol in walked.panel.symbols], known, rtol=1e-5, atol=near)
    assert live.troubles == []


def test_there_is_one_forward_pass_for_each_bar_and_it_is_told(bars, walked, monkeypatch):
    live = Live(bars, walked.folder)
    passes = []
    scores = PanelModel.scores
    monkeypatch.setattr(
        PanelModel, "scores", lambda self, panel, rows: passes.append(rows) or scores(self, panel, rows)
    )
    said = [live.step() for _ in range(5)]
    assert len(passes) == 5
    assert [tick.open_time for tick in live.ticks] == [time for time, _ in said]
    assert [dict(tick.scores) for tick in live.ticks] == [scores for _, scores in said]
    assert all(tick.model == walked.timeline.entry_at(tick.open_time).file for tick in live.ticks)


def test_a_symbol_whose_bar_is_missing_has_no_score_and_the_others_have(bars, walked):
    live = Live(bars, walked.folder, warm=560)
    _, said = live.step()
    assert np.isnan(said["ETH/USDT"])
    assert np.isfinite([said["BTC/USDT"], said["SOL/USDT"]]).all()


def test_a_refit_that_comes_takes_over_at_its_bar(bars, walked, tmp_path):
    import shutil

    folder = tmp_path / "models"
    shutil.copytree(walked.folder, folder)
    whole = ModelTimeline.load(folder / "timeline.json")
    (folder / "timeline.json").unlink()
    earlier = ModelTimeline(whole.column, whole.low, whole.high, whole.feature_names, whole.entries[:2])
    earlier.save(folder / "timeline.json")
    live = Live(bars, folder, warm=535)
    live.step()
    whole.save(folder / "timeline.json")
    for _ in range(20):
        live.step()
    used = {tick.open_time: tick.model for tick in live.ticks}
    assert used == {time: whole.entry_at(time).file for time in used}
    assert len(set(used.values())) == 2


def test_a_damaged_model_stops_a_start_but_not_a_running_bot(bars, walked, tmp_path):
    import shutil

    folder = tmp_path / "models"
    shutil.copytree(walked.folder, folder)
    live = Live(bars, folder)
    (folder / "timeline.json").write_text("{")
    live.step()
    assert [one.key for one in live.troubles] == ["r_resnet1d: refresh"]
    assert len(live.ticks) == 1
    shutil.copy(walked.folder / "timeline.json", folder)
    next(folder.glob("models/*.safetensors")).write_bytes(b"torn")
    column = Live(bars, folder).columns["BTC/USDT"]
    assert not column.is_whole()
    with pytest.raises(ModelError, match="the model was altered"):
        column.check()
    (folder / "timeline.json").unlink()
    with pytest.raises(ModelError, match=r"timeline\.json: cannot be read"):
        Live(bars, folder)


def test_other_symbols_are_refused_at_the_start(bars, walked):
    live = Live({"BTC/USDT": bars["BTC/USDT"]}, walked.folder)
    with pytest.raises(ModelError, match="its models read BTC/USDT, ETH/USDT, SOL/USDT, bars are there of BTC/USDT"):
        live.columns["BTC/USDT"].check()


def test_a_bar_that_comes_later_gets_its_own_score_and_changes_no_other(bars, walked):
    live = Live(bars, walked.folder)
    time, said = live.step(without=["SOL/USDT"])
    assert np.isnan(said["SOL/USDT"])
    live.windows["SOL/USDT"].append(live.waiting["SOL/USDT"].pop(0))
    later = {symbol: column.score(time, NO_ROW) for symbol, column in live.columns.items()}
    coin, row = walked.panel.symbols.index("SOL/USDT"), int(walked.panel.place(np.array([time]))[0])
    assert later == {**said, "SOL/USDT": walked.scores[row, coin]}
    assert said["BTC/USDT"] != walked.scores[row, 0]
    _, said = live.step()
    assert said["BTC/USDT"] == walked.scores[row + 1, 0]


def test_looking_back_finds_what_was_said_and_names_a_late_bar(bars, walked):
    live = Live(bars, walked.folder, check=1)
    live.step()
    live.step()
    live.desk.look_back()
    assert live.desk.checked.counts == {"same": 1}
    live.step(without=["SOL/USDT"])
    live.windows["SOL/USDT"].append(live.waiting["SOL/USDT"].pop(0))
    live.step()
    live.desk.look_back()
    assert live.desk.checked.counts == {"same": 1, "features": 1}
    assert live.desk.checked.largest > 0
    assert live.troubles == []


def test_scores_are_forgotten_after_a_while_and_said_again_alike(bars, walked, monkeypatch):
    monkeypatch.setattr("itb.live.scores.panel._KEPT", 5)
    live = Live(bars, walked.folder)
    told = dict(live.step() for _ in range(12))
    passes = len(live.ticks)
    for time, said in told.items():
        again = {symbol: column.score(time, NO_ROW) for symbol, column in live.columns.items()}
        np.testing.assert_equal(again, said)
    assert len(live.ticks) == passes + len(told)  # the newest five had gone as well when the first came back


def test_a_model_that_has_expired_says_nothing(bars, walked):
    live = Live(bars, walked.folder, expires_after_ms=HOUR_MS)
    _, said = live.step()
    assert np.isnan(list(said.values())).all()
    assert [one.key for one in live.troubles] == ["r_resnet1d: expired"]
