"""Trader: long (and short) by flags that say when, with protection, exits by time and sizing, on one or many coins."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import backtrader as bt
import numpy as np

from itb.engine.cerebro import NEVER
from itb.engine.lines import first_at_least
from itb.engine.orders import Protection
from itb.strategies.base import Strategy
from itb.strategies.entering import EntrySettings, pursue
from itb.strategies.sizing import Sizer, Sizing

if TYPE_CHECKING:
    from itb.indicators.signals import Flags
    from itb.market.bars import FloatArray, IntArray
    from itb.market.raster import Raster
    from itb.strategies.coin import Coin


@dataclass(frozen=True)
class TradeSettings(EntrySettings):
    """How a strategy enters and holds what its flags ask for; fractions are fractions, lengths are bars, 0 is off.

    Parameters
    ----------
    allow_short
        Also hold short positions.
    sizing, fraction, notional, target_volatility, volatility_window, cushion
        See :class:`itb.strategies.sizing.Sizer`.
    stop_loss, take_profit
        Distance from the entry's fill price, as a fraction of it.
    trailing_stop
        Distance from the best close since the entry; moves at bar close only.
    max_bars
        Leave after this many bars (measured in time, so a missing bar counts).
    cooldown_bars
        Do not enter for this many bars after an exit.
    protection_from
        ``"fill"``: stop and target work from the fill on, entry bar included. ``"next_bar"``: backtrader's own looser
        way, where they are first tested in the bar after the entry.
    """

    allow_short: bool = False
    sizing: Sizing = "percent_of_equity"
    fraction: float = 0.95
    notional: float = 1000.0
    target_volatility: float = 0.3
    volatility_window: int = 168
    cushion: float = 0.005
    stop_loss: float = 0.0
    take_profit: float = 0.0
    trailing_stop: float = 0.0
    max_bars: int = 0
    cooldown_bars: int = 0
    protection_from: Literal["fill", "next_bar"] = "fill"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.sizer, self.protection
        if not 0 <= self.trailing_stop < 1:
            raise ValueError(f"trailing_stop must be a fraction of the price in [0, 1), was {self.trailing_stop}")
        if self.max_bars < 0 or self.cooldown_bars < 0:
            raise ValueError(
                f"max_bars and cooldown_bars must be 0 or more, were {self.max_bars} and {self.cooldown_bars}"
            )
        if self.protection_from not in ("fill", "next_bar"):
            raise ValueError(f'protection_from must be "fill" or "next_bar", was {self.protection_from!r}')
        if self.entry == "limit" and self.protection_from == "next_bar":
            raise ValueError('entry = "limit" needs protection_from = "fill": a limit fills inside of a bar')

    @property
    def protection(self) -> Protection:
        """The stop and the target of an entry."""
        return Protection(self.stop_loss, self.take_profit)

    @property
    def sizer(self) -> Sizer:
        """The sizing rule."""
        return Sizer(
            self.sizing, self.fraction, self.notional, self.target_volatility, self.volatility_window, self.cushion
        )


@dataclass(frozen=True, eq=False)
class _Ahead:
    """What is known of one symbol before the first bar is visited."""

    bullish: IntArray
    bearish: IntArray
    closes: FloatArray
    times: IntArray


class Trader(Strategy):
    """Trade by flags to buy and to sell; subclasses say what the flags are, parameters are their settings.

    Decisions are taken at the close of a bar and fill at the next open. An exit by signal cancels the protective
    orders and fills at the open, before any stop of that bar. With ``allow_short`` the opposite flag closes and
    reverses in one go. Where both flags are up, the one whose turn it is counts: to buy while nothing is held, to sell
    while long. Protections hold entries back, never exits: a bar whose flag asks for an entry is always looked at.

    An entry by limit order rests until it fills, its time is over or the opposite flag comes; with such entries a
    reversal leaves first, and enters the other side at a later bar whose flag still asks for it.

    On several feeds each symbol is decided on at its own bars, and all trade one account: first every exit is sent,
    then entries in the order of the feeds, each sized from ``equity_share`` of the equity and from the cash that is
    still free. So where cash or ``max_open_trades`` is short, the symbol that is listed first is served first.
    """

    Settings: ClassVar[type[TradeSettings]]
    waits_for_all_feeds = False

    def __init__(self) -> None:
        super().__init__()
        names = self.Settings.__dataclass_fields__
        self.settings: Any = self.Settings(**{name: getattr(self.p, name) for name in names})
        self.size_rule = self.settings.sizer
        self._legs: dict[int, list[Any]] = {coin.place: [] for coin in self.coins}

    @abstractmethod
    def flags(self, coin: Coin) -> tuple[bool, bool]:
        """Whether the bar of ``coin`` that has just closed asks to be long, and whether to be out (or short)."""

    @abstractmethod
    def flags_of(self, coin: Coin, bars: int) -> tuple[Flags, Flags]:
        """Give what :meth:`flags` says at each of the first bars of ``coin``."""

    def next(self) -> None:
        """Decide at the close of the current bar."""
        wanted = [(coin, *self._decide(coin)) for coin in self.coins if coin.is_fresh and not coin.is_waiting]
        for coin, side, held in wanted:
            if side:
                self._enter(coin, side, held)

    def _decide(self, coin: Coin) -> tuple[int, float]:
        """Leave or trail what is held; give the side to enter (0 for none) and what was left for it."""
        held = coin.held
        bullish, bearish = self.flags(coin)
        if coin.entry is not None:
            if bearish if coin.entry.isbuy() else bullish:
                coin.cancel_entry()
            else:
                self._pursue(coin)
        if not held and coin.is_engaged:
            return 0, 0.0
        if not held:
            side = 1 if bullish else -1 if bearish and self.settings.allow_short else 0
            return (side if side and coin.now >= self._cool_from(coin) and coin.entries_allowed(side) else 0), 0.0
        if bearish if held > 0 else bullish:
            self._leave(coin, held, "signal")
            side = -1 if held > 0 else 1
            reverses = self.settings.entry == "market" and (held < 0 or self.settings.allow_short)
            if reverses and coin.entries_allowed(side, is_reversal=True):
                return side, held
        elif self.settings.max_bars and coin.now >= self._expiry(coin):
            self._leave(coin, held, "time")
        elif self.settings.trailing_stop:
            self._trail(coin, 1 if held > 0 else -1)
        return 0, 0.0

    def enter_now(self, side: int, symbol: str = "") -> None:
        """Enter as a flag would, asked by a person: size and protection are the strategy's own.

        Raises ``ValueError`` where something is held or on its way already, or shorts are not allowed.
        """
        coin = next((one for one in self.coins if symbol in {"", one.symbol}), None)
        if coin is None or coin.is_engaged:
            raise ValueError(f"{symbol}: a position or an order is there already, or it is not traded here")
        if side < 0 and not self.settings.allow_short:
            raise ValueError("side must be long: this strategy does not allow shorts")
        self._enter(coin, side, 0.0)

    # -- acting

    def _enter(self, coin: Coin, side: int, left: float) -> None:
        """Send an entry; ``left`` is the position whose exit was sent just before, which pays for it."""
        if not left and not self.has_room():
            self.blocked["max_open_trades"] += 1
            return
        close, settings = coin.data.close[0], self.settings
        rule, venue = self.size_rule, coin.venue
        fee = venue.costs.taker_fee
        dearest = settings.dearest(close, side)
        cost = rule.unit_cost(dearest, fee)
        free = math.inf if len(self.coins) == 1 else self.free_cash() + abs(left) * close * (1 - fee)
        quantity = rule.quantity(
            equity=self.broker.getvalue() * self.equity_share,
            close=dearest,
            fee=fee,
            closes=coin.data.close.get(size=rule.lookback),
            bar_ms=self.bar_ms,
            free=free,
        )
        is_short_of_cash = quantity >= free / cost
        quantity = venue.quantise(quantity)
        if is_short_of_cash and venue.refusal(quantity, close):
            self.blocked["cash"] += 1
        elif quantity > 0:
            now = settings.protection if settings.protection_from == "fill" else None
            price = settings.limit_price(close, side)
            resting = {} if price is None else {"exectype": bt.Order.Limit, "price": price, "since": coin.now}
            coin.send(side * quantity, "entry", reserve=quantity * cost, protect=now, **resting)

    def _pursue(self, coin: Coin) -> None:
        """Go on with an entry that rests."""
        free = self.free_cash() + coin.reserved
        if pursue(coin, self.settings, self.bar_ms, free=free, protect=self.settings.protection):
            self.blocked["cash"] += 1

    def _leave(self, coin: Coin, held: float, reason: str) -> None:
        if coin.send(-held, reason).alive():  # a refused exit leaves the protection where it is
            self._drop_legs(coin)

    def _trail(self, coin: Coin, side: int) -> None:
        level, before = self._trail_level(coin, side, 0), self._trail_level(coin, side, 1)
        if level is None or (before is not None and side * (level - before) <= 0):
            return
        if self.settings.protection_from == "fill":
            self.broker.shields.move_stop(coin.data, self, level, "trailing")
        else:
            self._drop_legs(coin)
            self._place_legs(coin, level, "trailing")

    def _trail_level(self, coin: Coin, side: int, ago: int) -> float | None:
        """Protective level at the close ``ago`` bars ago, from closes since the entry; ``None`` when there is none."""
        trade = coin.history.open
        if trade is None:
            return None
        bars = len(coin.data) - trade.entry_bar - ago
        fixed = trade.entry_price * (1 - side * self.settings.stop_loss) if self.settings.stop_loss else None
        if bars <= 0:
            return fixed
        closes = coin.data.close.get(ago=-ago, size=bars)
        trailed: float = (max(closes) if side > 0 else min(closes)) * (1 - side * self.settings.trailing_stop)
        return trailed if fixed is None else side * max(side * trailed, side * fixed)

    def _cool_from(self, coin: Coin) -> int:
        last = coin.history.last_exit_time
        return 0 if last is None else last + self.settings.cooldown_bars * self.bar_ms

    def _expiry(self, coin: Coin) -> int:
        """Open time of the bar at whose close the time exit is decided."""
        trade = coin.history.open
        assert trade is not None
        last: int = trade.entry_time + (self.settings.max_bars - 1) * self.bar_ms
        return last

    # -- backtrader's own way of protecting, for parity with the stock broker

    def notify_order(self, order: Any) -> None:
        """Book the fill; place protective orders where the broker does not."""
        super().notify_order(order)
        is_entry = bool(order.info) and order.info.get("reason") == "entry"
        if self.settings.protection_from == "next_bar" and is_entry and order.status == bt.Order.Completed:
            side = 1 if order.isbuy() else -1
            loss = self.settings.stop_loss
            coin = self._coin_of[id(order.data)]
            self._place_legs(coin, order.executed.price * (1 - side * loss) if loss else None, "stop")

    def _place_legs(self, coin: Coin, stop: float | None, reason: str) -> None:
        trade, size, data = coin.history.open, coin.held, coin.data
        if not size or trade is None:
            return
        send, side = (self.sell, 1) if size > 0 else (self.buy, -1)
        legs, first = self._legs[coin.place], None
        if stop is not None:
            first = send(data=data, size=abs(size), exectype=bt.Order.Stop, price=stop, reason=reason)
            legs.append(first)
        if self.settings.take_profit:
            price = trade.entry_price * (1 + side * self.settings.take_profit)
            target = {"exectype": bt.Order.Limit, "price": price, "oco": first, "reason": "target"}
            legs.append(send(data=data, size=abs(size), **target))

    def _drop_legs(self, coin: Coin) -> None:
        legs = self._legs[coin.place]
        for leg in legs:
            self.cancel(leg)
        legs.clear()
        shields = getattr(self.broker, "shields", None)
        if shields is not None:
            shields.drop(coin.data)

    # -- where it may act: the sparse stepping asks

    def prepare_decisions(self, bars: int) -> None:
        """Find all bars whose flags are up, once."""
        self._ahead = [self._look_ahead(self.coins[0], bars)]

    def prepare_steps(self, raster: Raster) -> None:
        """Find all bars of each symbol whose flags are up, once."""
        self._raster = raster
        self._ahead = [self._look_ahead(coin, len(coin.data.bars)) for coin in self.coins]

    def _look_ahead(self, coin: Coin, bars: int) -> _Ahead:
        bullish, bearish = map(np.flatnonzero, self.flags_of(coin, bars))
        return _Ahead(bullish, bearish, coin.data.bars.close, coin.data.bars.open_time)

    def next_decision(self, bar: int) -> int:
        """First bar after ``bar`` where :meth:`next` may act in the present state."""
        return self._next_of(self.coins[0], bar)

    def next_step(self, step: int) -> int:
        """First step after ``step`` where :meth:`next` may act on any symbol in the present state."""
        found = NEVER
        for coin in self.coins:
            steps, rows = self._raster.steps[coin.place], self._raster.rows[coin.place]
            bar = self._next_of(coin, int(rows[step]) if step >= 0 else -1)
            if bar < len(steps):
                found = min(found, int(steps[bar]))
        return found

    def _next_of(self, coin: Coin, bar: int) -> int:
        """First bar of ``coin`` after ``bar`` where something may be decided on it."""
        held, ahead = coin.held, self._ahead[coin.place]
        if coin.entry is not None:
            return bar + 1
        if not held:
            cools = self.settings.cooldown_bars
            ready = int(np.searchsorted(ahead.times, self._cool_from(coin))) - 1 if cools else bar
            after = _after(ahead.bullish, max(bar, ready))
            return min(after, _after(ahead.bearish, max(bar, ready))) if self.settings.allow_short else after
        until = _after(ahead.bearish if held > 0 else ahead.bullish, bar)
        if self.settings.max_bars:
            until = min(until, max(bar + 1, int(np.searchsorted(ahead.times, self._expiry(coin)))))
        if self.settings.trailing_stop:
            until = min(until, self._next_best(coin, bar, 1 if held > 0 else -1))
        return until

    def _next_best(self, coin: Coin, bar: int, side: int) -> int:
        trade, closes = coin.history.open, self._ahead[coin.place].closes
        if trade is None:
            return bar + 1
        since = closes[trade.entry_bar : bar + 1]
        best = side * (since.max() if side > 0 else since.min())
        return first_at_least(side * closes[bar + 1 :], best, offset=bar + 1)


def _after(bars: np.ndarray[tuple[int], np.dtype[np.intp]], bar: int) -> int:
    found = int(bars.searchsorted(bar, "right"))
    return int(bars[found]) if found < len(bars) else NEVER
