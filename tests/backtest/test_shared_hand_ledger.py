"""Several symbols on one account against a hand-written slow loop: no backtrader, no numpy, nothing shared with itb."""

import math
import random
from collections import Counter
from decimal import ROUND_DOWN, Decimal

import numpy as np
import pytest

from itb.backtest.run import Backtest, TradedMarket
from itb.engine.venue import Venue
from itb.indicators.score import ArrayScores
from itb.laws.money import check_money
from itb.market.bars import Bars
from itb.market.costs import Costs
from itb.market.instrument import Instrument
from itb.strategies.allocation import Allocation
from itb.strategies.ml_threshold import MLThreshold

STEP = Decimal("0.001")
LENGTH = 170


def floor(qty):
    return math.copysign(float((Decimal(repr(abs(qty))) / STEP).to_integral_value(ROUND_DOWN) * STEP), qty)


class Slow:
    """The rules of the documentation, timestamp by timestamp, with dictionaries of prices by time."""

    def __init__(self, markets, scores, terms, settings, allocation):
        self.names = [bars.symbol for bars in markets]
        self.price = {
            bars.symbol: {
                time: (o, h, low, c)
                for time, o, h, low, c in zip(
                    *(getattr(bars, key).tolist() for key in ("open_time", "open", "high", "low", "close")), strict=True
                )
            }
            for bars in markets
        }
        self.score = {b.symbol: dict(zip(b.open_time.tolist(), s.tolist(), strict=True)) for b, s in scores}
        self.hour = markets[0].timeframe.ms
        self.terms, self.s = terms, settings
        self.slots = min(allocation.max_open_trades or len(markets), len(markets))
        self.share = allocation.equity_share or 1 / self.slots
        self.cash = terms["cash"]
        self.held = dict.fromkeys(self.names, 0.0)
        self.last = {}
        self.entry, self.shield, self.left_at = {}, {}, {}
        self.queue, self.fills, self.equity, self.counted = [], [], [], Counter()

    def run(self):
        for now in sorted({time for prices in self.price.values() for time in prices}):
            self.now = now
            self.fresh = [name for name in self.names if now in self.price[name]]
            for name in self.fresh:
                if self.held[name] and now in self.terms["funding"].get(name, {}):
                    self.cash -= self.terms["funding"][name][now] * self.held[name] * self.price[name][now][0]
            self.fill_queue()
            for name in [name for name in self.shield if name in self.fresh]:
                self.work_legs(name)
            self.last |= {name: self.price[name][now][3] for name in self.fresh}
            self.equity.append(self.cash + sum(self.held[name] * self.last.get(name, 0.0) for name in self.names))
            if now >= self.terms["start"]:
                self.decide()
        return self

    def fill_queue(self):
        ready = [order for order in self.queue if order[0] in self.fresh]
        self.queue = [order for order in self.queue if order[0] not in self.fresh]
        for name, qty, reason, _ in ready:
            opened = self.price[name][self.now][0]
            if not self.fill(name, qty, opened, reason):
                continue
            if reason == "entry":
                side, price = math.copysign(1, qty), self.fills[-1][3]
                self.entry[name] = (self.now, price)
                levels = {"base": opened, "at": self.now, "side": side}
                for leg, key, sign in (("stop", "stop_loss", -1), ("target", "take_profit", 1)):
                    levels[leg] = price * (1 + sign * side * self.s[key]) if self.s[key] else None
                    if levels[leg] is not None and abs(self.held[name]) * levels[leg] < self.terms["min"]:
                        self.counted["refused"] += 1
                        levels[leg] = None
                self.shield[name] = levels
            else:
                self.end(name)

    def end(self, name):
        self.entry.pop(name, None)
        self.shield.pop(name, None)
        self.left_at[name] = self.now

    def fill(self, name, qty, market_price, reason, *, maker=False):
        slip = 0.0 if maker else self.terms["slip"]
        price = market_price * (1 + math.copysign(slip, qty))
        fee = abs(qty) * price * (self.terms["maker"] if maker else self.terms["taker"])
        after = self.cash - qty * price - fee
        if reason == "entry":
            others = sum(
                -self.held[other] * (self.price[other][self.now][0] if other in self.fresh else self.last[other])
                for other in self.names
                if other != name and self.held[other] < 0
            )
            if after - 2 * others - 2 * max(0.0, -qty) * price < 0:
                self.counted["refused"] += 1
                return False
        self.cash = after
        self.held[name] += qty
        if abs(self.held[name]) < 1e-12:
            self.held[name] = 0.0
        self.fills.append((self.now, name, qty, price, fee, reason))
        return True

    def work_legs(self, name):
        levels = self.shield[name]
        opened, high, low, _ = self.price[name][self.now]
        side, stop, target = levels["side"], levels["stop"], levels["target"]
        begin = levels["base"] if levels["at"] == self.now else opened
        worst, best = (low, high) if side > 0 else (high, low)
        hit = None
        if stop is not None and side * (begin - stop) <= 0:
            hit = begin, levels.get("why", "stop")
        elif target is not None and side * (begin - target) >= 0:
            hit = begin, "target"
        elif stop is not None and side * (worst - stop) <= 0:
            hit = stop, levels.get("why", "stop")
        elif target is not None and side * (best - target) >= 0:
            hit = target, "target"
        if hit is not None:
            self.fill(name, -self.held[name], *hit, maker=hit[1] == "target")
            self.end(name)

    def decide(self):
        waiting = {order[0] for order in self.queue}
        entering = []
        for name in self.fresh:
            if name in waiting:
                continue
            score, held, close = self.score[name][self.now], self.held[name], self.last[name]
            up, down = score >= self.s["buy_threshold"], score <= self.s["sell_threshold"]
            want = 1 if up else -1 if down and self.s["allow_short"] else 0
            if not held:
                left = self.left_at.get(name)
                if want and (left is None or self.now >= left + self.s["cooldown_bars"] * self.hour):
                    entering.append((name, want, 0.0))
            elif down if held > 0 else up:
                self.leave(name, held, close, "signal")
                if want:
                    entering.append((name, want, held))
            elif self.s["max_bars"] and self.now >= self.entry[name][0] + (self.s["max_bars"] - 1) * self.hour:
                self.leave(name, held, close, "time")
            elif self.s["trailing_stop"]:
                self.trail(name, held)
        for name, side, left in entering:
            self.enter(name, side, left)

    def leave(self, name, held, close, reason):
        if abs(held) * close < self.terms["min"]:
            self.counted["refused"] += 1
        else:
            self.queue.append((name, -held, reason, 0.0))
            self.shield.pop(name, None)

    def trail(self, name, held):
        side = math.copysign(1, held)
        since, price = self.entry[name]
        closes = [row[3] for time, row in self.price[name].items() if since <= time <= self.now]

        def level(known):
            found = [(max if side > 0 else min)(known) * (1 - side * self.s["trailing_stop"])] if known else []
            found += [price * (1 - side * self.s["stop_loss"])] if self.s["stop_loss"] else []
            return (max if side > 0 else min)(found) if found else None

        now, before = level(closes), level(closes[:-1])
        if before is None or side * (now - before) > 0:
            if abs(held) * now < self.terms["min"]:
                self.counted["refused"] += 1
                return
            levels = self.shield.setdefault(name, {"base": 0.0, "at": -1, "side": side, "target": None})
            levels["stop"], levels["why"] = now, "trailing"

    def enter(self, name, side, left):
        engaged = {other for other in self.names if self.held[other]} | {order[0] for order in self.queue}
        if not left and len(engaged) >= self.slots:
            self.counted["max_open_trades"] += 1
            return
        close = self.last[name]
        unit = close * (1 + self.terms["taker"] + self.s["cushion"])
        free = self.cash - sum(order[3] for order in self.queue) + abs(left) * close * (1 - self.terms["taker"])
        free -= sum(2 * -self.held[other] * self.last[other] for other in self.names if self.held[other] < 0)
        asked = self.s["fraction"] * self.equity[-1] * self.share / unit
        qty = floor(max(0.0, min(asked, free / unit)))
        if qty * close < self.terms["min"] or not qty:
            if asked >= free / unit:
                self.counted["cash"] += 1
            elif qty:
                self.counted["refused"] += 1
            return
        self.queue.append((name, side * qty, "entry", qty * unit))


