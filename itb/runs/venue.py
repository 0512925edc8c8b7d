"""From a config to the simulated venue that a backtest trades on."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.prices import FinerBars, funding_by_bar, market_prices
from itb.engine.venue import Venue
from itb.errors import ConfigError

if TYPE_CHECKING:
    from itb.config import Config
    from itb.market.bars import Bars, FloatArray, IntArray
    from itb.market.instrument import Instrument
    from itb.runs.market import Market

_LOOKED_AT = 5000  # closes that tell the tick
_FINEST_TICK = 10  # decimals


def build_venue(config: Config, market: Market) -> Venue:
    """Build the venue of one market: costs, filters, fill prices, funding, finer bars."""
    bars, section = market.bars, config.backtest
    prices = market_prices(bars, section.fill_price, round(section.fill_delay_s * 1000), market.finer)
    return Venue(
        costs=config.costs,
        instrument=instrument(config, bars),
        first="stop" if section.intrabar == "stop_first" else "target",
        settle=None if market.finer is None else FinerBars(bars, market.finer),
        buy_price=None if prices is None else prices[0],
        sell_price=None if prices is None else prices[1],
        fills_late=section.fill_delay_s > 0,
        funding=funding_by_bar(bars, *_read_funding(config)) if section.funding else {},
    )


def instrument(config: Config, bars: Bars) -> Instrument:
    """Give the venue's rounding rules; without ``instrument.tick`` the bars' own prices tell the tick."""
    rules = config.instrument.instrument(bars.symbol)
    if "tick" in config.instrument.model_fields_set:
        return rules
    return dataclasses.replace(rules, tick=seen_tick(bars))


def seen_tick(bars: Bars) -> Decimal:
    """Find the coarsest power of ten that the last closes are multiples of.

    >>> from itb.market.bars import Bars
    >>> prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [0.0712, 0.071])
    >>> seen_tick(Bars.of("DOGE/USDT", "1m", [0, 60_000], **prices))
    Decimal('0.0001')
    """
    closes = bars.tail(_LOOKED_AT).close
    digits = next(
        (digits for digits in range(_FINEST_TICK) if np.allclose(closes, np.round(closes, digits), rtol=1e-12, atol=0)),
        _FINEST_TICK,
    )
    return Decimal(1).scaleb(-digits)


def _read_funding(config: Config) -> tuple[IntArray, FloatArray]:
    """Read settlement times (UTC milliseconds, in order) and rates."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet as pq

    assert config.backtest.funding is not None
    path = config.locate(Path(config.backtest.funding))
    key = ("backtest", "funding")
    if len(config.data.symbols) > 1:
        count = len(config.data.symbols)
        told = f"{path} holds the rates of one perpetual, but data.symbols names {count}: run one at a time"
        raise ConfigError(config.complaint(key, told))
    try:
        table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(config.complaint(key, f"{path} cannot be read: {error}")) from None
    absent = [name for name in ("timestamp", "funding_rate") if name not in table.column_names]
    if absent:
        found = ", ".join(table.column_names)
        raise ConfigError(config.complaint(key, f"{path} has no column {absent[0]!r}; it has {found}"))
    try:
        stamps = pc.cast(table["timestamp"], pa.timestamp("ms", "UTC"))
        times = pc.cast(stamps, pa.int64()).to_numpy()
        rates = pc.cast(table["funding_rate"], pa.float64()).to_numpy()
    except pa.ArrowException as error:
        expected = "expected times (ISO, or milliseconds UTC) and rates as fractions"
        raise ConfigError(config.complaint(key, f"{path} cannot be understood: {error}; {expected}")) from None
    if stamps.null_count or not np.isfinite(rates).all():
        raise ConfigError(config.complaint(key, f"{path} has a row without a time or without a finite rate"))
    order = np.argsort(times, kind="stable")
    return times[order], rates[order]
