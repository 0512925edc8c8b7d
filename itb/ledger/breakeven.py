"""Break-even cost: how dear trading may be before a strategy's edge is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.market.costs import BPS, Costs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.market.bars import Bars, FloatArray
    from itb.market.fills import Fill

_LIMIT_REASONS = ("target",)  # limit orders do not slip


def gross_prices(fills: Sequence[Fill], costs: Costs, bars: Bars) -> FloatArray:
    """Take the slippage of ``costs`` out of the prices of ``fills``: what the market asked before it (quote per base).

    Every fill counts as a market or stop order but take-profits, which are limit orders and do not slip. Where limit
    orders of another kind were used, pass the market's prices from elsewhere.

    >>> from itb.market.bars import Bars
    >>> from itb.market.fills import Fill
    >>> bars = Bars.of("BTC/USDT", "1m", [0], open=[100], high=[100], low=[100], close=[100], volume=[50])
    >>> bought = Fill(0, 0, 1, "BTC/USDT", 2.0, 100.05, 0.2, 0.2, reason="entry")
    >>> gross_prices([bought], Costs(slippage_bps=5), bars).round(9).tolist()
    [100.0]
    """
    return np.array([_gross_price(fill, costs, bars) for fill in fills], dtype=np.float64)


def _gross_price(fill: Fill, costs: Costs, bars: Bars) -> float:
    if fill.reason in _LIMIT_REASONS or fill.qty == 0:
        return fill.price
    share = 0.0
    if costs.impact_bps:
        volume = float(bars.volume[fill.bar])
        share = abs(fill.qty) / volume if volume > 0 else 1.0
    return fill.price / (1 + math.copysign(costs.slippage(share), fill.qty))


def slippage_paid(fills: Sequence[Fill], gross: FloatArray) -> float:
    """Sum what fills paid over the prices ``gross`` (quote; below 0 where prices improved).

    >>> from itb.market.fills import Fill
    >>> round(slippage_paid([Fill(0, 0, 1, "BTC/USDT", -2.0, 99.0, 0.0, 0.0)], np.array([100.0])), 6)
    2.0
    """
    return math.fsum(fill.qty * (fill.price - price) for fill, price in zip(fills, gross.tolist(), strict=True))


@dataclass(frozen=True)
class BreakEven:
    """The same fills, quantities and market prices fixed, at any one-way cost.

    With ``c`` the cost of one side in basis points of its notional at the market's price,
    ``net(c) = (gross_pnl - c / 10000 * notional) / start_cash``. ``gross_pnl`` (quote) is what the account gained plus
    what fees and slippage took; funding stays in it, for it is a cash flow of holding, not a cost of trading.
    ``notional`` (quote) is the sum over all fills, ``charged_bps`` what the run charged, fees and slippage together
    (NaN without fills). Quantities would differ at another cost; the figure says what these fills would have made.

    >>> edge = BreakEven(gross_pnl=50.0, notional=20_000.0, charged_bps=15.0, start_cash=1_000.0)
    >>> edge.break_even_bps, edge.net_return(np.array([0.0, 25.0, 50.0])).tolist(), str(edge)
    (25.0, [0.05, 0.0, -0.05], '25.0 bps')
    >>> print(BreakEven(-1.0, 20_000.0, 15.0, 1_000.0))
    none
    """

    gross_pnl: float
    notional: float
    charged_bps: float
    start_cash: float

    @property
    def break_even_bps(self) -> float | None:
        """One-way cost (basis points) at which the net return equals that of cash; ``None`` without a gross edge."""
        if self.gross_pnl <= 0 or self.notional == 0:
            return None
        return self.gross_pnl / self.notional / BPS

    def net_return(self, one_way_bps: FloatArray) -> FloatArray:
        """Net return (fraction of the starting cash) at each one-way cost."""
        return np.asarray((self.gross_pnl - one_way_bps * BPS * self.notional) / self.start_cash)

    def __str__(self) -> str:
        return "none" if self.break_even_bps is None else f"{self.break_even_bps:.1f} bps"


def break_even(fills: Sequence[Fill], gross: FloatArray, *, start_cash: float, final_equity: float) -> BreakEven:
    """Find the cost that eats the edge of ``fills``, whose prices before slippage are ``gross``.

    >>> from itb.market.fills import Fill
    >>> bought = Fill(0, 0, 1, "BTC/USDT", 1.0, 101.0, 1.0, 1.0)
    >>> sold = Fill(1, 60_000, 2, "BTC/USDT", -1.0, 109.0, 1.0, 1.0)
    >>> edge = break_even([bought, sold], np.array([100.0, 110.0]), start_cash=1_000.0, final_equity=1_006.0)
    >>> edge.gross_pnl, round(edge.break_even_bps, 2), round(edge.charged_bps, 2)
    (10.0, 476.19, 190.48)
    """
    notional = math.fsum(abs(fill.qty) * price for fill, price in zip(fills, gross.tolist(), strict=True))
    fees = math.fsum(fill.fee_quote for fill in fills if fill.reason != "funding")
    costs = fees + slippage_paid(fills, gross)
    charged = costs / notional / BPS if notional else math.nan
    return BreakEven(final_equity - start_cash + costs, notional, charged, start_cash)


def cost_curve(edge: BreakEven, *, points: int = 41) -> tuple[FloatArray, FloatArray]:
    """Give one-way costs in basis points from 0 to past what was charged and past break-even, and net returns there.

    >>> costs, returns = cost_curve(BreakEven(50.0, 20_000.0, 15.0, 1_000.0), points=3)
    >>> costs.tolist(), returns.tolist()
    ([0.0, 25.0, 50.0], [0.05, 0.0, -0.05])
    """
    charged = 0.0 if math.isnan(edge.charged_bps) else edge.charged_bps
    grid = np.linspace(0.0, 2 * max(charged, edge.break_even_bps or 0.0, 5.0), points)
    return grid, edge.net_return(grid)