def draw(seed, by_hand):
    rng = random.Random(seed)
    markets = []
    for place in range(rng.choice([2, 3, 4])):
        whole = by_hand.market(LENGTH, seed * 5 + place, missing=rng.choice([0, 3, 25]))
        whole = whole.slice(rng.choice([0, 0, 40]), rng.choice([None, None, -30]))
        markets.append(Bars.of(f"C{place}/USDT", "1h", whole.open_time, **whole.columns))
    scores = [by_hand.scores(len(bars), seed * 9 + place) for place, bars in enumerate(markets)]
    buy = rng.uniform(0.5, 0.8)
    settings = {
        "buy_threshold": buy,
        "sell_threshold": rng.uniform(0.2, buy - 0.05),
        "allow_short": rng.random() < 0.5,
        "fraction": rng.choice([0.3, 0.95, 0.99]),
        "cushion": rng.choice([0.0, 0.005]),
        "stop_loss": rng.choice([0.0, 0.004, 0.02]),
        "take_profit": rng.choice([0.0, 0.005, 0.03]),
        "trailing_stop": rng.choice([0.0, 0.0, 0.006]),
        "max_bars": rng.choice([0, 0, 1, 7]),
        "cooldown_bars": rng.choice([0, 0, 1, 5]),
    }
    allocation = Allocation(rng.choice([0, 0, 1, 2]), rng.choice([0.0, 0.0, 0.4, 0.8, 1.0]))
    funding = {bars.symbol: {int(t): 2e-4 for t in bars.open_time[5::8]} for bars in markets if rng.random() < 0.4}
    start = int(min(bars.open_time[0] for bars in markets)) + rng.choice([0, 31]) * 3_600_000
    terms = {"cash": 10_000.0, "taker": 0.001, "maker": 0.0004, "slip": 5e-4, "min": rng.choice([0.0, 10.0, 900.0])}
    terms |= {"funding": funding, "start": start}
    return markets, scores, terms, settings, allocation


