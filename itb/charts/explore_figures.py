"""Pictures of what goes into a model: coverage of the calendar, drift of features, their likeness, their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.encoding import figure_text, pack
from itb.charts.figure import (
    BAD,
    DOWN,
    HOLD,
    INK,
    MUTED,
    PANEL,
    SERIES,
    STRATEGY,
    UP,
    Figure,
    Spec,
    axis,
    layout,
    rule,
    title,
)
from itb.charts.wording import significant

if TYPE_CHECKING:
    from itb.charts.explore_data import CoverageMap, HistogramPair, LabelSight, LikenessMap

_TICKS = 70  # names beside a heat map, before they would overlap


def grid_of(values: np.ndarray[Any, Any]) -> Spec:
    """Pack a matrix for a heat map."""
    return {**pack(values), "shape": f"{values.shape[0]}, {values.shape[1]}"}


def coverage_figure(coverage: CoverageMap, key: str = "coverage") -> Figure:
    """Draw a strip for each source: green where all bars are there, orange to red where some are missing."""
    cell = "day" if coverage.days == 1 else f"{coverage.days} days"
    strips: Spec = {
        "type": "heatmap",
        "x": [str(np.datetime64(int(start), "ms"))[:10] for start in coverage.start],
        "y": [figure_text(name) for name in coverage.names],
        "z": grid_of(coverage.share),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, BAD], [0.998, DOWN], [1, UP]],
        "showscale": False,
        "ygap": 3,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}, %{{x}}: %{{z:.1%}} of the {cell}<extra></extra>",
    }
    return Figure(
        key,
        f"Share of bars that are there, {'day by day' if coverage.days == 1 else f'in cells of {coverage.days} days'}",
        [strips],
        layout(
            hovermode="closest",
            xaxis=axis(type="date", showgrid=False),
            yaxis=axis(showgrid=False, type="category", autorange="reversed", tickfont={"color": MUTED, "size": 11}),
        ),
        height=60 + 34 * len(coverage.names),
        notes=("Green: complete. Orange: some are missing, the redder the more.",),
    )


def histogram_figure(pair: HistogramPair, key: str) -> Figure:
    """Draw how one feature lay while the last model learned, and how it lay afterwards."""
    middle = (pair.edges[1:] + pair.edges[:-1]) / 2
    shared: Spec = {"x": pack(middle, "f8"), "hovertemplate": "%{x:.4~r}: %{y:.1%}"}
    learned: Spec = {
        **shared,
        "type": "bar",
        "name": "learned",
        "y": pack(pair.before),
        "marker": {"color": HOLD, "line": {"width": 0}},
        "opacity": 0.55,
    }
    after: Spec = {
        **shared,
        "type": "scatter",
        "mode": "lines",
        "name": "after",
        "y": pack(pair.after),
        "line": {"color": STRATEGY, "width": 2, "shape": "hvh"},
    }
    return Figure(
        key,
        f"{pair.name} · PSI {significant(pair.psi, 3)}",
        [learned, after],
        layout(
            bargap=0,
            xaxis=axis(showgrid=False, nticks=5, tickformat=".3~r"),
            yaxis=axis(showticklabels=False, rangemode="tozero", nticks=3),
        ),
        height=150,
    )


def likeness_figure(like: LikenessMap, key: str = "likeness") -> Figure:
    """Draw rank correlations, features that are alike side by side, clusters framed."""
    names = [figure_text(name) for name in like.names]
    count = len(names)
    cells: Spec = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": grid_of(like.correlation),
        "zmin": -1,
        "zmax": 1,
        "colorscale": [[0, DOWN], [0.5, PANEL], [1, STRATEGY]],
        "colorbar": {"thickness": 8, "outlinewidth": 0, "tickfont": {"color": MUTED, "size": 10}, "nticks": 5},
        "hovertemplate": "%{y}<br>%{x}<br>ρ %{z:.2f}<extra></extra>",
    }
    edges = np.concatenate(([0], np.flatnonzero(np.diff(like.cluster)) + 1, [count]))
    frames = [
        {
            **rule(color=INK, dash="solid", x0=start - 0.5, x1=stop - 0.5, y0=start - 0.5, y1=stop - 0.5),
            "type": "rect",
            "fillcolor": "rgba(0,0,0,0)",
        }
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if stop - start > 1
    ]
    shown = count <= _TICKS
    each = axis(showgrid=False, type="category", showticklabels=shown, dtick=1, tickfont={"color": MUTED, "size": 9})
    return Figure(
        key,
        f"Rank correlation of {count} features, clusters framed",
        [cells],
        layout(
            hovermode="closest",
            xaxis={**each, "showticklabels": False},
            yaxis={**each, "autorange": "reversed"},
            shapes=frames,
        ),
        height=min(900, 120 + (11 if shown else 6) * max(count, 12)),
        notes=like.notes,
    )


def label_figure(label: LabelSight, key: str) -> Figure:
    """Draw, refit by refit, the balance of labels taught and met, and below how unique those taught were."""
    folds = [figure_text(name) for name in label.folds]

    def line(name: str, values: np.ndarray[Any, Any], color: str, **more: object) -> Spec:
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": folds,
            "y": pack(values),
            "line": {"color": color, "width": 2},
            "marker": {"color": color, "size": 5},
            **more,
        }

    shown = "%{y:.4~r}"
    lines = [
        line(f"{label.what}, taught", label.learned, HOLD, hovertemplate=shown),
        line(f"{label.what}, came true after", label.scored, STRATEGY, hovertemplate=shown),
        line("uniqueness of those taught", label.uniqueness, SERIES[0], yaxis="y2", hovertemplate="%{y:.2%}"),
        line("dropped as not known yet", label.dropped, DOWN, yaxis="y2", hovertemplate="%{y:.2%}"),
    ]
    return Figure(
        key,
        f"Label {label.name}, refit by refit",
        lines,
        layout(
            showlegend=True,
            xaxis=axis(type="category", showgrid=False, nticks=5, tickangle=0, anchor="y2"),
            yaxis=axis(domain=[0.42, 1], title=title(figure_text(label.what))),
            yaxis2=axis(domain=[0, 0.34], rangemode="tozero", tickformat=".0%", nticks=4, title=title("share")),
        ),
        height=400,
        notes=label.notes,
    )
