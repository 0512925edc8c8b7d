"""Is there skill: quality of every walk-forward block, reliability of the probability, features used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack
from itb.charts.figure import ACCENT, HOLD, MUTED, STRATEGY, Figure, Spec, axis, layout, mark, rule, title
from itb.charts.wording import significant

if TYPE_CHECKING:
    from itb.charts.data import Calibration, FoldQuality, Importance

MAX_FEATURES = 25


def fold_figure(quality: FoldQuality, key: str) -> Figure:
    """Draw one bar per block, standing on what guessing would score."""
    above = quality.values - quality.base
    bars: Spec = {
        "type": "bar",
        "x": [figure_text(label) for label in quality.labels],
        "y": pack(above, "f8"),
        "base": quality.base,
        "customdata": pack(quality.values, "f8"),
        "marker": {"color": [STRATEGY if gain > 0 else HOLD for gain in above], "line": {"width": 0}},
        "hovertemplate": f"%{{x}}: {figure_text(quality.metric)} %{{customdata:.4f}}<extra></extra>",
    }
    at_base = rule(xref="paper", x0=0, x1=1, y0=quality.base, y1=quality.base, dash="solid")
    shapes, labels = [at_base], [_side_mark(f"guessing {significant(quality.base, 3)}", quality.base, below=True)]
    if quality.pooled is not None and np.isfinite(quality.pooled):
        shapes.append(rule(xref="paper", x0=0, x1=1, y0=quality.pooled, y1=quality.pooled, color=ACCENT))
        labels.append(_side_mark(f"pooled {significant(quality.pooled, 3)}", quality.pooled, color=ACCENT))
    return Figure(
        key,
        f"{quality.metric} of every walk-forward block{_of(quality.column)}",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(type="category", showgrid=False, nticks=8, tickangle=0),
            yaxis=axis(title=title(figure_text(quality.metric))),
            shapes=shapes,
            annotations=labels,
            margin={"l": 8, "r": 84, "t": 12, "b": 8},
        ),
        height=260,
    )


def _of(column: str) -> str:
    return f" · {column}" if column else ""


def _side_mark(text: str, level: float, *, color: str = MUTED, below: bool = False) -> Spec:
    place = {
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "xshift": 4,
        "y": level,
        "yanchor": "top" if below else "bottom",
    }
    return {**mark(text, **place), "font": {"color": color, "size": 11}}


def calibration_figure(curve: Calibration, key: str = "calibration") -> Figure:
    """Draw what came true against what was predicted, with the number of predictions in each bin below."""
    dots: Spec = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": pack(curve.predicted),
        "y": pack(curve.observed),
        "customdata": pack(curve.counts, "u4"),
        "line": {"color": STRATEGY, "width": 2},
        "marker": {"color": STRATEGY, "size": 8},
        "hovertemplate": "predicted %{x:.3f}, came true %{y:.3f} (%{customdata:,} bars)<extra></extra>",
    }
    counts: Spec = {
        "type": "bar",
        "x": pack(curve.predicted),
        "y": pack(curve.counts, "u4"),
        "yaxis": "y2",
        "marker": {"color": HOLD, "line": {"width": 0}},
        "hovertemplate": "%{y:,} bars<extra></extra>",
    }
    known = np.concatenate((curve.predicted, curve.observed))
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return Figure(
        key,
        f"Reliability of {curve.column}: predicted against observed share",
        [dots, counts],
        layout(
            hovermode="closest",
            xaxis=axis(title=title("predicted"), anchor="y2", showgrid=False),
            yaxis=axis(domain=[0.32, 1], title=title("came true")),
            yaxis2=axis(domain=[0, 0.22], title=title("bars"), nticks=3),
            shapes=[rule(x0=low, y0=low, x1=high, y1=high)],
            annotations=[mark("perfect", x=high, y=high, xanchor="right", yanchor="bottom")],
        ),
        height=470,
    )


def importance_figure(
    importance: Importance, key: str = "importance", said: str = "Most used features", unit: str = "features"
) -> Figure:
    """Draw the most used features (or whatever else has a share), largest on top."""
    order = np.argsort(-importance.values, kind="stable")[:MAX_FEATURES][::-1]
    bars: Spec = {
        "type": "bar",
        "orientation": "h",
        "y": [figure_text(importance.names[i]) for i in order],
        "x": pack(importance.values[order], "f8"),
        "marker": {"color": STRATEGY, "line": {"width": 0}},
        "hovertemplate": "%{y}: %{x:.4~r}<extra></extra>",
    }
    total = len(importance.names)
    return Figure(
        key,
        f"{said} ({importance.kind}){_of(importance.column)}",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(title=title(figure_text(importance.kind)), rangemode="tozero", nticks=6),
            yaxis=axis(showgrid=False, type="category", dtick=1, tickfont={"color": MUTED, "size": 10}),
        ),
        height=max(160, 60 + 17 * len(order)),
        notes=(f"The first {len(order)} of {total} {unit}.",) if total > len(order) else (),
    )
