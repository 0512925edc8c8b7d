"""The picture of a market and its score: price and marks above, score and thresholds below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from itb.charts import picture
from itb.charts.score_blocks import moving_average
from itb.charts.wording import DASH, number, significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from itb.charts.picture import Colours, Theme
    from itb.charts.score_blocks import ScoreBlocks


@dataclass(frozen=True)
class Mark:
    """A purchase or sale at a moment (UTC milliseconds) and price."""

    time: int
    price: float
    side: Literal["buy", "sell"]


@dataclass(frozen=True, eq=False)
class ScorePicture:
    """Price with its range and averages, purchases and sales, and the score with thresholds and averages.

    The score's scale is symmetric around ``middle`` (0, or 0.5 for probabilities): 1.2 times the larger of the largest
    score and the largest threshold. ``note`` is told below the title. There is at least one block.
    """

    title: str
    note: str
    blocks: ScoreBlocks
    thresholds: tuple[float, ...] = ()
    price_averages: tuple[int, ...] = ()
    score_averages: tuple[int, ...] = ()
    marks: tuple[Mark, ...] = ()
    middle: float = 0.0
    zone: str = "UTC"

    def plain(self) -> dict[str, Any]:
        """Give it as JSON knows it; :func:`itb.charts.easel.of_plain` reads it back."""
        blocks = {name: values.tolist() for name, values in vars(self.blocks).items()}
        return {"kind": "score", **vars(self), "blocks": blocks, "marks": [vars(mark) for mark in self.marks]}

    def png(self, theme: Theme = "dark") -> bytes:
        """Draw it."""
        colours = picture.THEMES[theme]
        figure = picture.sheet(400, colours)
        close = self.blocks.close
        change = close[-1] / close[0] - 1
        tone = colours.up if change >= 0 else colours.down
        value = f"{significant(float(close[-1]), 6)}  {picture.change(float(change))}"
        picture.heading(figure, colours, self.title, value, self.note, tone=tone)
        score = picture.panel(figure, colours, 28, 112, labels=True)
        price = picture.panel(figure, colours, 166, 158 if self.price_averages else 172, labels=False)
        price.sharex(score)
        self._draw_price(price, colours)
        self._draw_score(score, colours)
        picture.time_scale(score, self.blocks.time, self.zone)
        n = len(close)
        score.set_xlim(-0.5, max(n - 0.5, 0.5) + 0.01 * n)
        return picture.png(figure)

    def _draw_price(self, axes: Axes, colours: Colours) -> None:
        blocks = self.blocks
        at = np.arange(len(blocks.close))
        axes.fill_between(at, blocks.low, blocks.high, color=colours.line, alpha=0.22, linewidth=0)
        axes.plot(at, blocks.close, color=colours.line, linewidth=1.1, solid_capstyle="round", solid_joinstyle="round")
        entries = []
        for window, colour in zip(self.price_averages, (colours.warn, colours.third), strict=False):
            axes.plot(at, moving_average(blocks.close, window), color=colour, linewidth=0.9)
            entries.append((colour, f"average of {window}"))
        reach = float(blocks.high.max() - blocks.low.min()) or 1.0
        axes.set_ylim(float(blocks.low.min()) - 0.12 * reach, float(blocks.high.max()) + 0.12 * reach)
        for side, shape, colour, shift in (("buy", "^", colours.up, -1), ("sell", "v", colours.down, 1)):
            shown = [mark for mark in self.marks if mark.side == side and blocks.time[0] <= mark.time]
            where = np.searchsorted(blocks.time, [mark.time for mark in shown], side="right") - 1
            heights = [mark.price + shift * 0.05 * reach for mark in shown]
            axes.scatter(
                where, heights, marker=shape, s=48, color=colour, edgecolors=colours.page, linewidths=0.8, zorder=4
            )
        picture.price_scale(axes)
        if entries:
            picture.legend(axes, entries)

    def _draw_score(self, axes: Axes, colours: Colours) -> None:
        score, middle = self.blocks.score, self.middle
        at = np.arange(len(score))
        there = score[np.isfinite(score)]
        sizes = [abs(value - middle) for value in (*there.tolist(), *self.thresholds)]
        reach = 1.2 * (max(sizes, default=1.0) or 1.0)
        axes.set_ylim(middle - reach, middle + reach)
        axes.axhline(middle, color=colours.muted, linewidth=0.6)
        for colour, where in ((colours.up, score > middle), (colours.down, score < middle)):
            axes.vlines(at[where], middle, score[where], color=colour, linewidth=max(0.8, min(3.0, 200 / len(at))))
        for threshold in self.thresholds:
            axes.axhline(threshold, color=colours.warn, linewidth=0.7, linestyle=(0, (4, 3)))
        newest = number(float(score[-1]), 2, signed=middle == 0) if np.isfinite(score[-1]) else DASH
        entries = [(colours.ink, f"score {newest}")]
        for window, colour in zip(self.score_averages, (colours.second, colours.third), strict=False):
            axes.plot(at, moving_average(score, window), color=colour, linewidth=1.0)
            entries.append((colour, f"average of {window}"))
        ticks = [*self.thresholds] or [middle - reach / 2, middle + reach / 2]
        if min(abs(tick - middle) for tick in ticks) > 0.25 * reach:  # else their names would lie on each other
            ticks.append(middle)
        axes.set_yticks(ticks, [number(tick, 2, signed=middle == 0) for tick in ticks])
        axes.grid(visible=False)
        picture.legend(axes, entries)
