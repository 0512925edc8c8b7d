"""The strategy that itb runs is a plain backtrader strategy: on the stock engine it does the same, bit for bit."""

from collections import Counter

import backtrader as bt
import numpy as np
import pytest

from itb.backtest.run import Backtest, TradedMarket
from itb.engine.feed import BarsFeed
from itb.engine.venue import Venue
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.protections import Cooldown, LowProfitSymbol, MaxDrawdown, StopLossGuard

CASES = [
    {},
    {"stop_loss": 0.01},
    {"stop_loss": 0.008, "take_profit": 0.01},
    {"allow_short": True},
    {"allow_short": True, "take_profit": 0.01, "max_bars": 6, "cooldown_bars": 3},
    {"stop_loss": 0.02, "trailing_stop": 0.006},
    {"sizing": "volatility_target", "volatility_window": 20},
    {"stop_loss": 0.01, "protections": (Cooldown(4), StopLossGuard(60, 2, 20), LowProfitSymbol(40, 2, 15))},
    {"allow_short": True, "stop_loss": 0.02, "protections": (MaxDrawdown(80, 2, 25, 0.01),)},
]


class Fills(bt.Analyzer):
    """What backtrader itself says was filled."""

    def start(self):
        self.rets = []
        self.values = []

    def notify_order(self, order):
        bits = order.executed.iterpending()
        self.rets.extend((len(order.data) - 1, bit.size, bit.price, bit.comm) for bit in bits)

    def notify_cashvalue(self, cash, value):
        self.values.append((cash, value))


class Perpetual(bt.CommInfoBase):
    """Stock backtrader's own way to charge for holding, at the opens where funding is settled."""

    params = (("stocklike", True), ("commtype", bt.CommInfoBase.COMM_PERC), ("percabs", True), ("rates", None))

    def get_credit_interest(self, data, pos, dt0):
        bar = len(data) - 1
        is_new = bar != self.__dict__.get("settled")
        self.__dict__["settled"] = bar
        return self.p.rates.get(bar, 0.0) * pos.size * data.open[0] if is_new else 0.0


def stock_run(markets, settings, fee, slip, funding=()):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(10_000.0)
    cerebro.broker.setcommission(fee)
    cerebro.broker.set_checksubmit(False)
    if slip:
        cerebro.broker.set_slippage_perc(slip, slip_out=True)
    for bars, scores in markets:
        cerebro.adddata(BarsFeed(bars=bars, scores=scores))
    for data, rates in zip(cerebro.datas, funding, strict=False):
        cerebro.broker.addcommissioninfo(Perpetual(commission=fee, rates=rates), name=data._name)
    cerebro.addstrategy(MLThreshold, **settings)
    cerebro.addanalyzer(Fills, _name="fills")
    return cerebro.run()[0].analyzers.fills


