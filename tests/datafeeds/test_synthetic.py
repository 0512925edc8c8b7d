import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.datafeeds.synthetic import START_MS, SyntheticMarket
from itb.market.bars import FloatArray

COINS = ("BTC/USDT", "ETH/USDT", "PEPE/USDT")


def autocorrelation(values: FloatArray, lag: int) -> float:
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


@pytest.fixture(scope="module")
def returns() -> FloatArray:
    close = SyntheticMarket(bars=100_000, seed=11).bars()["BTC/USDT"].close
    return np.diff(np.log(close))


class TestReproducible:
    def test_same_arguments_give_the_same_bars(self) -> None:
        first, second = (SyntheticMarket(bars=300, symbols=COINS).bars() for _ in range(2))
        assert all(first[symbol].equals(second[symbol]) for symbol in COINS)

    def test_another_seed_gives_other_bars(self) -> None:
        first, second = (SyntheticMarket(bars=300, seed=seed).bars()["BTC/USDT"] for seed in (1, 2))
        assert not np.array_equal(first.close, second.close)

    @settings(max_examples=15, deadline=None)
    @given(
        few=st.integers(1, 400),
        more=st.integers(0, 3000),
        seed=st.integers(0, 99),
        frame=st.sampled_from(["1m", "1h", "1d"]),
    )
    def test_more_bars_leave_the_earlier_ones_as_they_are(self, few: int, more: int, seed: int, frame: str) -> None:
        short = SyntheticMarket(bars=few, timeframe=frame, seed=seed).bars()["BTC/USDT"]
        long = SyntheticMarket(bars=few + more, timeframe=frame, seed=seed).bars()["BTC/USDT"]
        assert long.head(few).equals(short)

    def test_a_coin_does_not_depend_on_the_others(self) -> None:
        alone = SyntheticMarket(bars=200, symbols=("ETH/USDT",)).bars()["ETH/USDT"]
        together = SyntheticMarket(bars=200, symbols=COINS).bars()["ETH/USDT"]
        assert alone.equals(together)

    def test_it_starts_at_the_given_time_on_the_grid(self) -> None:
        assert SyntheticMarket(bars=2).bars()["BTC/USDT"].open_time[0] == START_MS
        assert SyntheticMarket(bars=2, timeframe="1w").bars()["BTC/USDT"].open_time[0] < START_MS


class TestFactsOfReturns:
    def test_tails_are_fat(self, returns: FloatArray) -> None:
        standard = (returns - returns.mean()) / returns.std()
        assert np.mean(standard**4) - 3 > 3

    def test_volatility_clusters_for_days(self, returns: FloatArray) -> None:
        size = np.abs(returns)
        assert autocorrelation(size, 1) > 0.1
        assert autocorrelation(size, 24) > 0.1
        assert autocorrelation(size, 120) > 0.03

    @pytest.mark.parametrize("lag", [1, 2, 3, 6, 12, 24, 48])
    def test_returns_themselves_are_hardly_correlated(self, returns: FloatArray, lag: int) -> None:
        assert abs(autocorrelation(returns, lag)) < 0.02

    def test_annual_volatility_is_the_one_asked_for(self) -> None:
        markets = [SyntheticMarket(bars=150_000, seed=seed, annual_volatility=0.8) for seed in range(3)]
        variances = [np.diff(np.log(market.bars()["BTC/USDT"].close)).var() * 8760 for market in markets]
        assert np.sqrt(np.mean(variances)) == pytest.approx(0.8, rel=0.08)

    def test_coins_move_together_as_asked(self) -> None:
        panel = SyntheticMarket(bars=20_000, symbols=COINS[:2], correlation=0.7).bars()
        btc, eth = (np.diff(np.log(panel[symbol].close)) for symbol in COINS[:2])
        assert np.corrcoef(btc, eth)[0, 1] == pytest.approx(0.7, abs=0.07)


