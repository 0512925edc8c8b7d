"""Random markets, scores, venues and settings on which the sweep and backtrader must agree."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest

from itb.engine.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.optimize.sweep import Sweep
from itb.strategies.ml_threshold import ThresholdSettings

START = 1_672_531_200_000
HOUR = 3_600_000


def market(rng, n=1500):
    """Bars with jumps between close and open, wide ranges and sometimes missing bars or long pauses of the price."""
    vol = rng.choice([1e-3, 4e-3, 1.5e-2])
    close = 100 * np.exp(np.cumsum(rng.standard_t(4, n) * vol))
    if rng.random() < 0.2:
        close = np.repeat(close[::5], 5)[:n]
    open_ = np.r_[close[0], close[:-1]] * np.exp(rng.normal(0, vol * rng.choice([0, 0.3, 1]), n))
    wick = rng.choice([0.2, 1.0])
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, vol * wick, n)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, vol * wick, n)))
    digits = int(rng.choice([1, 2, 4]))
    columns = {"open": open_, "high": high, "low": low, "close": close}
    columns = {name: np.maximum(np.round(values, digits), 10.0**-digits) for name, values in columns.items()}
    columns["volume"] = rng.gamma(2.0, 50.0, n)
    keep = np.sort(rng.choice(n, n - int(rng.choice([0, 30])), replace=False))
    columns = {name: values[keep] for name, values in columns.items()}
    return Bars.of("BTC/USDT", "1h", (START + HOUR * np.arange(n))[keep], **columns), digits


def wavering(rng, n):
    """Scores that stay a while on one side, some of them NaN."""
    x, keep = np.zeros(n), rng.choice([0.0, 0.8, 0.97])
    for i in range(1, n):
        x[i] = keep * x[i - 1] + rng.normal()
    scores = x / x.std()
    scores[rng.random(n) < rng.choice([0.0, 0.05])] = np.nan
    return scores


@dataclass
class Case:
    sweep: Sweep
    settings: ThresholdSettings


@pytest.fixture
def random_case():
    """Draw a market, a venue and settings that the sweep is meant to take; ``fixed`` settings are not drawn."""
    return draw_case


def draw_case(seed, bars=700, **fixed):
    rng = np.random.default_rng([seed, 77])
    bars, digits = market(rng, bars)
    free = rng.random() < 0.2
    costs = Costs(
        taker_fee_bps=0.0 if free else rng.uniform(0, 20),
        maker_fee_bps=0.0 if free else rng.uniform(0, 20),
        slippage_bps=0.0 if free else float(rng.choice([0.0, 5.0, 40.0])),
        spread_bps=float(rng.choice([0.0, 1.3])),
        fee_currency=str(rng.choice(["quote", "quote", "BNB"])),
    )
    rules = Instrument(
        "BTC/USDT",
        tick=Decimal(1).scaleb(-digits) * int(rng.choice([1, 1, 5])),
        step=Decimal(str(rng.choice(["0.00001", "0.001", "0.25", "1"]))),
        min_notional=Decimal(5),
    )
    prices = {}
    protects = rng.random() < 0.7
    if not protects and rng.random() < 0.3:
        prices = {"buy_price": np.maximum(bars.open, bars.close), "sell_price": np.minimum(bars.open, bars.close)}
    venue = Venue(costs=costs, instrument=None if rng.random() < 0.3 else rules, **prices)
    buy = rng.uniform(-0.5, 2.0)
    settings = {
        "buy_threshold": buy,
        "sell_threshold": buy - rng.uniform(0.05, 3.0),
        "allow_short": bool(rng.random() < 0.5),
        "sizing": str(rng.choice(["percent_of_equity", "fixed_notional", "volatility_target"])),
        "fraction": rng.uniform(0.05, 0.9),
        "notional": rng.uniform(50, 3000),
        "target_volatility": rng.uniform(0.1, 1.0),
        "volatility_window": int(rng.integers(2, 100)),
        "cushion": rng.uniform(0, 0.05),
        "stop_loss": float(rng.choice([0.0, 0.003, 0.01, 0.05])) if protects else 0.0,
        "take_profit": float(rng.choice([0.0, 0.004, 0.02, 0.08])) if protects else 0.0,
    }
    scores, start = wavering(rng, len(bars)), int(rng.integers(0, 150))
    return Case(Sweep(bars, scores, start, venue, cash=10_000.0), ThresholdSettings(**settings | fixed))
