"""What a strategy is compared with: holding the coin, and holding cash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.ledger.breakeven import gross_prices, slippage_paid
from itb.ledger.equity import Account, replay
from itb.ledger.metrics import Metrics, compute
from itb.ledger.trades import round_trips
from itb.market.fills import Fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.market.bars import Bars, FloatArray
    from itb.market.costs import Costs
    from itb.market.raster import Clock


@dataclass(frozen=True, eq=False)
class Baseline:
    """A baseline's fills, its account at every bar and its figures."""

    fills: tuple[Fill, ...]
    account: Account
    metrics: Metrics


def buy_and_hold(
    bars: Bars, costs: Costs, *, start_cash: float, start_bar: int = 0, funding: Mapping[int, float] | None = None
) -> Baseline:
    """Put all cash into the coin at the first open that a strategy could trade at, and hold it to the last close.

    A decision at the close of ``start_bar``, the first that counts, fills at the next open. Buying pays the taker fee
    and slippage of ``costs``; as an open trade is, the position is valued at the last close and pays nothing there.
    The quantity is not rounded. ``funding`` gives the rates of a perpetual by bar, settled at that bar's open as a
    fraction of the position's worth. Without a bar to trade in, nothing is bought.

    >>> from itb.market.bars import Bars
    >>> from itb.market.costs import Costs
    >>> prices = {name: [100.0, 100.0, 110.0] for name in ("open", "high", "low", "close")}
    >>> bars = Bars.of("BTC/USDT", "1d", [0, 86_400_000, 172_800_000], **prices, volume=[1, 1, 1])
    >>> free = Costs(taker_fee_bps=0, maker_fee_bps=0, slippage_bps=0)
    >>> buy_and_hold(bars, free, start_cash=1_000.0).account.equity.tolist()
    [1000.0, 1000.0, 1100.0]
    """
    bar = start_bar + 1
    if bar >= len(bars):
        return _baseline((), bars, costs, start_cash, start_bar)
    opened, volume = float(bars.open[bar]), float(bars.volume[bar])
    share = start_cash / opened / volume if volume > 0 else 1.0
    price = opened * (1 + costs.slippage(share))
    rate = costs.taker_fee
    qty = start_cash / (price * (1 + rate) if costs.fee_currency == "quote" else price)
    fee_quote = qty * price * rate
    fee = qty * rate if costs.fee_currency == "base" else fee_quote
    time = int(bars.open_time[bar])
    bought = Fill(bar, time, 1, bars.symbol, qty, price, fee, fee_quote, costs.fee_currency, "entry")
    owed = [
        Fill(at, int(bars.open_time[at]), 0, bars.symbol, 0.0, float(bars.open[at]), paid, paid, "quote", "funding")
        for at, rate in sorted((funding or {}).items())
        if bar < at < len(bars)
        for paid in [rate * bought.position_change * float(bars.open[at])]
    ]
    return _baseline((bought, *owed), bars, costs, start_cash, start_bar)


@dataclass(frozen=True, eq=False)
class SharedBaseline:
    """A baseline of several symbols: equity at every step, and its figures."""

    equity: FloatArray
    metrics: Metrics


def hold_all(
    markets: Sequence[Bars],
    costs: Costs,
    *,
    start_cash: float,
    start_bars: Sequence[int],
    clock: Clock,
    start_step: int,
    funding: Sequence[Mapping[int, float]],
) -> SharedBaseline:
    """Give each symbol the same part of the cash at the first open that it could be traded at, as one buys and holds.

    >>> from itb.datafeeds.waves import sinus
    >>> from itb.market.costs import Costs
    >>> from itb.market.raster import Clock
    >>> bars = sinus(bars=50)
    >>> both = hold_all(
    ...     [bars], Costs(), start_cash=100.0, start_bars=[0], clock=Clock.of([bars]), start_step=0, funding=[{}]
    ... )
    >>> both.metrics.to_dict() == buy_and_hold(bars, Costs(), start_cash=100.0).metrics.to_dict()
    True
    """
    part = start_cash / len(markets)
    equity, held = np.full(len(clock), start_cash), np.zeros(len(clock))
    fills: list[Fill] = []
    slippage = 0.0
    for bars, start, rates in zip(markets, start_bars, funding, strict=True):
        one = buy_and_hold(bars, costs, start_cash=part, start_bar=start, funding=rates)
        row = np.searchsorted(bars.open_time, clock.open_time, side="right") - 1
        known = row >= 0
        equity[known] += one.account.equity[row[known]] - part
        held[known] += np.abs(one.account.position[row[known]])
        fills += one.fills
        slippage += one.metrics.slippage
    trades = [trade for bars in markets for trade in round_trips([f for f in fills if f.symbol == bars.symbol], bars)]
    metrics = compute(
        clock, equity, held, fills, trades, start_cash=start_cash, start_bar=start_step, slippage=slippage
    )
    return SharedBaseline(equity, metrics)


def cash(bars: Bars, costs: Costs, *, start_cash: float, start_bar: int = 0) -> Baseline:
    """Hold the starting cash, which earns nothing.

    >>> from itb.market.bars import Bars
    >>> from itb.market.costs import Costs
    >>> bars = Bars.of("BTC/USDT", "1d", [0], open=[1], high=[1], low=[1], close=[1], volume=[1])
    >>> cash(bars, Costs(), start_cash=1_000.0).metrics.total_return
    0.0
    """
    return _baseline((), bars, costs, start_cash, start_bar)


def _baseline(fills: tuple[Fill, ...], bars: Bars, costs: Costs, start_cash: float, start_bar: int) -> Baseline:
    account = replay(fills, bars, start_cash)
    metrics = compute(
        bars,
        account.equity,
        account.position,
        fills,
        round_trips(fills, bars),
        start_cash=start_cash,
        start_bar=start_bar,
        slippage=slippage_paid(fills, gross_prices(fills, costs, bars)),
    )
    return Baseline(fills, account, metrics)
