"""The synthetic market: seeded coins with the known facts of crypto returns and a weak planted structure."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from itb.market.bars import Bars, FloatArray, IntArray
from itb.market.instrument import canonical_symbol
from itb.market.timeframe import DAY_MS, MINUTE_MS, YEAR_MS, Timeframe

START_MS = 1_672_531_200_000  # 2023-01-01 00:00 UTC, a Sunday
HOUR_MS = 60 * MINUTE_MS

_START_PRICES = {"BTC": 20_000.0, "ETH": 1_500.0, "BNB": 250.0, "SOL": 25.0, "XRP": 0.4, "ADA": 0.3, "DOGE": 0.07}
_TAIL = 6  # degrees of freedom of the shocks: fat tails with a finite fourth moment
_REGIME_DAYS = np.array([20.0, 15.0, 8.0])  # mean length of calm, rising and falling spells
_REGIME_DRIFT = np.array([0.0, 0.8, -1.5])  # log return per year; averages to 0 over the lengths above
_REGIME_LOG_VOLATILITY = np.array([-0.2, 0.0, 0.35])
_SLOW, _FAST = 0.35, 0.25  # standard deviations of the two parts of log volatility
_SLOW_HOURS, _FAST_HOURS = 240.0, 12.0  # their half-lives
_EXCESS = _SLOW**2 + _FAST**2 + 0.037  # half the log of the mean variance that parts, regimes and rhythm would add
_FLOW_BARS, _MOMENTUM_BARS = 12.0, 24.0  # half-lives of the two planted signals, in bars
_DAILY_TURNOVER = 2e8  # quote units
_TRADE_NOTIONAL = 900.0


class _Weather(NamedTuple):
    """What all coins share: per bar drift, log volatility of the market and the common shock."""

    drift: FloatArray
    log_volatility: FloatArray
    shock: FloatArray


class _Path(NamedTuple):
    """One coin before rounding, per bar; ``expected[t]`` is the planted part of ``log_return[t]``, known at t - 1."""

    log_return: FloatArray
    expected: FloatArray
    volatility: FloatArray
    activity: FloatArray
    shock: FloatArray
    flow: FloatArray


@dataclass(frozen=True, init=False)
class SyntheticMarket:
    """A market of correlated coins whose every property is known because it was put there.

    What is in it: log volatility is the sum of a slow part shared by all coins (half-life 10 days), a fast part of
    each coin (12 hours) and a daily rhythm; calm, rising and falling regimes of 20, 15 and 8 days on average switch
    drift and volatility; shocks are Student t (6 degrees of freedom) with ``correlation`` between coins; highs and
    lows are the extremes of a Brownian bridge between open and close; bars open near the previous close; volume grows
    with volatility and with the size of the move. Extras: ``quote_volume``, ``trades``, ``taker_buy_base``.

    What can be learned: a bar's return is ``volatility x (ic x signal + sqrt(1 - ic^2) x shock)`` plus the regime's
    drift. ``signal`` (mean 0, variance 1, known at the close before) is half order flow, an exponential mean
    (half-life 12 bars) of the part of the taker share that the bar's own return does not explain, and half momentum,
    an exponential mean (24 bars) of shocks, followed while the market's volatility is below its usual level and
    faded above it. Returns have therefore almost no autocorrelation. ``information_coefficient`` is ``ic``, fixed
    before anything is traded: the correlation per bar between the best forecast and what happens.

    The same arguments give the same bytes. More bars with the same seed leave the earlier ones as they are, and a
    coin does not depend on which other coins are asked for. Prices are rounded to a tick of 7 digits of the starting
    price. Parameters: ``bars`` per coin (kept as ``length``; at most 100 years), ``annual_volatility`` as a fraction.

    >>> market = SyntheticMarket(bars=48, symbols=("BTC/USDT", "ETH/USDT"))
    >>> {symbol: len(bars) for symbol, bars in market.bars().items()}
    {'BTC/USDT': 48, 'ETH/USDT': 48}
    >>> float(market.bars()["BTC/USDT"].open[0])
    20000.0
    """

    length: int
    timeframe: Timeframe
    symbols: tuple[str, ...]
    seed: int
    information_coefficient: float
    annual_volatility: float
    correlation: float
    start_ms: int

    def __init__(
        self,
        bars: int = 8760,
        timeframe: str | Timeframe = "1h",
        symbols: tuple[str, ...] = ("BTC/USDT",),
        seed: int = 7,
        *,
        information_coefficient: float = 0.05,
        annual_volatility: float = 0.6,
        correlation: float = 0.6,
        start_ms: int = START_MS,
    ) -> None:
        frame = Timeframe.parse(timeframe) if isinstance(timeframe, str) else timeframe
        values = {
            "length": bars,
            "timeframe": frame,
            "symbols": tuple(canonical_symbol(symbol) for symbol in symbols),
            "seed": seed,
            "information_coefficient": information_coefficient,
            "annual_volatility": annual_volatility,
            "correlation": correlation,
            "start_ms": int(frame.floor(start_ms)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        most = 100 * YEAR_MS // self.timeframe.ms
        if not 1 <= self.length <= most:
            raise ValueError(f"bars must be from 1 to {most} (100 years of {self.timeframe}), was {self.length}")
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise ValueError(f"symbols must name at least one coin and each once, was {self.symbols}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, was {self.seed}")
        for name in ("information_coefficient", "correlation"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, was {getattr(self, name)}")
        if not 0 < self.annual_volatility <= 5:
            raise ValueError(f"annual_volatility must be above 0 and at most 5 (500 %), was {self.annual_volatility}")

    def bars(self) -> dict[str, Bars]:
        """Generate every coin's bars, in the order of ``symbols``."""
        weather = self._weather()
        return {symbol: self._bars(symbol, self._path(symbol, weather)) for symbol in self.symbols}

    def coin(self, symbol: str) -> Bars:
        """Generate one coin's bars, whether it is one of ``symbols`` or not.

        >>> market = SyntheticMarket(bars=48)
        >>> market.coin("BTC/USDT").equals(market.bars()["BTC/USDT"]), market.coin("ETH/USDT").label
        (True, 'ETH/USDT 1h')
        """
        name = canonical_symbol(symbol)
        return self._bars(name, self._path(name, self._weather()))

    def expected_return(self, symbol: str) -> FloatArray:
        """Give, at each bar's close, the planted part of the next bar's log return (NaN at the last bar).

        It is what a forecaster who knows the generator would say; the regime's drift, about a tenth of it, is left out.
        """
        path = self._path(canonical_symbol(symbol), self._weather())
        return np.append(path.expected[1:], np.nan)

    def attainable_ic(self) -> float:
        """Correlation of the planted forecast with the next bar's log return, pooled over the coins' actual bars.

        Scatters around ``information_coefficient`` by about ``1 / sqrt(bars)``. NaN for fewer than 3 bars.

        >>> round(SyntheticMarket(bars=200_000).attainable_ic(), 2)
        0.05
        """
        if self.length < 3:
            return float("nan")
        weather = self._weather()
        paths = [self._path(symbol, weather) for symbol in self.symbols]
        forecast = np.concatenate([path.expected[1:] for path in paths])
        happened = np.concatenate([path.log_return[1:] for path in paths])
        if self.information_coefficient == 0:
            return 0.0
        return float(np.corrcoef(forecast, happened)[0, 1])

    def _stream(self, of: str, what: str) -> np.random.Generator:
        """Open the stream of random numbers of one quantity of one coin: longer draws only add to shorter ones."""
        key = [self.seed, zlib.crc32(of.encode()), zlib.crc32(what.encode())]
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))

    def _normal(self, of: str, what: str) -> FloatArray:
        return self._stream(of, what).standard_normal(self.length)

    def _shock(self, of: str) -> FloatArray:
        shock: FloatArray = self._stream(of, "shock").standard_t(_TAIL, self.length) * np.sqrt((_TAIL - 2) / _TAIL)
        return shock

    def _bars_in(self, hours: float) -> float:
        return hours * HOUR_MS / self.timeframe.ms

    def _weather(self) -> _Weather:
        regime = self._regimes()
        years = self.timeframe.ms / YEAR_MS
        log_volatility = _REGIME_LOG_VOLATILITY[regime]
        log_volatility += _SLOW * _ar1(self._normal("market", "slow"), self._bars_in(_SLOW_HOURS))
        return _Weather(_REGIME_DRIFT[regime] * years, log_volatility, self._shock("market"))

    def _regimes(self) -> IntArray:
        """Draw spells one after the other: a length from the state's exponential law, then one of the other states."""
        stream = self._stream("market", "regime")
        days = self.length * self.timeframe.ms / DAY_MS
        draws = stream.random((int(days / _REGIME_DAYS.min() * 1.5) + 64, 2))
        states = np.cumsum(1 + (draws[:, 0] < 0.5)) % len(_REGIME_DAYS)
        length = -np.log1p(-draws[:, 1]) * self._bars_in(24.0) * _REGIME_DAYS[states]
        ends = np.ceil(np.cumsum(length)).astype(np.int64)
        return states[np.searchsorted(ends, np.arange(self.length), side="right")]

    def _path(self, symbol: str, weather: _Weather) -> _Path:
        shock = np.sqrt(self.correlation) * weather.shock + np.sqrt(1 - self.correlation) * self._shock(symbol)
        flow = self._normal(symbol, "flow")
        log_volatility = weather.log_volatility + self._rhythm()
        log_volatility += _FAST * _ar1(self._normal(symbol, "fast"), self._bars_in(_FAST_HOURS))
        usual = self.annual_volatility * np.sqrt(self.timeframe.ms / YEAR_MS)
        volatility = usual * np.exp(log_volatility - _EXCESS)

        follows = np.where(weather.log_volatility < 0, 1.0, -1.0)
        signal = np.sqrt(0.5) * (_ar1(flow, _FLOW_BARS) + follows * _ar1(shock, _MOMENTUM_BARS))
        expected = np.zeros(self.length)
        expected[1:] = self.information_coefficient * signal[:-1] * volatility[1:]
        surprise = np.sqrt(1 - self.information_coefficient**2) * volatility * shock
        return _Path(weather.drift + expected + surprise, expected, volatility, log_volatility, shock, flow)

    def _rhythm(self) -> FloatArray:
        """Log volatility by the time of day: highest at 15:00 UTC, lowest at 03:00; flat for bars of a day or more."""
        if self.timeframe.ms >= DAY_MS:
            return np.zeros(self.length)
        day = np.arange(0, DAY_MS, self.timeframe.ms) + self.start_ms % DAY_MS
        return np.resize(0.2 * np.cos(2 * np.pi * (day / DAY_MS - 15 / 24)), self.length)

    def _bars(self, symbol: str, path: _Path) -> Bars:
        price, digits = _start_price(symbol)
        tick = 10.0**-digits
        log_close = np.cumsum(path.log_return)
        log_open = np.concatenate([[0.0], log_close[:-1]])
        log_open[1:] += 0.02 * path.volatility[1:] * self._normal(symbol, "gap")[1:]
        up, down = (self._bridge(symbol, side, log_close - log_open, path.volatility) for side in ("high", "low"))

        prices = {
            "open": price * np.exp(log_open),
            "high": price * np.exp(log_open + up),
            "low": price * np.exp(log_open - down),
            "close": price * np.exp(log_close),
        }
        rounded = {name: np.maximum(np.round(values, digits), tick) for name, values in prices.items()}
        volumes = self._volumes(symbol, path, (prices["high"] + prices["low"] + 2 * prices["close"]) / 4)
        open_time = self.start_ms + self.timeframe.ms * np.arange(self.length, dtype=np.int64)
        return Bars(symbol, self.timeframe, open_time, {**rounded, **volumes})

    def _bridge(self, symbol: str, side: str, move: FloatArray, volatility: FloatArray) -> FloatArray:
        """Draw how far above (or below) the open a Brownian path goes that ends at ``move``.

        Inverse of the exact law of the bridge's maximum: P(max > m) = exp(-2 m (m - move) / volatility^2).
        """
        toward = move if side == "high" else -move
        log_chance = np.log1p(-self._stream(symbol, side).random(self.length))
        distance: FloatArray = (toward + np.sqrt(toward**2 - 2 * volatility**2 * log_chance)) / 2
        return distance

    def _volumes(self, symbol: str, path: _Path, mean_price: FloatArray) -> dict[str, FloatArray]:
        mood = 0.4 * _ar1(self._normal(symbol, "mood"), self._bars_in(36.0)) + 0.3 * self._normal(symbol, "volume")
        activity = np.exp(1.2 * path.activity + 0.35 * np.abs(path.shock) + mood - 0.4)
        quote = _DAILY_TURNOVER * self.timeframe.ms / DAY_MS * activity
        volume = np.round(quote / mean_price, 5)
        share = 1 / (1 + np.exp(-0.25 * (path.flow + 0.5 * path.shock)))
        trades = np.rint(quote / _TRADE_NOTIONAL * np.exp(0.15 * self._normal(symbol, "trades")))
        return {
            "volume": volume,
            "quote_volume": np.round(volume * mean_price, 5),
            "trades": np.maximum(trades, 1.0),
            "taker_buy_base": np.minimum(np.round(volume * share, 5), volume),
        }


def _ar1(noise: FloatArray, half_life: float) -> FloatArray:
    """Run noise of variance 1 through a first-order recursion of variance 1 that starts in its stationary law."""
    from scipy.signal import lfilter

    keep = 0.5 ** (1 / half_life)
    gain = np.sqrt(1 - keep**2)
    filtered: tuple[FloatArray, Any] = lfilter([gain], [1.0, -keep], noise, zi=[noise[0] * (1 - gain)])
    return filtered[0]


def _start_price(symbol: str) -> tuple[float, int]:
    """Give the starting price and its digits after the point: coins of 2023 near their price, others by name."""
    base = symbol.split("/", maxsplit=1)[0]
    price = _START_PRICES.get(base) or 10.0 ** (zlib.crc32(base.encode()) % 5 - 2)
    return price, 6 - int(np.floor(np.log10(price)))