class TestBars:
    @settings(max_examples=25, deadline=None)
    @given(
        bars=st.integers(1, 2000),
        frame=st.sampled_from(["1m", "5m", "1h", "4h", "1d", "1w"]),
        seed=st.integers(0, 10**6),
        volatility=st.floats(0.05, 5),
        coefficient=st.floats(0, 0.99),
    )
    def test_any_market_passes_the_door_of_bars(
        self, bars: int, frame: str, seed: int, volatility: float, coefficient: float
    ) -> None:
        market = SyntheticMarket(
            min(bars, 5000),
            frame,
            ("XYZ/USDT",),
            seed,
            annual_volatility=volatility,
            information_coefficient=coefficient,
        )
        generated = market.bars()["XYZ/USDT"]
        assert len(generated) == bars
        assert generated.missing == 0
        assert (generated["taker_buy_base"] <= generated.volume).all()
        assert (generated["trades"] >= 1).all()

    def test_bars_open_near_the_previous_close(self) -> None:
        bars = SyntheticMarket().bars()["BTC/USDT"]
        gap = np.abs(bars.open[1:] / bars.close[:-1] - 1)
        assert np.median(gap) < 0.1 * np.median(np.abs(np.diff(np.log(bars.close))))

    def test_prices_lie_on_the_tick(self) -> None:
        bars = SyntheticMarket().bars()["BTC/USDT"]
        for name in ("open", "high", "low", "close"):
            assert np.array_equal(bars[name], np.round(bars[name], 2))

    def test_ranges_are_those_of_a_brownian_path(self) -> None:
        bars = SyntheticMarket(bars=50_000).bars()["BTC/USDT"]
        up = np.log(bars.high / bars.open)
        move = np.log(bars.close / bars.open)
        assert up.mean() == pytest.approx(np.mean(np.log(bars.open / bars.low)), rel=0.03)
        assert np.corrcoef(up, move)[0, 1] > 0.6

    def test_volume_grows_with_volatility(self) -> None:
        bars = SyntheticMarket(bars=20_000).bars()["BTC/USDT"]
        size = np.abs(np.diff(np.log(bars.close)))
        assert np.corrcoef(np.log(bars["quote_volume"][1:]), size)[0, 1] > 0.4

    def test_quote_volume_is_volume_at_a_price_inside_the_bar(self) -> None:
        bars = SyntheticMarket(bars=5000).bars()["BTC/USDT"]
        price = bars["quote_volume"] / bars.volume
        assert (price >= bars.low * (1 - 1e-6)).all()
        assert (price <= bars.high * (1 + 1e-6)).all()

    def test_a_million_minutes_take_less_than_two_seconds_of_cpu(self) -> None:
        SyntheticMarket(bars=10).bars()
        before = time.process_time()
        SyntheticMarket(bars=1_000_000, timeframe="1m").bars()
        assert time.process_time() - before < 2


class TestPlantedStructure:
    def test_attainable_coefficient_is_the_one_asked_for(self) -> None:
        found = [SyntheticMarket(bars=50_000, seed=seed).attainable_ic() for seed in range(10)]
        assert np.mean(found) == pytest.approx(0.05, abs=0.005)

    def test_a_stronger_structure_is_as_strong_as_asked(self) -> None:
        assert SyntheticMarket(bars=50_000, information_coefficient=0.3).attainable_ic() == pytest.approx(0.3, abs=0.02)

    def test_no_structure_can_be_asked_for(self) -> None:
        market = SyntheticMarket(bars=2000, information_coefficient=0)
        assert market.attainable_ic() == 0
        assert not market.expected_return("BTC/USDT")[:-1].any()

    def test_forecast_predicts_the_closes_that_people_see(self) -> None:
        market = SyntheticMarket(bars=50_000, information_coefficient=0.2)
        close = market.bars()["BTC/USDT"].close
        forecast = market.expected_return("BTCUSDT")
        assert np.isnan(forecast[-1])
        assert np.corrcoef(forecast[:-1], np.diff(np.log(close)))[0, 1] == pytest.approx(0.2, abs=0.02)

    def test_it_can_be_learned_from_taker_shares_of_past_bars(self) -> None:
        bars = SyntheticMarket(bars=200_000).bars()["BTC/USDT"]
        share = bars["taker_buy_base"] / bars.volume
        mean = np.convolve(share, np.ones(24) / 24, mode="full")[23 : len(share)]
        coming = np.diff(np.log(bars.close))[23:]
        assert 0.01 < np.corrcoef(mean[:-1], coming)[0, 1] < 0.05

    def test_momentum_is_followed_in_calm_and_faded_in_stress(self) -> None:
        bars = SyntheticMarket(bars=200_000).bars()["BTC/USDT"]
        log_return = np.diff(np.log(bars.close), prepend=np.log(bars.open[0]))
        cumulated = np.concatenate([[0.0], np.cumsum(log_return)])
        squares = np.concatenate([[0.0], np.cumsum(log_return**2)])
        past = np.arange(168, len(bars) - 1)
        momentum = cumulated[past + 1] - cumulated[past - 35]
        wild = squares[past + 1] - squares[past - 167]
        coming = log_return[past + 1]
        calm = wild < np.median(wild)
        assert np.corrcoef(momentum[calm], coming[calm])[0, 1] > 0.01
        assert np.corrcoef(momentum[~calm], coming[~calm])[0, 1] < -0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bars": 0}, "bars must be from 1 to 876000"),
        ({"bars": 10**6, "timeframe": "1d"}, "bars must be from 1 to 36500 .100 years of 1d., was 1000000"),
        ({"symbols": ()}, "at least one coin"),
        ({"symbols": ("BTC/USDT", "BTCUSDT")}, "each once"),
        ({"seed": -1}, "seed must be 0 or more, was -1"),
        ({"information_coefficient": 1.0}, "information_coefficient must be at least 0 and below 1, was 1.0"),
        ({"correlation": -0.1}, "correlation must be at least 0 and below 1, was -0.1"),
        ({"annual_volatility": 0.0}, "annual_volatility must be above 0"),
        ({"timeframe": "1x"}, "timeframe must be a whole number"),
    ],
)
def test_impossible_markets_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticMarket(**arguments)
