"""A hand-written broker and strategy in one slow loop: no backtrader, no numpy, nothing shared with itb's engine."""

import math
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from itb.indicators.score import ArrayScores
from itb.market.bars import Bars

START = 1_672_531_200_000


def market(n, seed, *, vol=4e-3, missing=0):
    """Bars with jumps between close and open, wide ranges, a turnover column and perhaps missing bars."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.standard_t(4, n) * vol))
    open_ = np.r_[close[0], close[:-1]] * np.exp(rng.normal(0, vol, n))
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, vol, n)))
    low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, vol, n)))
    prices = {"open": open_, "high": high, "low": low, "close": close}
    prices = {name: np.round(values, 2) for name, values in prices.items()}
    volume = np.round(rng.gamma(2.0, 50.0, n), 3) + 0.001
    turnover = volume * rng.uniform(prices["low"], prices["high"])
    keep = np.sort(rng.choice(n, n - missing, replace=False)) if missing else np.arange(n)
    columns = {**prices, "volume": volume, "quote_volume": turnover}
    columns = {name: values[keep] for name, values in columns.items()}
    return Bars.of("BTC/USDT", "1h", (START + 3_600_000 * np.arange(n))[keep], **columns)


def wavering_scores(n, seed, *, holes=0.05):
    """Scores in [0, 1] that stay a while on one side, with some NaN."""
    rng = np.random.default_rng(seed + 1000)
    x = np.zeros(n)
    for i in range(1, n):
        x[i] = 0.8 * x[i - 1] + rng.normal()
    scores = 1 / (1 + np.exp(-x))
    scores[rng.random(n) < holes] = np.nan
    return scores


@dataclass
class Terms:
    """What the hand-written broker is told; fractions, not basis points."""

    taker: float = 0.0
    maker: float = 0.0
    fee_currency: str = "quote"
    slip: float = 0.0
    impact: float = 0.0
    step: str | None = None
    tick: str | None = None
    min_qty: str = "0"
    min_notional: str = "0"
    stop_first: bool = True
    buy_price: list | None = None
    sell_price: list | None = None
    funding: dict = field(default_factory=dict)
    start: int = 0


class HandBroker:
    """Money by hand."""

    def __init__(self, bars, cash, terms):
        self.bars, self.cash, self.terms = bars, cash, terms
        self.position, self.fee_account, self.fills, self.refused, self.unknown = 0.0, 0.0, [], 0, 0

    def floor(self, qty):
        if self.terms.step is None:
            return qty
        step = Decimal(self.terms.step)
        return math.copysign(float((Decimal(repr(abs(qty))) / step).to_integral_value(ROUND_DOWN) * step), qty)

    def on_tick(self, price, is_buy):
        if self.terms.tick is None:
            return price
        tick = Decimal(self.terms.tick)
        rounding = ROUND_DOWN if is_buy else ROUND_UP
        return float((Decimal(repr(price)) / tick).to_integral_value(rounding) * tick)

    def accepts(self, bar, qty, price):
        terms = self.terms
        if bar < terms.start or qty <= 0:
            return False
        if terms.step is None:
            return True
        enough = Decimal(repr(qty)) >= Decimal(terms.min_qty)
        return enough and Decimal(repr(qty)) * Decimal(repr(price)) >= Decimal(terms.min_notional)

    def fill(self, bar, qty, market_price, reason, *, resting=False):
        """Fill ``qty`` (signed) and give the quantity that was filled and its price."""
        terms = self.terms
        share = min(1.0, abs(qty) / float(self.bars.volume[bar])) if terms.impact else 1.0
        slip = 0.0 if resting else terms.slip + terms.impact * share
        price = market_price * (1 + slip) if qty > 0 else market_price * (1 - slip)
        rate = terms.maker if resting else terms.taker
        in_base = terms.fee_currency == "base" and qty > 0
        in_quote = terms.fee_currency == "quote" or (terms.fee_currency == "base" and qty < 0)
        closing = math.copysign(min(abs(qty), abs(self.position)), qty) if self.position * qty < 0 else 0.0
        opening = qty - closing
        fee = abs(qty) * rate * price
        cost = opening * price + (abs(opening) * rate * price if in_quote else 0.0)
        after_close = self.cash - closing * price - (abs(closing) * rate * price if in_quote else 0.0)
        short = abs(opening) * price if opening < 0 else 0.0
        standing = -self.position * price if opening < 0 and not closing and self.position < 0 else 0.0
        if opening and after_close - cost - 2 * (short + standing) < 0:  # a short is backed by equity of its worth
            self.refused += 1
            if not closing:
                return 0.0, price
            qty, opening, cost, fee = closing, 0.0, 0.0, abs(closing) * rate * price
        self.cash = after_close - cost
        self.position += qty * (1 - rate) if in_base else qty
        if not in_base and not in_quote:
            self.fee_account -= fee
        self.fills.append((bar, qty, price, qty * rate if in_base else fee, reason))
        return qty, price

    def equity(self, bar):
        return self.cash + self.position * float(self.bars.close[bar])


def trade_by_hand(bars, scores, cash, terms, **s):
    """Run the threshold strategy of the documentation, bar by bar."""
    o, h, low, c = (getattr(bars, name).tolist() for name in ("open", "high", "low", "close"))
    times, hour = bars.open_time.tolist(), bars.timeframe.ms
    broker = HandBroker(bars, cash, terms)
    queue, shield, entry, last_exit = [], None, None, None
    equity = []
    is_flat = lambda: broker.floor(broker.position) == 0  # noqa: E731
    for t in range(len(c)):
        if t in terms.funding and broker.position:
            paid = terms.funding[t] * broker.position * o[t]
            broker.cash -= paid
            broker.fills.append((t, 0.0, o[t], paid, "funding"))
        for qty, reason in queue:
            base = (terms.buy_price if qty > 0 else terms.sell_price) or o
            was = broker.position
            filled, price = broker.fill(t, qty, base[t], reason)
            if not filled:
                continue
            if entry is not None and (is_flat() or broker.position * was < 0):
                entry, shield, last_exit = None, None, times[t]
            if reason == "entry":
                entry = (t, times[t], price * (qty / (broker.position or 1) if terms.fee_currency == "base" else 1))
                entry = (t, times[t], price)
                side = 1 if qty > 0 else -1
                shield = {"bar": t, "base": base[t], "side": side, "stop": None, "target": None, "why": "stop"}
                legs = broker.floor(abs(broker.position))
                if s["stop_loss"]:
                    level = broker.on_tick(price * (1 - side * s["stop_loss"]), side < 0)
                    shield["stop"] = level if broker.accepts(t, legs, level) else None
                    broker.refused += shield["stop"] is None
                if s["take_profit"]:
                    level = broker.on_tick(price * (1 + side * s["take_profit"]), side < 0)
                    shield["target"] = level if broker.accepts(t, legs, level) else None
                    broker.refused += shield["target"] is None
        queue = []
        if shield is not None:
            side, stop, target = shield["side"], shield["stop"], shield["target"]
            begin = shield["base"] if shield["bar"] == t else o[t]
            worst, best = (low[t], h[t]) if side > 0 else (h[t], low[t])
            hit = None
            if stop is not None and side * (begin - stop) <= 0:
                hit = (begin, shield["why"], False)
            elif target is not None and side * (begin - target) >= 0:
                hit = (begin, "target", True)
            else:
                hits_stop = stop is not None and side * (worst - stop) <= 0
                hits_target = target is not None and side * (best - target) >= 0
                broker.unknown += hits_stop and hits_target
                if hits_stop and (terms.stop_first or not hits_target):
                    hit = (stop, shield["why"], False)
                elif hits_target:
                    hit = (target, "target", True)
            if hit is not None:
                broker.fill(t, -side * broker.floor(abs(broker.position)), hit[0], hit[1], resting=hit[2])
                shield, entry, last_exit = None, None, times[t]
        value = broker.equity(t)
        equity.append(value + broker.fee_account)
        score = scores[t]
        if t < terms.start:
            continue
        held = broker.floor(broker.position)
        up, down = score >= s["buy_threshold"], score <= s["sell_threshold"]
        want = 1 if up else -1 if down and s["allow_short"] else 0

        def enter(side, t=t, value=value):
            if s["sizing"] == "fixed_notional":
                qty = s["notional"] / c[t]
            else:
                fraction = s["fraction"]
                if s["sizing"] == "volatility_target":
                    window = s["volatility_window"]
                    if t < window:
                        return
                    moves = [math.log(c[i] / c[i - 1]) for i in range(t - window + 1, t + 1)]
                    mean = sum(moves) / window
                    spread = math.sqrt(sum((m - mean) ** 2 for m in moves) / (window - 1) * 365 * 24)
                    fraction = min(0.99, fraction * s["target_volatility"] / spread)
                qty = fraction * value / (c[t] * (1 + terms.taker + s["cushion"]))
            qty = broker.floor(qty) if value > 0 else 0.0
            if qty > 0 and broker.accepts(t, qty, c[t]):
                queue.append((side * qty, "entry"))
            elif qty > 0:
                broker.refused += 1

        def leave(reason, t=t, held=held):
            if broker.accepts(t, abs(held), c[t]):
                queue.append((-held, reason))
                return True
            broker.refused += 1
            return False

        if not held:
            ready = last_exit is None or times[t] >= last_exit + s["cooldown_bars"] * hour
            if want and ready:
                enter(want)
        elif down if held > 0 else up:
            shield = None if leave("signal") else shield
            if want:
                enter(want)
        elif s["max_bars"] and times[t] >= entry[1] + (s["max_bars"] - 1) * hour:
            shield = None if leave("time") else shield
        elif s["trailing_stop"]:
            side = 1 if held > 0 else -1

            def level(until, side=side):
                fixed = entry[2] * (1 - side * s["stop_loss"]) if s["stop_loss"] else None
                closes = c[entry[0] : until]
                if not closes:
                    return fixed
                best = (max if side > 0 else min)(closes) * (1 - side * s["trailing_stop"])
                return best if fixed is None else side * max(side * best, side * fixed)

            now, before = level(t + 1), level(t)
            if now is not None and (before is None or side * (now - before) > 0):
                wanted = broker.on_tick(now, side < 0)
                if broker.accepts(t, broker.floor(abs(broker.position)), wanted):
                    shield["stop"], shield["why"] = wanted, "trailing"
                else:
                    broker.refused += 1
    return SimpleNamespace(broker=broker, equity=equity)


@pytest.fixture
def by_hand():
    """The slow loop and the markets it runs on."""
    return SimpleNamespace(Terms=Terms, trade=trade_by_hand, market=market, scores=wavering_scores)


@pytest.fixture
def as_source():
    """Turn an array into a score source of a feed."""

    def source(bars, scores):
        return {"score": ArrayScores("score", bars.open_time, scores, 0.0, 1.0)}

    return source
