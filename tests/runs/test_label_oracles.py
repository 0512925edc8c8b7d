"""Reference values of labels, all the way: a small CSV file is imported, a config names the label, a CSV comes out."""

from __future__ import annotations

import csv

import pytest

from itb.config import load_config
from itb.runs.data import import_files
from itb.runs.steps import write_labels
from itb.runs.workspace import Workspace

C = [
    1,
    1.02,
    1.015,
    1.016,
    1.03,
    1.024,
    1.025,
    1.026,
    1.025,
    1.024,
    1.035,
    1.022,
    1.021,
    1.02,
    1.016,
    1.014,
    1.012,
    1.024,
]
TURNS = [100, 101, 103, 106, 105.5, 104, 101, 99, 97, 96.5, 98, 101, 104, 107, 108, 106, 103]
TEN_CLOSE = [100, 101, 102, 101, 99, 98, 100, 103, 104, 102]
TEN_HIGH = [101, 102, 103, 102, 101, 99, 101, 104, 105, 104]
TEN_LOW = [99, 100, 101, 99, 98, 97, 98, 100, 102, 101]
BARRIERS = [100, 101, 102.5, 101, 98.9, 97, 97.5, 99, 101.2, 103.5]
HIT = [0, 1, 0, 1, 1, 2, 1, 0, 2, 2, 1, 2, 2, 2, 2, 0, 0, 1]
LATER = [1, 0, 1, 1, 2, 1, 0, 0, 0, 1, 2, 2, 2, 2, 0, 0, 1, 0]
GAINS = [0.03, -0.004902, 0.014778, 0.01378, -0.005825, 0.010742, 0.009756, -0.001949, -0.000976, 0.010742]
GAINS += [-0.022222, -0.009785, -0.008815, -0.007843, -0.003937, -0.001972, 0.011858, 0]
STILL = [C[-1]] * 90  # the original looks only as far as there are bars; a still price adds nothing to see


@pytest.fixture
def labelled(tmp_path):
    """Import closes (and highs and lows), write one label as CSV, and read it back: row -> value, empty left out."""

    def run(settings, close, high=None, low=None):
        source = tmp_path / "mine-BTCUSDT-1m.csv"
        with source.open("w", newline="") as handle:
            out = csv.writer(handle)
            out.writerow(["timestamp", "open", "high", "low", "close", "volume"])
            for row, price in enumerate(close):
                top, bottom = (price if high is None else high[row]), (price if low is None else low[row])
                out.writerow([1_700_000_040_000 + row * 60_000, price, top, bottom, price, 1])
        options = {"--exchange": "mine", "--timeframe": "1m", "--symbol": ["BTC/USDT"]}
        features = "features=[{family='series', inputs=['log_return']}]"
        made = [f"label={{{settings}}}", features]
        place = Workspace(load_config(overrides=made, options=options, folder=tmp_path, environ={}))
        import_files(place, [source], ["BTC/USDT"], "1m")
        write_labels(place, tmp_path / "labels.csv")
        with (tmp_path / "labels.csv").open() as handle:
            rows = list(csv.reader(handle))
        assert rows[0][2] == "known_at"
        assert [bool(value) for _, value, _ in rows[1:]] == [bool(known) for _, _, known in rows[1:]]
        return {row: float(value) for row, (_, value, _) in enumerate(rows[1:]) if value}

    return run


def test_highlow2(labelled):
    settings = "kind='highlow2', function='high', threshold_pct=2.0, tolerance=0.2, horizon=4"
    assert labelled(settings, TEN_CLOSE, TEN_HIGH, TEN_LOW) == {0: 1, 1: 0, 2: 0, 3: 0, 4: 0, 5: 1}


@pytest.mark.parametrize(("function", "true"), [("top", {3, 14}), ("bot", {9})])
def test_topbot2(labelled, function, true):
    found = labelled(f"kind='topbot2', function='{function}', level=0.04, tolerance=0.1, column='close'", TURNS)
    assert {row for row, value in found.items() if value} <= true
    known = {row for row in true if row in found}
    assert {row for row in known if found[row]} == known
    assert known


def test_triple_barrier(labelled):
    settings = "kind='triple_barrier', horizon=4, up=0.02, down=0.02, volatility_window=0, touch='close'"
    found = labelled(settings, BARRIERS)
    expected = {0: 1, 1: -1, 2: -1, 3: -1, 4: 1, 5: 1}
    assert {row: value for row, value in found.items() if row in expected} == expected


@pytest.mark.parametrize(("view", "code"), [("classes", None), ("buy", 1), ("sell", 2)])
def test_first_hit(labelled, view, code):
    settings = f"kind='first_hit', up=0.01, low=0.005, window=30, view='{view}'"
    found = labelled(settings, C + STILL)
    expected = [value if code is None else float(value == code) for value in HIT]
    assert [found[row] for row in range(1, 18)] == expected[1:]


@pytest.mark.parametrize("view", ["classes", "gain"])
def test_peak_dip(labelled, view):
    found = labelled(f"kind='peak_dip', up=0.01, low=0.005, window=30, view='{view}'", C + STILL)
    expected = GAINS if view == "gain" else LATER
    assert [found[row] for row in range(17)] == pytest.approx(expected[:17], abs=1e-6)
