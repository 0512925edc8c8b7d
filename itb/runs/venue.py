"""From a config to the simulated venue that a backtest trades on."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from itb.backtest.prices import FinerBars, funding_by_bar, market_prices
from itb.engine.venue import Venue
from itb.runs.funding import read_funding

if TYPE_CHECKING:
    from itb.config import Config
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument
    from itb.runs.market import Market

_LOOKED_AT = 5000  # closes that tell the tick
_FINEST_TICK = 10  # decimals


def build_venue(config: Config, market: Market) -> Venue:
    """Build the venue of one market: costs, filters, fill prices, funding, finer bars."""
    bars, section = market.bars, config.backtest
    rates = read_funding(config, market)
    prices = market_prices(bars, section.fill_price, round(section.fill_delay_s * 1000), market.finer)
    return Venue(
        costs=config.costs,
        instrument=instrument(config, bars),
        first="stop" if section.intrabar == "stop_first" else "target",
        settle=None if market.finer is None else FinerBars(bars, market.finer),
        buy_price=None if prices is None else prices[0],
        sell_price=None if prices is None else prices[1],
        fills_late=section.fill_delay_s > 0,
        funding={} if rates is None else funding_by_bar(bars, rates.times, rates.rates),
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