def engine(markets, scores, terms, settings, allocation, stepping="auto"):
    traded = []
    for bars, values in zip(markets, scores, strict=True):
        rates = terms["funding"].get(bars.symbol, {})
        rows = {int(np.searchsorted(bars.open_time, time)): rate for time, rate in rates.items()}
        rules = {"tick": Decimal("1e-12"), "step": STEP, "min_qty": Decimal(0), "min_notional": Decimal(terms["min"])}
        venue = Venue(Costs(10, 4, slippage_bps=5), Instrument(bars.symbol, **rules), funding=rows)
        source = ArrayScores("score", bars.open_time, values, 0.0, 1.0)
        traded.append(TradedMarket(bars, {"score": source}, venue))
    test = Backtest(MLThreshold, {**settings, "allocation": allocation}, terms["cash"], stepping=stepping)
    return test.run_shared(traded, terms["start"])


@pytest.mark.parametrize("chunk", [*range(3), *(pytest.param(c, marks=pytest.mark.soak) for c in range(3, 60))])
def test_the_engine_agrees_with_the_hand_on_every_fill_and_cent(chunk, by_hand):
    for seed in range(chunk * 12, chunk * 12 + 12):
        drawn = draw(seed, by_hand)
        markets, scores, *told = drawn
        slow = Slow(markets, list(zip(markets, scores, strict=True)), *told).run()
        result = engine(*drawn)
        context = f"seed {seed}: {told}"
        assert result.stepped == "sparse"
        ours = [(f.open_time, f.symbol, f.reason) for f in result.fills if f.reason != "funding"]
        assert ours == [(time, name, reason) for time, name, *_, reason in slow.fills], context
        figures = np.array([(f.qty, f.price, f.fee) for f in result.fills if f.reason != "funding"])
        np.testing.assert_allclose(figures, [fill[2:5] for fill in slow.fills], rtol=1e-11, err_msg=context)
        np.testing.assert_allclose(result.equity, slow.equity, rtol=1e-11, err_msg=context)
        counted = Counter(result.blocked) + Counter(refused=len(result.rejected))
        assert counted == slow.counted, context


