"""Every label can be had from a config file, and keeps the law on real bars."""

import dataclasses

import pytest

from itb.config import load_config
from itb.config.parts import labels
from itb.datafeeds.importers import read_file
from itb.laws.leak import check_labels
from itb.market.timeframe import Timeframe
from itb.mlmodels.labels import LABELS

TABLES = {
    "future_return": "horizon = 24",
    "scaled_return": "horizon = 24\nvolatility_window = 168",
    "highlow": 'function = "high"\nhorizon = 24\nthreshold_pct = 1.5\ncolumns = ["close", "high", "low"]',
    "highlow2": 'function = "low"\nthreshold_pct = 2.0\ntolerance = 0.2\nhorizon = 24',
    "topbot": 'function = "bot"\nlevel = 0.05\ntolerance = 0.0125',
    "topbot2": 'function = "top"\nlevel = 0.04\ntolerance = 0.1\ncolumn = "close"\nalias = "top4_1"',
    "first_hit": "up = 0.01\nlow = 0.005\nwindow = 30",
    "peak_dip": 'up = 0.01\nlow = 0.005\nwindow = 30\nview = "buy"',
    "gradient": 'window = 60\ngain = 0.01\nloss = 0.0\nplacement = "forward"',
    "triple_barrier": "horizon = 24\nup = 1.0\ndown = 1.0\nvolatility_window = 168\ncusum = 0.02",
    "meta": 'column = "close"\nchange = 24\nthreshold = 0.01\nhorizon = 24\ntarget = 0.02\nstop = 0.01\nside = "long"',
    "cross_sectional_rank": 'horizon = 24\ncoins = ["eth", "sol"]\nleast_coins = 2\ncentred = true',
    "trend_scan": 'shortest = 20\nlongest = 60\nstep = 5\nview = "up"',
}


@pytest.fixture
def build(tmp_path):
    """Build the label of a config file."""

    def from_file(kind):
        file = tmp_path / "itb.toml"
        file.write_text(f'[label]\nkind = "{kind}"\n{TABLES[kind]}\n')
        return labels(load_config(file, folder=tmp_path, environ={}))[0]

    return from_file


@pytest.mark.parametrize("kind", LABELS)
def test_every_label_can_be_had_from_a_config_file(kind, build):
    label = build(kind)
    assert isinstance(label, LABELS[kind])
    assert label.name


@pytest.mark.real
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_real_bars_keep_the_law(kind, build, real_data):
    bars = read_file(real_data("binance/BTCUSDT-1h.parquet"), "BTC/USDT", Timeframe.parse("1h")).tail(4000)
    others = {f"{coin}_close": bars.close[::-1].copy() * factor for coin, factor in (("eth", 0.1), ("sol", 0.01))}
    result = check_labels(build(kind), dataclasses.replace(bars, columns={**bars.columns, **others}))
    assert result.passed, result.evidence
