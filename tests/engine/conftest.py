import datetime as dt
import random
from types import SimpleNamespace

import backtrader as bt
import numpy as np
import pytest

from itb.engine.lines import as_buffer
from itb.market.bars import Bars


def walk(n, seed, vol=1e-3):
    """A random walk with gaps between close and open, as plain arrays."""
    rng = np.random.default_rng(seed)
    close = 30_000 * np.exp(np.cumsum(rng.normal(0, vol, n)))
    open_ = np.r_[close[0], close[:-1]] * np.exp(rng.normal(0, vol / 3, n))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, vol / 2, n)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, vol / 2, n)))
    volume = rng.gamma(2.0, 10.0, n)
    times = 1_672_531_200_000 + 60_000 * np.arange(n)
    return Bars.of("BTC/USDT", "1m", times, open=open_, high=high, low=low, close=close, volume=volume)


class Column(bt.Indicator):
    """A precomputed column as an indicator, bulk and step."""

    lines = ("value",)
    params = (("values", None),)

    def next(self):
        self.lines.value[0] = self.p.values[len(self) - 1]

    def once(self, _start, end):
        self.lines.value.array = as_buffer(self.p.values[:end])

    def preonce(self, _start, _end):
        pass

    oncestart = preonce


class Erratic(bt.Strategy):
    """Sends every kind of order at bars drawn in advance, and writes down everything it is told."""

    params = (("acts", None), ("values", None))

    def __init__(self):
        self.column = Column(values=self.p.values)
        self.average = bt.indicators.SMA(self.data.close, period=7)
        self.above = self.data.close > self.average
        self.orders_seen, self.trades_seen, self.seen, self.sent, self.first = [], [], [], [], None

    def notify_order(self, order):
        if self.first is None:
            self.first = order.ref
        done = order.executed
        self.orders_seen.append(
            (
                len(self.data),
                order.ref - self.first,
                order.status,
                order.exectype,
                done.size,
                done.price,
                done.comm,
                done.pnl,
                done.psize,
                done.pprice,
                done.dt,
                order.created.price,
                order.dteos,
            )
        )

    def notify_trade(self, trade):
        self.trades_seen.append(
            (
                len(self.data),
                trade.status,
                trade.size,
                trade.price,
                trade.pnl,
                trade.pnlcomm,
                trade.barlen,
                trade.commission,
                trade.baropen,
                trade.dtopen,
                trade.dtclose,
            )
        )

    def next(self):
        seed = self.p.acts.get(len(self.data) - 1)
        if seed is None:
            return
        rng = random.Random(seed)
        close, kind = self.data.close[0], rng.randrange(11)
        self.seen.append(
            (
                len(self.data),
                self.broker.getvalue(),
                self.broker.getcash(),
                self.position.size,
                self.position.price,
                self.column.value[0],
                self.average[0],
                self.above[0],
                self.data.datetime.datetime(0),
                len(self),
                self.datetime[0],
                self.data.close[-1],
            )
        )
        size, off = round(rng.uniform(0.1, 8.0), 6), rng.uniform(0.0005, 0.02)
        later = self.data.datetime.datetime(0) + dt.timedelta(hours=rng.randrange(1, 30))
        valid = rng.choice([None, None, dt.timedelta(minutes=rng.randrange(1, 500)), later])
        up = rng.choice([1, -1])
        send = self.buy if up > 0 else self.sell
        if kind <= 2:
            self.sent.append(send(size=size))
        elif kind == 3:
            self.close()
        elif kind == 4:
            self.sent.append(send(size=size, exectype=bt.Order.Stop, price=close * (1 + up * off), valid=valid))
        elif kind == 5:
            self.sent.append(send(size=size, exectype=bt.Order.Limit, price=close * (1 - up * off), valid=valid))
        elif kind == 6:
            limit = close * (1 + up * off * rng.choice([0.5, 1, 1.5]))
            stop = close * (1 + up * off)
            self.sent.append(send(size=size, exectype=bt.Order.StopLimit, price=stop, plimit=limit, valid=valid))
        elif kind == 7:
            bracket = self.buy_bracket if up > 0 else self.sell_bracket
            prices = {
                "price": close * (1 - up * off / 4),
                "stopprice": close * (1 - up * off),
                "limitprice": close * (1 + up * off * 2),
            }
            bracket(size=size, **prices, **({"valid": valid} if valid else {}))
        elif kind == 8:
            first = send(size=size, exectype=bt.Order.Stop, price=close * (1 + up * off))
            send(size=size, exectype=bt.Order.Limit, price=close * (1 - up * off), oco=first)
        elif kind == 9:
            for order in self.sent[-3:]:
                self.cancel(order)
        elif rng.random() < 0.3:
            trail = rng.random() < 0.5
            kwargs = {"exectype": bt.Order.StopTrail, "trailpercent": off} if trail else {"exectype": bt.Order.Close}
            self.sent.append(send(size=size, **kwargs))


class SparseErratic(Erratic):
    """The same, and it says where it acts."""

    def prepare_decisions(self, _bars):
        self.at = np.array(sorted(self.p.acts), dtype=np.int64)

    def next_decision(self, bar):
        k = self.at.searchsorted(bar, "right")
        return int(self.at[k]) if k < len(self.at) else 1 << 60


def set_up_broker(broker, seed):
    """Costs and settings drawn from the seed, the same for every engine."""
    rng = random.Random(seed)
    broker.setcash(1e6)
    broker.setcommission(rng.choice([0.0, 0.001, 0.00075]))
    kind = rng.randrange(4)
    if kind == 1:
        broker.set_slippage_perc(rng.choice([0.0005, 0.003]))
    if kind == 2:
        broker.set_slippage_perc(0.002, slip_open=True, slip_match=False, slip_limit=False)
    if kind == 3:
        broker.set_slippage_fixed(12.5, slip_out=True)
    if rng.random() < 0.2:
        broker.set_checksubmit(False)
    if rng.random() < 0.2:
        broker.set_coc(True)


def random_acts(n, seed):
    rng = random.Random(seed * 7 + 1)
    return {rng.randrange(n): rng.random() for _ in range(rng.choice([5, 40, 200]))}


@pytest.fixture
def erratic():
    """The strategy that sends anything, and the markets it does so in."""
    return SimpleNamespace(
        walk=walk, Erratic=Erratic, SparseErratic=SparseErratic, set_up_broker=set_up_broker, random_acts=random_acts
    )