@pytest.mark.parametrize("chunk", [0, *(pytest.param(c, marks=pytest.mark.soak) for c in range(1, 30))])
def test_every_stepping_gives_the_same_bits(chunk, by_hand):
    for seed in range(1000 + chunk * 8, 1008 + chunk * 8):
        drawn = draw(seed, by_hand)
        first, *others = (engine(*drawn, stepping=stepping) for stepping in ("plain", "sparse", "dense", "blind"))
        for other in others:
            for name in ("fills", "orders", "rejected", "blocked", "trades"):
                assert getattr(other, name) == getattr(first, name), (seed, other.stepped, name)
            assert np.array_equal(other.equity, first.equity), (seed, other.stepped)
            assert np.array_equal(other.cash, first.cash), (seed, other.stepped)


def test_the_parts_add_up_to_the_account_and_each_keeps_the_money_law(by_hand):
    for seed in range(12):
        result = engine(*draw(seed, by_hand))
        gains = np.zeros(len(result.clock))
        for symbol, part in result.parts.items():
            law = check_money(
                part.bars, part.fills, start_cash=part.starting_cash, equity=part.equity, cash=part.cash,
                position=part.position, trades=part.trades, dust=part.dust, subject=symbol,
            )  # fmt: skip
            assert law, law.evidence
            row = np.searchsorted(part.bars.open_time, result.clock.open_time, side="right") - 1
            gains += np.where(row >= 0, part.equity[np.maximum(row, 0)] - part.starting_cash, 0.0)
        np.testing.assert_allclose(result.equity, result.starting_cash + gains, rtol=1e-11)


class Told(MLThreshold):
    """Listens to what the broker says of the account at every step."""

    def notify_cashvalue(self, cash, value):
        self.__dict__.setdefault("heard", []).append((cash, value))

    def stop(self):
        HEARD.append(self.heard)


HEARD: list[list[tuple[float, float]]] = []


def test_the_account_is_what_the_broker_says_at_every_step_to_the_last_bit(by_hand):
    for seed in range(5):
        markets, scores, terms, settings, allocation = draw(seed, by_hand)
        traded = [
            TradedMarket(bars, {"score": ArrayScores("score", bars.open_time, values, 0.0, 1.0)})
            for bars, values in zip(markets, scores, strict=True)
        ]
        result = Backtest(Told, {**settings, "allocation": allocation}).run_shared(traded, terms["start"])
        assert [(cash, value) for cash, value in zip(result.cash.tolist(), result.equity.tolist(), strict=True)] == [
            (cash, value) for cash, value in HEARD.pop()
        ]


def test_the_drawn_cases_reach_what_they_should(by_hand):
    counted, reasons, most = Counter(), Counter(), 0
    for seed in range(36):
        result = engine(*draw(seed, by_hand))
        counted += Counter(result.blocked) + Counter(rejected=len(result.rejected))
        reasons += Counter(fill.reason for fill in result.fills)
        most = max(most, int(result.held.max()))
        cap = draw(seed, by_hand)[-1].slots(len(result.parts))
        assert result.held.max() <= cap
    assert set(reasons) == {"entry", "signal", "stop", "target", "trailing", "time", "funding"}
    assert counted["max_open_trades"] > 60
    assert counted["cash"] > 10
    assert counted["rejected"] > 10
    assert most >= 3
