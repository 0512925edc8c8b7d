"""Trader: long (and short) by flags that say when, with protection, exits by time and sizing."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import backtrader as bt
import numpy as np

from itb.engine.cerebro import NEVER
from itb.engine.lines import first_at_least
from itb.engine.orders import Protection
from itb.strategies.base import Strategy
from itb.strategies.sizing import Sizer, Sizing

if TYPE_CHECKING:
    from itb.indicators.signals import Flags


@dataclass(frozen=True)
class TradeSettings:
    """How a strategy holds what its flags ask for; fractions are fractions, lengths are bars, 0 switches a part off.

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
        _ = self.sizer, Protection(self.stop_loss, self.take_profit)
        if not 0 <= self.trailing_stop < 1:
            raise ValueError(f"trailing_stop must be a fraction of the price in [0, 1), was {self.trailing_stop}")
        if self.max_bars < 0 or self.cooldown_bars < 0:
            raise ValueError(
                f"max_bars and cooldown_bars must be 0 or more, were {self.max_bars} and {self.cooldown_bars}"
            )
        if self.protection_from not in ("fill", "next_bar"):
            raise ValueError(f'protection_from must be "fill" or "next_bar", was {self.protection_from!r}')

    @property
    def sizer(self) -> Sizer:
        """The sizing rule."""
        return Sizer(
            self.sizing, self.fraction, self.notional, self.target_volatility, self.volatility_window, self.cushion
        )


