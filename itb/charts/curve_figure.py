"""How training went: the loss of every epoch of every refit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack
from itb.charts.figure import HOLD, MUTED, STRATEGY, Figure, Spec, axis, layout, title

if TYPE_CHECKING:
    from itb.charts.data import LearningCurves
    from itb.market.bars import FloatArray


def curve_figure(curves: LearningCurves, key: str) -> Figure:
    """Draw the losses held back, refit by refit, the last one in colour with the loss it learned from beside it."""
    traces: list[Spec] = []
    last = len(curves.held) - 1
    for number, (learned, held, kept) in enumerate(zip(curves.learned, curves.held, curves.kept, strict=True)):
        is_last = number == last
        name = f"refit {number}, held back"
        traces.append(_line(held, name, STRATEGY if is_last else HOLD, 2 if is_last else 1))
        if is_last:
            traces.append({**_line(learned, f"refit {number}, learned from", MUTED, 1), "name": "learned from"})
            at = {"x": pack(np.array([kept + 1.0])), "y": pack(held[kept : kept + 1])}
            dot = {"mode": "markers", "marker": {"size": 9, "color": STRATEGY}, "name": "kept"}
            traces.append({**_line(held, "kept", STRATEGY, 1), **at, **dot})
    for number, trace in enumerate(traces):
        trace["showlegend"] = number >= last
    return Figure(
        key,
        f"Losses of {figure_text(curves.column)}, epoch by epoch",
        traces,
        layout(
            hovermode="closest",
            showlegend=True,
            xaxis=axis(title=title("epoch"), showgrid=False),
            yaxis=axis(title=title("loss")),
        ),
        height=260,
        notes=("What is held back lies after what is learned from; the state of the best epoch is kept.",),
    )


def _line(losses: FloatArray, name: str, color: str, width: int) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name.rpartition(", ")[2],
        "x": pack(np.arange(1.0, len(losses) + 1)),
        "y": pack(losses, "f8"),
        "line": {"color": color, "width": width},
        "hovertemplate": f"{name}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
    }
