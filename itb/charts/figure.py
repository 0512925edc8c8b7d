"""The common dress of every figure: a plotly dict whose colours are names that the page's theme resolves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]  # plotly's own JSON: traces and layouts have hundreds of optional keys

INK, MUTED, GRID, PANEL = "var(--ink)", "var(--muted)", "var(--grid)", "var(--panel)"
STRATEGY, HOLD, GOOD, BAD = "var(--strategy)", "var(--hold)", "var(--good)", "var(--bad)"
UP, DOWN, ACCENT, BAND = "var(--up)", "var(--down)", "var(--accent)", "var(--band)"
SERIES = ("var(--series-2)", "var(--series-3)", STRATEGY, HOLD)


@dataclass(frozen=True)
class Figure:
    """One drawn figure: traces and layout for plotly.js, its height in pixels, and what it shows in words.

    ``is_timeline`` gives it the buttons that choose a stretch of time; ``has_log`` the one for a logarithmic axis.
    """

    key: str
    label: str
    data: list[Spec]
    layout: Spec
    height: int = 320
    is_timeline: bool = False
    has_log: bool = False
    notes: tuple[str, ...] = field(default=())

    def spec(self) -> Spec:
        """Give what the page's script needs."""
        return {"id": self.key, "data": self.data, "layout": self.layout, "timeline": self.is_timeline}


def axis(**extra: object) -> Spec:
    """Give an axis with hair-thin lines; keyword arguments are plotly's own."""
    return {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "tickcolor": GRID,
        "ticks": "",
        "automargin": True,
        "fixedrange": True,
        "tickfont": {"color": MUTED, "size": 11},
        **extra,
    }


def time_axis(**extra: object) -> Spec:
    """Give a UTC time axis with a thin line at the pointer."""
    spike = {"showspikes": True, "spikemode": "across", "spikethickness": 1, "spikedash": "solid", "spikecolor": MUTED}
    return axis(type="date", hoverformat="%Y-%m-%d %H:%M", showgrid=False, **spike, **{"fixedrange": False, **extra})


def title(text: str) -> Spec:
    """Give an axis title in small muted type."""
    return {"text": text, "font": {"color": MUTED, "size": 11}, "standoff": 8}


def layout(**extra: object) -> Spec:
    """Give a layout without a box; keyword arguments are plotly's own."""
    return {
        "paper_bgcolor": PANEL,
        "plot_bgcolor": PANEL,
        "font": {"family": "var(--sans)", "size": 12, "color": INK},
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {"bgcolor": PANEL, "bordercolor": GRID, "font": {"color": INK, "size": 12}, "align": "left"},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"color": MUTED, "size": 12},
            "bgcolor": "rgba(0,0,0,0)",
        },
        "bargap": 0.12,
        "showlegend": False,
        **extra,
    }


def mark(text: str, **place: object) -> Spec:
    """Give a small annotation without an arrow."""
    return {"text": text, "showarrow": False, "font": {"color": MUTED, "size": 11}, **place}


def rule(*, color: str = MUTED, dash: str = "dot", **place: object) -> Spec:
    """Give a straight line across the figure."""
    return {"type": "line", "layer": "above", "line": {"color": color, "dash": dash, "width": 1}, **place}