@pytest.mark.parametrize("case", range(len(CASES)))
def test_stock_backtrader_fills_the_same_orders_at_the_same_prices(case, by_hand, as_source):
    for seed in range(12):
        bars = by_hand.market(300, seed + 50 * case)
        scores = as_source(bars, by_hand.scores(len(bars), seed))
        settings = {"buy_threshold": 0.65, "sell_threshold": 0.4, "protection_from": "next_bar"} | CASES[case]
        slip_bps = 0 if "take_profit" in settings else seed % 2 * 5  # the stock broker slips limit orders too
        stock = stock_run([(bars, scores)], settings, 0.001, slip_bps * 1e-4)
        venue = Venue(costs=Costs(10, 10, slippage_bps=slip_bps))
        ours = Backtest(MLThreshold, settings, 10_000.0, venue).run(bars, scores)
        assert ours.stepped == "sparse"
        assert [(f.bar, f.qty, f.price, f.fee) for f in ours.fills] == stock.rets
        assert ours.cash.tolist() == [cash for cash, _ in stock.values]
        assert ours.equity.tolist() == [value for _, value in stock.values]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_stock_backtrader_trades_several_symbols_on_one_account_the_same(case, by_hand, as_source):
    """To the last bit; stops and targets, which itb fills after all market orders, to rounding."""
    compared = 0
    for seed in range(3):
        settings = {"buy_threshold": 0.65, "sell_threshold": 0.4, "protection_from": "next_bar"} | CASES[case]
        settings["allocation"] = Allocation(max_open_trades=seed)
        legs = {"stop_loss", "take_profit"} & set(settings)
        markets = []
        for place in range(3):
            # Where a feed has a gap, the stock broker tries a stop on the bar that the feed has left behind.
            bars = by_hand.market(200, seed + 50 * case + 9 * place, missing=0 if legs else 12 * place)
            bars = Bars.of(f"C{place}/USDT", "1h", bars.open_time, **bars.columns)
            markets.append((bars, as_source(bars, by_hand.scores(len(bars), seed + 7 * place))))
        stock = stock_run(markets, settings, 0.001, 0.0)
        venue = Venue(costs=Costs(10, 10, slippage_bps=0))
        traded = [TradedMarket(bars, scores) for bars, scores in markets]
        ours = Backtest(MLThreshold, settings, 10_000.0, venue).run_shared(traded)
        assert ours.stepped == "sparse"
        if ours.rejected:  # the stock broker opens shorts that nothing backs
            continue
        compared += len(ours.fills)
        fills = [(f.bar, f.qty, f.price, f.fee) for f in ours.fills]
        if legs:
            np.testing.assert_allclose(sorted(fills), sorted(stock.rets), rtol=1e-9)
            np.testing.assert_allclose(ours.equity, [value for _, value in stock.values], rtol=1e-9)
        else:
            assert fills == stock.rets
            assert ours.cash.tolist() == [cash for cash, _ in stock.values]
            assert ours.equity.tolist() == [value for _, value in stock.values]
    assert compared > 40


@pytest.mark.parametrize("stepping", ["plain", "dense", "sparse"])
def test_several_perpetuals_pay_their_own_funding_as_stock_backtrader_charges_for_holding(stepping, by_hand, as_source):
    paid = Counter()
    for seed in range(4):
        settings = {"buy_threshold": 0.65, "sell_threshold": 0.4, "fraction": 0.9, "allocation": Allocation(2)}
        settings |= {"allow_short": bool(seed % 2), "max_bars": 30}
        markets, funding = [], []
        rng = np.random.default_rng(seed)
        for place in range(3):
            bars = by_hand.market(200, seed + 9 * place, missing=10 * place)
            bars = Bars.of(f"C{place}/USDT:USDT", "1h", bars.open_time, **bars.columns)
            markets.append((bars, as_source(bars, by_hand.scores(len(bars), seed + 7 * place))))
            every = 4 * (place + 1)
            funding.append({bar: float(rng.normal(0, 1e-3)) for bar in range(place, len(bars), every)})
        stock = stock_run(markets, settings, 0.001, 0.0, funding)
        costs = Costs(10, 10, slippage_bps=0)
        traded = [
            TradedMarket(bars, scores, Venue(costs, funding=rates))
            for (bars, scores), rates in zip(markets, funding, strict=True)
        ]
        ours = Backtest(MLThreshold, settings, 10_000.0, Venue(costs), stepping).run_shared(traded)
        assert ours.stepped == stepping
        if ours.rejected:  # the stock broker opens shorts that nothing backs
            continue
        fills = [(f.bar, f.qty, f.price) for f in ours.fills if f.reason != "funding"]
        np.testing.assert_allclose(fills, [fill[:3] for fill in stock.rets], rtol=1e-12)  # fees there hold funding, too
        np.testing.assert_allclose(ours.equity, [value for _, value in stock.values], rtol=1e-12)
        paid += Counter(fill.symbol for fill in ours.fills if fill.reason == "funding")
    assert len(paid) == 3
    assert min(paid.values()) > 10
