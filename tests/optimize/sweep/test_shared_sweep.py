"""The sweep on a shared account is what backtrader does with the same symbols, to 1e-9, or says why it is not."""

import math
import random
from decimal import Decimal

import numpy as np
import pytest

from itb.engine.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.optimize.shared_sweep import SharedSweep, confirm_shared
from itb.optimize.sweep import Sweep
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import ThresholdSettings
from itb.strategies.protections import Cooldown

START = 1_672_531_200_000


def market(rng, name, length=220):
    close = 100 * np.exp(np.cumsum(rng.standard_t(4, length) * 4e-3))
    opened = np.r_[close[0], close[:-1]] * np.exp(rng.normal(0, 2e-3, length))
    high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 3e-3, length)))
    low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 3e-3, length)))
    keep = rng.random(length) > rng.choice([0.0, 0.0, 0.06])
    keep[: rng.choice([0, 0, 50])] = False
    prices = {"open": opened, "high": high, "low": low, "close": close}
    columns = {key: np.round(values[keep], 2) for key, values in prices.items()}
    times = (START + 3_600_000 * np.arange(length))[keep]
    return Bars.of(name, "1h", times, **columns, volume=np.full(len(times), 50.0))


def wavering(rng, length):
    state, values = 0.0, np.empty(length)
    for bar, shock in enumerate(rng.normal(size=length).tolist()):
        state = 0.8 * state + shock
        values[bar] = 1 / (1 + math.exp(-state))
    values[rng.random(length) < 0.05] = np.nan
    return values


def draw(seed):
    rng, pick = np.random.default_rng(seed), random.Random(seed)
    count = pick.choice([2, 3, 4])
    currency = pick.choice(["quote", "quote", "BNB"])
    filtered = pick.random() < 0.5
    markets = [market(rng, f"C{place}/USDT") for place in range(count)]
    start = START + pick.choice([0, 40]) * 3_600_000
    sweeps = []
    for bars in markets:
        rules = {"tick": Decimal("0.01"), "step": Decimal("0.001"), "min_qty": Decimal("0.001")}
        instrument = Instrument(bars.symbol, **rules, min_notional=Decimal(5)) if filtered else None
        venue = Venue(Costs(10, 4, currency, slippage_bps=pick.choice([0.0, 5.0])), instrument)
        score, first = wavering(rng, len(bars)), int(np.searchsorted(bars.open_time, start))
        sweeps.append(Sweep(bars, score, min(first, len(bars) - 1), venue, score_range=(0.0, 1.0)))
    buy = pick.uniform(0.55, 0.8)
    settings = ThresholdSettings(
        buy_threshold=buy,
        sell_threshold=pick.uniform(0.2, buy - 0.05),
        allow_short=pick.random() < 0.4,
        sizing=pick.choice(["percent_of_equity", "percent_of_equity", "fixed_notional", "volatility_target"]),
        fraction=pick.choice([0.3, 0.95, 0.99]),
        notional=pick.choice([900.0, 3000.0]),
        volatility_window=20,
        cushion=pick.choice([0.005, 0.02]),
        stop_loss=pick.choice([0.0, 0.006, 0.02]),
        take_profit=pick.choice([0.0, 0.008, 0.03]),
    )
    allocation = Allocation(pick.choice([0, 0, 0, 2]), pick.choice([0.0, 0.0, 0.5, 0.9]))
    return SharedSweep(tuple(sweeps), 10_000.0, allocation), settings


@pytest.mark.parametrize("chunk", [*range(2), *(pytest.param(c, marks=pytest.mark.soak) for c in range(2, 60))])
def test_the_sweep_is_what_backtrader_does_or_is_left_to_it(chunk):
    exact = fills = 0
    for seed in range(chunk * 25, chunk * 25 + 25):
        sweep, settings = draw(seed)
        found = confirm_shared(sweep, settings)
        swept = found.screened
        assert found.agrees, (seed, found.difference, settings)
        exact += swept.source == "vectorbt"
        fills += sum(map(len, swept.fills.values())) if swept.source == "vectorbt" else 0
    assert exact >= 5
    assert fills > 150


def test_every_figure_is_that_of_the_backtest():
    names = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "fees", "slippage", "turnover", "exposure")
    compared = 0
    for seed in range(12):
        sweep, settings = draw(seed)
        swept = sweep.run(settings, names)
        if swept.source == "vectorbt":
            compared += 1
            np.testing.assert_allclose(
                [swept.metrics[name] for name in names],
                [sweep.confirm(settings, names).metrics[name] for name in names],
                rtol=1e-9,
                atol=1e-9,
            )
    assert compared >= 3


def test_what_cannot_be_exact_is_refused_with_its_cause():
    causes = {}
    for seed in range(60):
        sweep, settings = draw(seed)
        refused = sweep.run(settings, ()).refused
        if refused is not None:
            causes.setdefault(refused.cause, refused.text)
    assert set(causes) == {"max_open_trades", "no quantity", "unpaid entry", "ends early"}
    assert causes["max_open_trades"].endswith("asks for more than 2 positions")
    sweep, settings = draw(0)
    cooled = SharedSweep(tuple(Sweep(one.bars, one.score, protections=(Cooldown(2),)) for one in sweep.sweeps))
    result = cooled.run(settings, ("trades",))
    assert (result.source, result.refused.cause) == ("backtrader", "protections")
    assert cooled.causes == {"protections": 1}


def test_an_unknown_figure_is_refused():
    sweep, settings = draw(0)
    with pytest.raises(ValueError, match="metrics has no 'luck'"):
        sweep.run(settings, ("luck",))
