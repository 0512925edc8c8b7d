"""Where an exchange's public archive keeps the bars of a month or a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from itb.errors import ConfigError, GatewayError
from itb.market.timeframe import Timeframe

_TIMEFRAMES = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w")


class Period(NamedTuple):
    """A calendar month (``2024-01``) or day (``2024-01-15``) of UTC: one file of an archive."""

    name: str
    start_ms: int
    stop_ms: int

    @property
    def is_month(self) -> bool:
        return len(self.name) == 7

    def days(self) -> list[Period]:
        """Give the days of a month.

        >>> days = next(periods("month", 0, 1)).days()
        >>> len(days), days[-1].name
        (31, '1970-01-31')
        """
        return list(periods("day", self.start_ms, self.stop_ms))


def periods(unit: Literal["month", "day"], since_ms: int, stop_ms: int) -> Iterator[Period]:
    """Give the months or days that touch ``[since_ms, stop_ms)``, oldest first.

    >>> [period.name for period in periods("month", 0, 2_678_400_001)]
    ['1970-01', '1970-02']
    """
    code = "M" if unit == "month" else "D"
    at = np.datetime64(since_ms, "ms").astype(f"datetime64[{code}]")
    while (start_ms := _ms(at)) < stop_ms:
        yield Period(str(at), start_ms, _ms(at + 1))
        at += 1


def _ms(at: np.datetime64) -> int:
    return int(at.astype("datetime64[ms]").astype(np.int64))


@dataclass(frozen=True)
class BinanceLayout:
    """Zip files of one CSV each beside a ``.CHECKSUM`` file; spot and futures, by month and by day.

    >>> layout = BinanceLayout("https://data.binance.vision")
    >>> january = next(periods("month", 0, 1))
    >>> layout.url("BTC/USDT:USDT", Timeframe.parse("1h"), january)
    'https://data.binance.vision/data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-1970-01.zip'
    """

    base_url: str

    def url(self, symbol: str, timeframe: Timeframe, period: Period) -> str:
        """Give the address of a period's zip file; raises :class:`GatewayError` for a timeframe that is not kept."""
        if str(timeframe) not in _TIMEFRAMES:
            raise GatewayError(f"the archive keeps no {timeframe} bars, only {', '.join(_TIMEFRAMES)}")
        pair, _, settle = symbol.partition(":")
        base, quote = pair.split("/")
        market = "spot" if not settle else "futures/um" if settle == quote else "futures/cm"
        name = f"{base}{quote}_PERP" if market == "futures/cm" else f"{base}{quote}"
        every = "monthly" if period.is_month else "daily"
        folder = f"{self.base_url.rstrip('/')}/data/{market}/{every}/klines/{name}/{timeframe}"
        return f"{folder}/{name}-{timeframe}-{period.name}.zip"


ARCHIVES = {
    "binance": BinanceLayout("https://data.binance.vision"),
    "binanceusdm": BinanceLayout("https://data.binance.vision"),
    "binancecoinm": BinanceLayout("https://data.binance.vision"),
}


def layout_of(exchange: str, base_url: str | None = None) -> BinanceLayout:
    """Give the archive of an exchange, at ``base_url`` if it has moved or is mirrored."""
    layout = ARCHIVES.get(exchange.strip().lower())
    if layout is None:
        raise ConfigError(
            f"exchange {exchange!r} has no archive that itb can read; those of {', '.join(ARCHIVES)} it can. "
            "Leave --archive out to ask the exchange itself"
        )
    return layout if base_url is None else BinanceLayout(base_url)