class Trader(Strategy):
    """Trade one symbol by flags to buy and to sell; subclasses say what the flags are, parameters are their settings.

    Decisions are taken at the close of a bar and fill at the next open. An exit by signal cancels the protective
    orders and fills at the open, before any stop of that bar. With ``allow_short`` the opposite flag closes and
    reverses in one go. Where both flags are up, the one whose turn it is counts: to buy while nothing is held, to sell
    while long. Protections hold entries back, never exits: a bar whose flag asks for an entry is always looked at.
    """

    Settings: ClassVar[type[TradeSettings]]

    def __init__(self) -> None:
        super().__init__()
        names = self.Settings.__dataclass_fields__
        self.settings: Any = self.Settings(**{name: getattr(self.p, name) for name in names})
        self.size_rule = self.settings.sizer
        self._legs: list[Any] = []

    @abstractmethod
    def flags(self) -> tuple[bool, bool]:
        """Whether the bar that has just closed asks to be long, and whether to be out (or short)."""

    @abstractmethod
    def flags_of(self, bars: int) -> tuple[Flags, Flags]:
        """Give what :meth:`flags` says at each of the first bars."""

    def next(self) -> None:
        """Decide at the close of the current bar."""
        if self.is_waiting:
            return
        held = self.held
        bullish, bearish = self.flags()
        if not held:
            side = 1 if bullish else -1 if bearish and self.settings.allow_short else 0
            if side and self.now >= self._cool_from() and self.entries_allowed(side):
                self._enter(side)
        elif bearish if held > 0 else bullish:
            self._leave(held, "signal")
            side = -1 if held > 0 else 1
            if (held < 0 or self.settings.allow_short) and self.entries_allowed(side, is_reversal=True):
                self._enter(side)
        elif self.settings.max_bars and self.now >= self._expiry():
            self._leave(held, "time")
        elif self.settings.trailing_stop:
            self._trail(1 if held > 0 else -1)

    # -- acting

    def _enter(self, side: int) -> None:
        close = self.data.close[0]
        closes = self.data.close.get(size=self.size_rule.lookback)
        equity, fee = self.broker.getvalue(), self.venue.costs.taker_fee
        quantity = self.size_rule.quantity(equity=equity, close=close, fee=fee, closes=closes, bar_ms=self.bar_ms)
        quantity = self.venue.quantise(quantity)
        if quantity > 0:
            protect = Protection(self.settings.stop_loss, self.settings.take_profit)
            self.send(side * quantity, "entry", protect=protect if self.settings.protection_from == "fill" else None)

    def _leave(self, held: float, reason: str) -> None:
        if self.send(-held, reason).alive():  # a refused exit leaves the protection where it is
            self._drop_legs()

    def _trail(self, side: int) -> None:
        level, before = self._trail_level(side, 0), self._trail_level(side, 1)
        if level is None or (before is not None and side * (level - before) <= 0):
            return
        if self.settings.protection_from == "fill":
            self.broker.shields.move_stop(self.data, self, level, "trailing")
        else:
            self._drop_legs()
            self._place_legs(level, "trailing")

    def _trail_level(self, side: int, ago: int) -> float | None:
        """Protective level at the close ``ago`` bars ago, from closes since the entry; ``None`` when there is none."""
        trade = self.history.open
        if trade is None:
            return None
        bars = len(self.data) - trade.entry_bar - ago
        fixed = trade.entry_price * (1 - side * self.settings.stop_loss) if self.settings.stop_loss else None
        if bars <= 0:
            return fixed
        closes = self.data.close.get(ago=-ago, size=bars)
        trailed: float = (max(closes) if side > 0 else min(closes)) * (1 - side * self.settings.trailing_stop)
        return trailed if fixed is None else side * max(side * trailed, side * fixed)

    def _cool_from(self) -> int:
        last = self.history.last_exit_time
        return 0 if last is None else last + self.settings.cooldown_bars * self.bar_ms

    def _expiry(self) -> int:
        """Open time of the bar at whose close the time exit is decided."""
        trade = self.history.open
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
            self._place_legs(order.executed.price * (1 - side * loss) if loss else None, "stop")

    def _place_legs(self, stop: float | None, reason: str) -> None:
        trade, size = self.history.open, self.held
        if not size or trade is None:
            return
        send, side = (self.sell, 1) if size > 0 else (self.buy, -1)
        first = None
        if stop is not None:
            first = send(size=abs(size), exectype=bt.Order.Stop, price=stop, reason=reason)
            self._legs.append(first)
        if self.settings.take_profit:
            price = trade.entry_price * (1 + side * self.settings.take_profit)
            self._legs.append(send(size=abs(size), exectype=bt.Order.Limit, price=price, oco=first, reason="target"))

    def _drop_legs(self) -> None:
        for leg in self._legs:
            self.cancel(leg)
        self._legs.clear()
        shields = getattr(self.broker, "shields", None)
        if shields is not None:
            shields.drop(self.data)

    # -- where it may act: the sparse stepping asks

    def prepare_decisions(self, bars: int) -> None:
        """Find all bars whose flags are up, once."""
        self._bullish, self._bearish = map(np.flatnonzero, self.flags_of(bars))
        self._closes = self.data.bars.close
        self._times = self.data.bars.open_time

    def next_decision(self, bar: int) -> int:
        """First bar after ``bar`` where :meth:`next` may act in the present state."""
        held = self.held
        if not held:
            ready = int(np.searchsorted(self._times, self._cool_from())) - 1 if self.settings.cooldown_bars else bar
            after = _after(self._bullish, max(bar, ready))
            return min(after, _after(self._bearish, max(bar, ready))) if self.settings.allow_short else after
        until = _after(self._bearish if held > 0 else self._bullish, bar)
        if self.settings.max_bars:
            until = min(until, max(bar + 1, int(np.searchsorted(self._times, self._expiry()))))
        if self.settings.trailing_stop:
            until = min(until, self._next_best(bar, 1 if held > 0 else -1))
        return until

    def _next_best(self, bar: int, side: int) -> int:
        trade = self.history.open
        if trade is None:
            return bar + 1
        since = self._closes[trade.entry_bar : bar + 1]
        best = side * (since.max() if side > 0 else since.min())
        return first_at_least(side * self._closes[bar + 1 :], best, offset=bar + 1)


def _after(bars: np.ndarray[tuple[int], np.dtype[np.intp]], bar: int) -> int:
    found = int(bars.searchsorted(bar, "right"))
    return int(bars[found]) if found < len(bars) else NEVER
