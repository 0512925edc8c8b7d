"""The picture of an account: what it is worth over time, and how far it is below its peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts import picture
from itb.charts.wording import number, percent

if TYPE_CHECKING:
    from itb.charts.picture import Theme
    from itb.market.bars import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class EquityPicture:
    """An account's worth at moments (UTC milliseconds), at least one of them, in ``currency``.

    ``hold`` is what holding the coin would have made of the same start, where it is known. ``note`` is told below the
    title.
    """

    title: str
    note: str
    time: IntArray
    equity: FloatArray
    currency: str
    hold: FloatArray | None = None
    zone: str = "UTC"

    def plain(self) -> dict[str, Any]:
        """Give it as JSON knows it; :func:`itb.charts.easel.of_plain` reads it back."""
        hold = None if self.hold is None else self.hold.tolist()
        return {
            "kind": "equity",
            **vars(self),
            "time": self.time.tolist(),
            "equity": self.equity.tolist(),
            "hold": hold,
        }

    def png(self, theme: Theme = "dark") -> bytes:
        """Draw it."""
        colours = picture.THEMES[theme]
        figure = picture.sheet(338, colours)
        equity, at = self.equity, np.arange(len(self.equity))
        change = float(equity[-1] / equity[0] - 1)
        tone = colours.ink if not change else colours.up if change > 0 else colours.down
        value = f"{number(float(equity[-1]), 0)} {self.currency}  {picture.change(change)}"
        picture.heading(figure, colours, self.title, value, self.note, tone=tone)
        drawdown = picture.panel(figure, colours, 28, 62, labels=True)
        account = picture.panel(figure, colours, 104, 178 if self.hold is None else 160, labels=False)
        account.sharex(drawdown)
        if self.hold is not None:
            account.plot(at, self.hold, color=colours.muted, linewidth=0.9)
            picture.legend(account, [(colours.line, "account"), (colours.muted, "buy and hold")])
        account.plot(at, equity, color=colours.line, linewidth=1.3, solid_joinstyle="round")
        account.fill_between(at, equity[0], equity, color=colours.line, alpha=0.14, linewidth=0)
        account.axhline(float(equity[0]), color=colours.muted, linewidth=0.6, linestyle=(0, (2, 3)))
        account.margins(y=0.14)
        picture.price_scale(account)
        below = 100 * (equity / np.maximum.accumulate(equity) - 1)
        drawdown.fill_between(at, below, 0, color=colours.down, alpha=0.35, linewidth=0)
        drawdown.plot(at, below, color=colours.down, linewidth=0.8)
        deepest = float(below.min())
        drawdown.set_ylim(min(1.6 * deepest, -0.1), 0)
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

        drawdown.yaxis.set_major_locator(MaxNLocator(3) if deepest < 0 else FixedLocator([0]))
        digits = 1 if deepest < -0.5 else 2
        drawdown.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value, digits)} %"))
        worst = f"deepest below its peak: {percent(deepest / 100, digits)}" if deepest < 0 else "never below its peak"
        drawdown.text(
            0.01, 0.06, worst, transform=drawdown.transAxes, color=colours.muted, size=picture.points(10.5),
            family="DejaVu Sans", va="bottom",
        )  # fmt: skip
        picture.time_scale(drawdown, self.time, self.zone)
        drawdown.set_xlim(-0.5, max(len(at) - 0.5, 0.5))
        return picture.png(figure)
