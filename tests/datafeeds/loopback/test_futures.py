"""What an exchange tells of a perpetual, by unmodified ccxt: every settlement and mark price, whatever goes wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from itb.datafeeds.backoff import Retrier
from itb.datafeeds.ccxt_history import open_history
from itb.datafeeds.settlements import SettlementStore, fill_settlements, settled_at
from itb.errors import BarsError
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

from .futures import PERP, SETTLED_FAULTS, Futures, settlements
from .venue import START, WIRE_FAULTS, Faults, walk

FRAME = Timeframe.parse("1h")


@pytest.fixture(scope="module")
def hours():
    return walk(1_200, timeframe=FRAME)


def futures(hours, count=150, faults=None):
    return Futures(hours, settlements(count, START), faults)


@pytest.fixture
def filled(connect, store):
    """Fetch a venue's settlements into the store; whoever waits moves the venue's clock instead."""

    def run(venue, since_ms=START):
        retrier = Retrier(sleep=venue.wait, seed=1)
        patience_s = 0.25 if venue.faults.kinds == ["hang"] else 60.0
        connection = replace(connect(venue), timeout_s=patience_s)
        source = open_history("binance", PERP, FRAME, retrier=retrier, connection=connection)
        kept = SettlementStore(store)
        return fill_settlements(kept, "binance", PERP, source, since_ms), kept.read("binance", PERP)

    return run


def assert_is_truth(rows, venue):
    known = [one for one in venue.settled if one[0] <= venue.now_ms]
    assert rows.times.tolist() == [settled_at(time) for time, _, _ in known]
    assert rows.columns["funding_rate"].tolist() == [float(rate) for _, rate, _ in known]
    marks = np.array([float(mark) if mark else np.nan for _, _, mark in known])
    np.testing.assert_array_equal(rows.columns["mark_price"], marks)


def test_settlements_of_several_pages_are_kept_to_the_last_digit(filled, hours):
    venue = futures(hours, 2_300)
    venue.now_ms = venue.settled[-1][0] + 1
    added, rows = filled(venue)
    assert_is_truth(rows, venue)
    assert added == 2_300
    assert venue.paths.count("/fapi/v1/fundingRate") == 3 + 2  # and silence, twice
    assert filled(venue, int(rows.times[-1]) + 1)[0] == 0


@pytest.mark.parametrize("kind", [*SETTLED_FAULTS, *WIRE_FAULTS])
def test_one_kind_of_fault_on_every_other_request_loses_no_settlement(filled, hours, kind):
    venue = futures(hours, faults=Faults([kind], rate=0.5, seed=5))
    _, rows = filled(venue)
    assert kind in venue.faults.struck
    assert_is_truth(rows, venue)


def test_bars_of_the_mark_price_are_asked_for_as_such_and_stored_beside_the_others(fetch, store, hours):
    venue = futures(hours, faults=Faults(rate=0.2, seed=4))
    fetch(venue, PERP, FRAME, marks=True)
    fetch(venue, PERP, FRAME)
    for name, place in (("binance-mark", "mark"), ("binance", "fapi")):
        told = venue.truth[place, "BTCUSDT"].head(len(venue.closed))
        assert store.read(name, PERP, FRAME).equals(Bars(PERP, FRAME, told.open_time, told.columns))
    assert {"/fapi/v1/markPriceKlines", "/fapi/v1/klines"} <= set(venue.paths)


def test_a_file_of_settlements_that_is_damaged_is_named(store, filled, hours):
    filled(futures(hours))
    (file,) = store.root.rglob("funding.parquet")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BarsError, match=rf"{file.name}: cannot be read .*delete it and run"):
        SettlementStore(store).read("binance", PERP)
    assert not store.names()  # and it is no series of bars
