"""Several feeds on one raster: every way through them tells a strategy what stock backtrader tells it, bit for bit."""

import datetime as dt
import random

import backtrader as bt
import numpy as np
import pytest

from itb.engine.broker import LeanBroker
from itb.engine.cerebro import Cerebro
from itb.engine.feed import BarsFeed
from itb.engine.several import OrdersAhead, raster_of
from itb.engine.venue_broker import VenueBroker
from itb.market.bars import Bars
from itb.market.raster import Clock, Raster

SEEDS_A_TEST = 12


def with_gaps(bars, rng, name):
    """The same bars with runs of them missing, perhaps listed late or gone early."""
    keep = np.ones(len(bars), dtype=bool)
    for _ in range(rng.randrange(4)):
        start = rng.randrange(len(bars))
        keep[start : start + rng.choice([1, 1, 2, 30])] = False
    if rng.random() < 0.3:
        keep[: rng.randrange(1, len(bars) // 2)] = False
    if rng.random() < 0.3:
        keep[-rng.randrange(1, len(bars) // 2) :] = False
    columns = {column: values[keep] for column, values in bars.columns.items()}
    return Bars.of(name, bars.timeframe, bars.open_time[keep], **columns)


def markets_of(erratic, seed, length=260):
    rng = random.Random(seed)
    count = rng.choice([2, 2, 3, 4])
    return [with_gaps(erratic.walk(length, seed * 10 + place), rng, f"C{place}/USDT") for place in range(count)]


class Wild(bt.Strategy):
    """Sends every kind of order in any of its feeds at steps drawn in advance, and writes down all it is told."""

    params = (("acts", None), ("raster", None))

    def __init__(self):
        self.averages = [bt.indicators.SMA(data.close, period=5) for data in self.datas]
        self.bands = [bt.indicators.BollingerBands(data, period=4) for data in self.datas]
        self.above = [data.close > average for data, average in zip(self.datas, self.averages, strict=True)]
        self.seen, self.told, self.sent, self.first, self.calls = [], [], [], None, []

    def notify_order(self, order):
        if self.first is None:
            self.first = order.ref
        done = order.executed
        where = (len(self), order.data._name, len(order.data), order.ref - self.first)
        self.told.append((*where, order.status, done.size, done.price, done.comm, done.pnl, done.psize, done.dt))

    def notify_trade(self, trade):
        self.told.append((len(self), trade.data._name, trade.status, trade.size, trade.pnlcomm, trade.barlen))

    def nextstart(self):
        self.calls.append(len(self))
        self.next()

    def next(self):
        act = self.p.acts.get(len(self) - 1)
        if act is None:
            return
        rng = random.Random(act)
        for data, average, band, above in zip(self.datas, self.averages, self.bands, self.above, strict=True):
            held = self.getposition(data)
            now = (data.datetime[0], data.close[0], data.close[-1], len(data), self.datetime[0], held.size, held.price)
            self.seen.append((len(self), *now, average[0], band.top[0], above[0], len(average)))
        self.seen.append((self.broker.getvalue(), self.broker.getcash(), self.broker.getvalue(self.datas[-1:])))
        for _ in range(rng.choice([1, 1, 3])):
            self.act(rng, rng.choice(self.datas))

    def act(self, rng, data):
        close, kind = data.close[0], rng.randrange(11)
        size, off = round(rng.uniform(0.1, 8.0), 6), rng.uniform(0.0005, 0.02)
        valid = rng.choice([None, None, dt.timedelta(minutes=rng.randrange(1, 300))])
        up = rng.choice([1, -1])
        send = self.buy if up > 0 else self.sell
        if kind <= 2:
            self.sent.append(send(data=data, size=size))
        elif kind == 3:
            self.close(data=data)
        elif kind == 4:
            price = close * (1 + up * off)
            self.sent.append(send(data=data, size=size, exectype=bt.Order.Stop, price=price, valid=valid))
        elif kind == 5:
            price = close * (1 - up * off)
            self.sent.append(send(data=data, size=size, exectype=bt.Order.Limit, price=price, valid=valid))
        elif kind == 6:
            prices = {"price": close * (1 + up * off), "plimit": close * (1 + up * off * rng.choice([0.5, 1, 1.5]))}
            self.sent.append(send(data=data, size=size, exectype=bt.Order.StopLimit, valid=valid, **prices))
        elif kind == 7:
            bracket = self.buy_bracket if up > 0 else self.sell_bracket
            prices = {"price": close * (1 - up * off / 4), "stopprice": close * (1 - up * off)}
            bracket(data=data, size=size, limitprice=close * (1 + up * off * 2), **prices)
        elif kind == 8:
            first = send(data=data, size=size, exectype=bt.Order.Stop, price=close * (1 + up * off))
            other = rng.choice(self.datas)
            send(data=other, size=size, exectype=bt.Order.Limit, price=other.close[0] * (1 - up * off), oco=first)
        elif kind == 9:
            for order in self.sent[-3:]:
                self.cancel(order)
        else:
            trail = rng.random() < 0.5
            kwargs = {"exectype": bt.Order.StopTrail, "trailpercent": off} if trail else {"exectype": bt.Order.Close}
            self.sent.append(send(data=data, size=size, **kwargs))


class SparseWild(Wild):
    """The same, and it says where it acts."""

    def prepare_steps(self, _raster):
        self.at = np.array(sorted(self.p.acts), dtype=np.int64)

    def next_step(self, step):
        k = self.at.searchsorted(step, "right")
        return int(self.at[k]) if k < len(self.at) else 1 << 60


def run(cerebro, broker, strategy, markets, seed, acts, set_up):
    cerebro.broker = broker
    set_up(cerebro.broker, seed)
    for bars in markets:
        cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(strategy, acts=acts)
    strategy = cerebro.run()[0]
    account = (cerebro.broker.getvalue(), cerebro.broker.getcash())
    return cerebro, (strategy.calls, strategy.seen, strategy.told, account)


@pytest.mark.parametrize("chunk", [*range(3), *(pytest.param(c, marks=pytest.mark.soak) for c in range(3, 100))])
def test_sparse_and_dense_stepping_equal_plain_backtrader(chunk, erratic):
    told = 0
    for seed in range(chunk * SEEDS_A_TEST, (chunk + 1) * SEEDS_A_TEST):
        markets = markets_of(erratic, seed)
        acts = erratic.random_acts(260, seed)
        args = (markets, seed, acts, erratic.set_up_broker)
        _, stock = run(bt.Cerebro(stdstats=False), bt.brokers.BackBroker(), Wild, *args)
        sparse, ours = run(Cerebro(), LeanBroker(), SparseWild, *args)
        assert sparse.stepped == "sparse"
        assert ours == stock, seed
        dense, ours = run(Cerebro(), LeanBroker(), Wild, *args)
        assert dense.stepped == "dense"
        assert ours == stock, seed
        told += len(stock[2])
    assert told > 200


def test_the_venue_broker_is_stepped_alike_in_every_way(erratic):
    for seed in range(10):
        markets = markets_of(erratic, seed)
        args = (markets, seed, erratic.random_acts(260, seed), lambda broker, _seed: broker.setcash(1e6))
        steppings = ("plain", "dense", "sparse", "blind")
        runs = [run(Cerebro(stepping=name), VenueBroker(), SparseWild, *args) for name in steppings]
        assert [cerebro.stepped for cerebro, _ in runs] == list(steppings)
        for _, other in runs[1:]:
            assert other == runs[0][1], seed


def test_most_steps_of_a_quiet_strategy_are_not_visited(erratic):
    markets = [erratic.walk(5000, seed) for seed in (1, 2, 3)]
    cerebro, _ = run(Cerebro(), LeanBroker(), SparseWild, markets, 1, {100: 0.1, 4000: 0.2}, erratic.set_up_broker)
    assert cerebro.visited < 100


def test_a_feed_whose_bars_do_not_follow_each_other_takes_the_plain_loop(erratic):
    class Twice(BarsFeed):
        def preload(self):
            super().preload()
            self.lines.datetime.array[7] = self.lines.datetime.array[6]

    cerebro = Cerebro()
    cerebro.adddata(BarsFeed(bars=erratic.walk(50, 1)))
    cerebro.adddata(Twice(bars=erratic.walk(50, 2)))
    cerebro.broker = LeanBroker()
    cerebro.addstrategy(bt.Strategy)
    cerebro.run()
    assert cerebro.stepped == "plain"
    assert "do not follow each other" in cerebro.why_not_sparse


def test_an_order_of_a_feed_with_a_gap_waits_for_its_next_bar(erratic):
    whole, holed = erratic.walk(30, 1), erratic.walk(30, 2)
    keep = np.r_[0:11, 20:30]
    columns = {name: values[keep] for name, values in holed.columns.items()}
    markets = [whole, Bars.of("ETH/USDT", "1m", holed.open_time[keep], **columns)]

    class Once(bt.Strategy):
        def next(self):
            if len(self) == 11:
                self.buy(data=self.datas[1], size=1)
                self.buy(data=self.datas[1], size=1, exectype=bt.Order.Limit, price=self.datas[1].high[0])

    for stepping in ("plain", "dense", "blind"):
        cerebro = Cerebro(stepping=stepping)
        cerebro.broker = broker = VenueBroker()
        cerebro.broker.setcash(1e6)
        for bars in markets:
            cerebro.adddata(BarsFeed(bars=bars))
        cerebro.addstrategy(Once)
        cerebro.run()
        assert [(fill.symbol, fill.bar, fill.market_price) for fill in broker.log[:1]] == [
            ("ETH/USDT", 11, markets[1].open[11])
        ]
        assert all(fill.bar >= 11 for fill in broker.log)


def test_next_runs_from_the_first_step_of_trading_on(erratic):
    class Counting(bt.Strategy):
        def next(self):
            self.first = getattr(self, "first", len(self))

    for stepping in ("plain", "dense", "blind"):
        cerebro = Cerebro(trading_start=40, stepping=stepping)
        for seed in (1, 2):
            cerebro.adddata(BarsFeed(bars=erratic.walk(100, seed)))
        cerebro.broker = LeanBroker()
        cerebro.addstrategy(Counting)
        assert cerebro.run()[0].first == 41


def test_a_raster_says_where_every_symbol_stands():
    rng = np.random.default_rng(3)
    times = [np.sort(rng.choice(60, size, replace=False)) for size in (40, 7, 1)]
    raster = Raster.of(times)
    for place, own in enumerate(times):
        for step, time in enumerate(raster.times.tolist()):
            assert raster.rows[place][step] == sum(t <= time for t in own.tolist()) - 1
        assert raster.times[raster.steps[place]].tolist() == own.tolist()


def test_a_clock_has_the_times_of_all_symbols(erratic):
    whole = erratic.walk(10, 1)
    clock = Clock.of([whole.head(3), whole.tail(3)])
    assert clock.open_time.tolist() == [*whole.open_time[:3].tolist(), *whole.open_time[-3:].tolist()]
    assert (clock.slice(1, None).close_time - clock.slice(1, None).open_time).tolist() == [60_000] * 5


def test_no_order_ahead_leaves_the_step_that_was_asked_for(erratic):
    cerebro = Cerebro()
    for seed in (1, 2):
        cerebro.adddata(BarsFeed(bars=erratic.walk(20, seed)))
    cerebro.addstrategy(bt.Strategy)
    cerebro.run()
    raster = raster_of(cerebro.datas)
    assert OrdersAhead(cerebro.datas, raster, tries_old_bars=True).first([], 3, 9) == 9


def test_the_stock_brokers_second_try_on_a_bar_left_behind_is_not_missed(erratic):
    """A stop-limit order that triggers on an old bar is tried by its limit on that same bar one step later."""
    whole, holed = erratic.walk(40, 1), erratic.walk(40, 2)
    prices = {name: values.copy() for name, values in holed.columns.items()}
    prices["open"][10], prices["close"][10], prices["high"][10], prices["low"][10] = 100.0, 101.0, 103.0, 99.0
    keep = np.r_[0:11, 25:40]
    columns = {name: values[keep] for name, values in prices.items()}
    markets = [whole, Bars.of("ETH/USDT", "1m", holed.open_time[keep], **columns)]

    class Once(bt.Strategy):
        def __init__(self):
            self.told = []

        def notify_order(self, order):
            self.told.append((len(self), order.status, order.executed.price))

        def next(self):
            if len(self) == 11:
                self.buy(data=self.datas[1], exectype=bt.Order.StopLimit, price=102.0, plimit=100.5)

    class Sparse(Once):
        def prepare_steps(self, raster):
            self.last = len(raster) - 1

        def next_step(self, step):
            return 10 if step < 10 else self.last

    told = []
    engines = ((bt.Cerebro(stdstats=False), bt.brokers.BackBroker(), Once), (Cerebro(), LeanBroker(), Sparse))
    for cerebro, broker, strategy in engines:
        cerebro.broker = broker
        for bars in markets:
            cerebro.adddata(BarsFeed(bars=bars))
        cerebro.addstrategy(strategy)
        told.append(cerebro.run()[0].told)
    assert told[0] == told[1]
    assert told[0][-1] == (13, bt.Order.Completed, 100.0)
