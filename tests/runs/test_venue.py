from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from itb.config import load_config
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import BarsError, ConfigError
from itb.ledger.holdout import Holdout
from itb.runs.market import Market, fingerprint
from itb.runs.venue import build_venue, instrument, seen_tick


@pytest.fixture(scope="module")
def bars():
    return SyntheticMarket(bars=100, symbols=("BTC/USDT:USDT",)).bars()["BTC/USDT:USDT"]


@pytest.fixture
def venue(bars, tmp_path):
    def make(*settings):
        config = load_config(overrides=list(settings), folder=tmp_path, environ={})
        return build_venue(config, Market("BTC", bars, True, fingerprint(bars), 0, Holdout("BTC")))

    return make


def config(*settings):
    return load_config(overrides=list(settings), environ={})


def test_the_tick_is_seen_from_the_prices_unless_it_is_said(bars):
    assert instrument(config(), bars).tick == Decimal("0.01")
    assert instrument(config("instrument.tick=0.5"), bars).tick == Decimal("0.5")
    assert instrument(config("instrument.step=0.001"), bars).tick == Decimal("0.01")


@pytest.mark.parametrize(
    ("closes", "tick"),
    [([100.0, 200.0], "1"), ([0.5, 1.25], "0.01"), ([1e-7, 3e-7], "1E-7"), ([np.pi, np.e], "1E-10")],
)
def test_a_tick_is_a_power_of_ten(closes, tick, bars):
    two = bars.head(2)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), np.array(closes))
    assert seen_tick(type(two).of("X/USDT", "1h", two.open_time, **prices)) == Decimal(tick)


def test_costs_and_the_order_inside_a_bar_come_from_the_config(venue):
    made = venue("costs.taker_fee_bps=7", "backtest.intrabar=target_first")
    assert (made.costs.taker_fee_bps, made.first) == (7, "target")
    assert (made.buy_price, made.sell_price, made.settle, made.funding) == (None, None, None, {})


def test_funding_rates_of_one_symbol_are_not_charged_to_another(venue, tmp_path):
    (tmp_path / "f.csv").write_text("timestamp,funding_rate\n2023-01-01T08:00:00Z,0.002\n")
    both = 'data.symbols=["BTC/USDT:USDT", "ETH/USDT:USDT"]'
    with pytest.raises(ConfigError, match=r"rates of one perpetual, but data\.symbols names 2; give each its own file"):
        venue("backtest.funding=f.csv", both)
    (tmp_path / "BTCUSDT-f.csv").write_text("timestamp,funding_rate\n2023-01-01T09:00:00Z,0.003\n")
    assert venue("backtest.funding={symbol}-f.csv", both).funding == {9: 0.003}


def test_settlements_are_read_in_any_order_and_summed_by_bar(venue, tmp_path):
    (tmp_path / "f.csv").write_text(
        "timestamp,funding_rate\n2023-01-01T08:00:00Z,0.002\n2023-01-01T00:00:00Z,0.001\n2023-01-01T08:00:00.250Z,0.003\n"
    )
    assert venue("backtest.funding=f.csv").funding == pytest.approx({0: 0.001, 8: 0.005})


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_settlements_may_come_as_parquet_in_any_unit(unit, venue, tmp_path):
    times = np.array(["2023-01-01T08:00"], dtype=f"datetime64[{unit}]")
    pq.write_table(pa.table({"timestamp": times, "funding_rate": [0.002]}), tmp_path / "f.parquet")
    assert venue("backtest.funding=f.parquet").funding == {8: 0.002}


def test_settlements_may_come_as_milliseconds(venue, tmp_path):
    (tmp_path / "f.csv").write_text(f"timestamp,funding_rate\n{1_672_531_200_000 + 8 * 3_600_000},0.002\n")
    assert venue("backtest.funding=f.csv").funding == {8: 0.002}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read"),
        ("time,rate\n2023-01-01T00:00:00Z,0.1\n", "has no column 'timestamp'; it has time, rate"),
        ("timestamp,funding_rate\nyesterday,0.1\n", "cannot be understood"),
        ("timestamp,funding_rate\n2023-01-01T00:00:00Z,much\n", "cannot be understood"),
        ("timestamp,funding_rate\n2023-01-01T00:00:00Z,\n", "a row without a time or without a finite rate"),
        ("timestamp,funding_rate\n,0.1\n2023-01-01T00:00:00Z,0.1\n", "a row without a time or without a finite rate"),
    ],
)
def test_a_funding_file_that_cannot_be_used_is_a_config_error(text, why, venue, tmp_path):
    if text is not None:
        (tmp_path / "f.csv").write_text(text)
    with pytest.raises(ConfigError, match=f"backtest.funding: .*{why}"):
        venue("backtest.funding=f.csv")


def test_funding_that_touches_no_bar_is_told(venue, tmp_path):
    (tmp_path / "f.csv").write_text("timestamp,funding_rate\n2030-01-01T08:00:00Z,0.002\n")
    with pytest.raises(BarsError, match="no funding settlement lies between 2023-01-01 00:00 UTC and"):
        venue("backtest.funding=f.csv")
