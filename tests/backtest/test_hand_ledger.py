"""A slow loop written by hand agrees with the engine on every fill and cent."""

import random
from decimal import Decimal

import numpy as np
import pytest

from itb.backtest.prices import market_prices
from itb.backtest.run import Backtest
from itb.engine.venue import Venue
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.strategies.ml_threshold import MLThreshold


def draw(seed, bars, by_hand):
    """Costs, filters and settings from a seed, for the engine and for the hand."""
    rng = random.Random(seed)
    taker, maker = rng.choice([(0, 0), (10, 10), (7.5, 2)])
    slip, impact = rng.choice([(0, 0), (5, 0), (3, 40)])
    currency = rng.choice(["quote", "quote", "base", "BNB"])
    coarse = rng.random() < 0.3
    filtered = rng.random() < 0.6
    step, tick = ("0.1", "0.05") if coarse else ("0.00001", "0.01")
    minima = {"min_qty": step, "min_notional": rng.choice(["0", "5", "800"])}
    funding = {bar: rng.choice([1e-4, -2e-4]) for bar in range(0, len(bars), 8)} if rng.random() < 0.3 else {}
    prices = market_prices(bars, "worst_of", 0, None) if rng.random() < 0.3 else None
    start = rng.choice([0, 0, 57])
    stop_first = rng.random() < 0.7
    terms = by_hand.Terms(
        taker=taker * 1e-4,
        maker=maker * 1e-4,
        fee_currency=currency,
        slip=slip * 1e-4,
        impact=impact * 1e-4,
        step=step if filtered else None,
        tick=tick if filtered else None,
        stop_first=stop_first,
        buy_price=prices[0].tolist() if prices else None,
        sell_price=prices[1].tolist() if prices else None,
        funding=funding,
        start=start,
        **(minima if filtered else {}),
    )
    rules = {"tick": Decimal(tick), "step": Decimal(step)} | {name: Decimal(value) for name, value in minima.items()}
    venue = Venue(
        costs=Costs(taker, maker, currency, slip, 0.0, impact),
        instrument=Instrument("BTC/USDT", **rules) if filtered else None,
        first="stop" if stop_first else "target",
        buy_price=prices[0] if prices else None,
        sell_price=prices[1] if prices else None,
        funding=funding,
    )
    buy = rng.uniform(0.5, 0.8)
    settings = {
        "buy_threshold": buy,
        "sell_threshold": rng.uniform(0.2, buy - 0.05),
        "allow_short": currency != "base" and rng.random() < 0.4,
        "sizing": rng.choice(["percent_of_equity", "percent_of_equity", "fixed_notional", "volatility_target"]),
        "fraction": rng.choice([0.3, 0.95, 0.99]),
        "notional": rng.choice([900.0, 3000.0, 20_000.0]),
        "target_volatility": 0.2,
        "volatility_window": 20,
        "cushion": rng.choice([0.0, 0.005]),
        "stop_loss": rng.choice([0.0, 0.004, 0.02]),
        "take_profit": rng.choice([0.0, 0.005, 0.03]),
        "trailing_stop": rng.choice([0.0, 0.0, 0.006]),
        "max_bars": rng.choice([0, 0, 1, 7]),
        "cooldown_bars": rng.choice([0, 0, 1, 5]),
    }
    return terms, venue, settings, start


@pytest.mark.parametrize("chunk", range(10))
def test_the_engine_agrees_with_the_hand_on_every_fill_and_cent(chunk, by_hand, as_source):
    for seed in range(chunk * 30, chunk * 30 + 30):
        bars = by_hand.market(260, seed, missing=seed % 3 * 5)
        scores = by_hand.scores(len(bars), seed)
        terms, venue, settings, start = draw(seed, bars, by_hand)
        hand = by_hand.trade(bars, scores.tolist(), 10_000.0, terms, **settings)
        sparse = Backtest(MLThreshold, settings, 10_000.0, venue).run(
            bars, as_source(bars, scores), int(bars.open_time[start])
        )
        fills = [(f.bar, f.qty, f.price, f.fee, f.reason) for f in sparse.fills]
        context = f"seed {seed}: {settings} {terms}"
        assert [f[0] for f in fills] == [f[0] for f in hand.broker.fills], context
        assert [f[4] for f in fills] == [f[4] for f in hand.broker.fills], context
        for position in (1, 2, 3):
            ours, theirs = [f[position] for f in fills], [f[position] for f in hand.broker.fills]
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11, err_msg=context)
        np.testing.assert_allclose(sparse.equity, hand.equity, rtol=1e-11, err_msg=context)
        assert len(sparse.ambiguous) == hand.broker.unknown, context
        assert len(sparse.rejected) == hand.broker.refused, context


@pytest.mark.parametrize("chunk", range(5))
def test_sparse_dense_and_plain_stepping_give_the_same_bits(chunk, by_hand, as_source):
    for seed in range(1000 + chunk * 12, 1012 + chunk * 12):
        bars = by_hand.market(260, seed, missing=seed % 2 * 4)
        scores = by_hand.scores(len(bars), seed)
        _, venue, settings, start = draw(seed, bars, by_hand)
        results = [
            Backtest(MLThreshold, settings, 10_000.0, venue, stepping=stepping).run(
                bars, as_source(bars, scores), int(bars.open_time[start])
            )
            for stepping in ("sparse", "dense", "plain")
        ]
        assert [r.stepped for r in results] == ["sparse", "dense", "plain"]
        for other in results[1:]:
            assert other.fills == results[0].fills
            assert other.orders == results[0].orders
            assert other.rejected == results[0].rejected
            for name in ("cash", "position", "equity"):
                assert np.array_equal(getattr(other, name), getattr(results[0], name)), (seed, name)


def test_the_drawn_cases_reach_what_they_should(by_hand, as_source):
    ambiguous = rejected = 0
    reasons = set()
    for seed in range(120):
        bars = by_hand.market(260, seed, missing=seed % 3 * 5)
        _, venue, settings, start = draw(seed, bars, by_hand)
        scores = as_source(bars, by_hand.scores(len(bars), seed))
        result = Backtest(MLThreshold, settings, 10_000.0, venue).run(bars, scores, int(bars.open_time[start]))
        ambiguous += len(result.ambiguous)
        rejected += len(result.rejected)
        reasons |= {fill.reason for fill in result.fills}
    assert ambiguous > 20
    assert rejected > 100
    assert reasons == {"entry", "signal", "stop", "target", "trailing", "time", "funding"}
