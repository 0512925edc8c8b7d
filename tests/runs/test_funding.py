"""What part of a run its funding rates cover: nothing is assumed of the distance between settlements."""

from __future__ import annotations

import numpy as np
import pytest

from itb.datafeeds.settlements import Rate, SettlementStore
from itb.datafeeds.waves import sinus
from itb.errors import BarsError, ConfigError
from itb.runs.funding import FundingRates, charged_at, read_funding
from itb.runs.market import load_market

HOUR = 3_600_000


@pytest.fixture(scope="module")
def wave():
    return sinus(bars=400, timeframe="1h")


def told(wave, hours):
    times = int(wave.open_time[0]) + HOUR * np.array(hours, dtype=np.int64)
    return list(FundingRates(times, np.full(len(times), 1e-4)).notes(wave))


@pytest.mark.parametrize("every", [1, 4, 8, 24])
def test_rates_all_over_the_run_need_no_note_whatever_their_distance(wave, every):
    assert told(wave, range(0, 400, every)) == []


def test_a_change_of_the_distance_is_no_hole(wave):
    assert told(wave, [*range(0, 200, 8), *range(200, 400, 4)]) == []


def test_each_stretch_without_rates_is_told(wave):
    assert told(wave, [*range(-80, 400, 8)]) == []
    (late,) = told(wave, range(160, 400, 8))
    assert late == "Funding begins at 2023-01-07 16:00 UTC: before it none is charged."
    (early,) = told(wave, range(0, 200, 8))
    assert early == "Funding ends at 2023-01-09 00:00 UTC: after it none is charged."
    (hole,) = told(wave, [hour for hour in range(0, 400, 8) if not 80 <= hour < 120 and hour not in {200, 208}])
    assert hole == (
        "Funding has 2 stretches without a settlement, the longest from 2023-01-04 00:00 UTC to 2023-01-06 00:00 UTC: "
        "none is charged there."
    )


def test_one_settlement_is_measured_by_the_day(wave):
    assert told(wave, [200]) == [
        "Funding begins at 2023-01-09 08:00 UTC: before it none is charged.",
        "Funding ends at 2023-01-09 08:00 UTC: after it none is charged.",
    ]
    assert told(wave, [1000]) == []  # nothing is charged at all: the venue refuses that


# -- settlements that an exchange told


PERPS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
FETCHED = "sources=[{name='funding', kind='funding'}]"


@pytest.fixture
def told_by_exchange(stored):
    """Bars of two perpetuals, and the settlements of each that an exchange told."""
    for number, symbol in enumerate(PERPS):
        store = stored("mine", symbol)
        first = store.series("mine", symbol, "1h").first_ms
        rates = [Rate(first + hour * HOUR, 0.001 * (number + 1), 100.0) for hour in range(0, 400, 8)]
        SettlementStore(store).add("mine", symbol, rates)
    return store


def test_settlements_of_the_store_are_charged_each_symbol_its_own(workspace, told_by_exchange):
    place = workspace("data.exchange=mine", f"data.symbols={list(PERPS)}", FETCHED, "backtest.funding=funding")
    for number, symbol in enumerate(PERPS):
        market = load_market(place, symbol, run_id="1", command="backtest")
        rates = read_funding(place.config, market)
        assert set(rates.rates) == {0.001 * (number + 1)}
        assert len(rates.times) == 50
        assert market.bars["funding_mark_price"][-1] == 100.0
    one = place.config.changed(sources=(place.config.sources[0].model_copy(update={"symbol": PERPS[0]}),))
    with pytest.raises(ConfigError, match=r"holds the rates of one perpetual, but data\.symbols names 2"):
        read_funding(one, market)


def test_what_a_bot_heard_from_its_exchange_is_charged_beside_it_where_nothing_is_configured(
    workspace, told_by_exchange, bars
):
    place = workspace("data.exchange=mine", f"data.symbols=['{PERPS[1]}']")
    lived = bars(PERPS[1], positions=range(4, 30))
    assert charged_at(place, lived) == {4: 0.002, 12: 0.002, 20: 0.002}
    assert charged_at(place, bars("BTC/USDT", positions=range(4, 30))) == {}


def test_a_perpetual_without_settlements_names_the_command_that_fetches_them(workspace, stored):
    stored("mine", PERPS[0])
    place = workspace("data.exchange=mine", f"data.symbols=['{PERPS[0]}']", FETCHED)
    with pytest.raises(BarsError, match=r"source funding: funding of mine .*: none is stored; `itb data download --so"):
        load_market(place, PERPS[0], run_id="1", command="backtest")
    with pytest.raises(BarsError, match="the built-in market has no funding; name an exchange, or bring a table"):
        load_market(workspace(FETCHED), "BTC/USDT", run_id="1", command="backtest")
