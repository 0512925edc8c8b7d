"""Pictures of what came of scores: returns by group, profit by threshold, calibration before and after, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.encoding import figure_text, pack
from itb.charts.figure import (
    BAD,
    DOWN,
    GOOD,
    HOLD,
    MUTED,
    SERIES,
    STRATEGY,
    UP,
    Figure,
    Spec,
    axis,
    layout,
    mark,
    rule,
    title,
)
from itb.charts.model_figures import MAX_FEATURES
from itb.charts.wording import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.charts.data import Calibration
    from itb.charts.explore_data import ProfitLine, ScoreLadder, Swarm, Weights

_BPS = 1e4
_COINS = 8  # lines of one picture


def ladder_figure(ladder: ScoreLadder, key: str) -> Figure:
    """Draw the mean return of every group of scores with its interval."""
    told = np.isfinite(ladder.margin)
    bars: Spec = {
        "type": "bar",
        "x": [f"{place + 1}" for place in range(len(ladder.rows))],
        "y": pack(_BPS * ladder.value, "f8"),
        "marker": {"color": [GOOD if value > 0 else BAD for value in ladder.value], "line": {"width": 0}},
        "error_y": {
            "array": pack(np.where(told, _BPS * ladder.margin, 0.0), "f8"),
            "color": MUTED,
            "thickness": 1.5,
            "width": 4,
            "visible": bool(told.any()),
        },
        "customdata": [
            f"mean score {significant(score, 4)}, {rows:,} bars"
            for score, rows in zip(ladder.score, ladder.rows, strict=True)
        ],
        "hovertemplate": "%{y:.1f} bps, %{customdata}<extra></extra>",
    }
    notes = [f"Returns over {ladder.bars:,} bars from close to close, before costs."]
    notes += [] if told.any() else ["Too few stretches of time without shared bars for an interval."]
    return Figure(
        key,
        "Mean return by score, lowest tenth to highest" if len(ladder.rows) == 10 else "Mean return by group of scores",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(type="category", showgrid=False, title=title("group of scores, lowest to highest")),
            yaxis=axis(title=title("basis points")),
            shapes=[rule(xref="paper", x0=0, x1=1, y0=0, y1=0, dash="solid")],
        ),
        height=400,
        notes=tuple(notes),
    )


def profit_figure(lines: Sequence[ProfitLine], own: str, key: str) -> Figure:
    """Draw the mean return after cost beyond each threshold, coin by coin, and below how many bars lie there."""
    shown = sorted(lines, key=lambda line: line.coin != own)[:_COINS]
    traces: list[Spec] = []
    for place, line in enumerate(shown):
        several = len(shown) > 1
        colours = (SERIES[place % len(SERIES)],) * 2 if several else (GOOD, DOWN)
        x = pack(line.thresholds, "f8")
        for side, values, share, color, dash in (
            ("long above", line.long, line.long_share, colours[0], "solid"),
            ("short below", line.short, line.short_share, colours[1], "dot"),
        ):
            name = f"{figure_text(line.coin)} {side}" if several else side
            drawn = {"color": color, "width": 2 if line.coin == own else 1, "dash": dash}
            how = {"type": "scatter", "mode": "lines", "x": x, "name": name, "line": drawn, "legendgroup": name}
            traces.append({**how, "y": pack(_BPS * values), "hovertemplate": "%{y:.1f} bps"})
            below = {"yaxis": "y2", "showlegend": False, "hovertemplate": "%{y:.2%} of bars"}
            traces.append({**how, "y": pack(share), **below})
    notes = ["Thresholds are judged on the bars that they would be chosen from: the best point is the luckiest one."]
    notes += [f"The first {_COINS} of {len(lines)} coins."] if len(lines) > _COINS else []
    return Figure(
        key,
        "Mean return after costs beyond each threshold" + (", coin by coin" if len(shown) > 1 else ""),
        traces,
        layout(
            showlegend=True,
            xaxis=axis(showgrid=False, anchor="y2", title=title("threshold")),
            yaxis=axis(domain=[0.36, 1], title=title("basis points")),
            yaxis2=axis(domain=[0, 0.28], rangemode="tozero", tickformat=".0%", nticks=3, title=title("bars")),
            shapes=[rule(xref="paper", x0=0, x1=1, y0=0, y1=0, dash="solid")],
        ),
        height=420,
        notes=tuple(notes),
    )


def both_calibrations_figure(before: Calibration | None, after: Calibration | None, key: str) -> Figure | None:
    """Draw what came true against what was said, before the calibration stage and after it."""
    curves = [(name, one) for name, one in (("as the model gave it", before), ("after calibration", after)) if one]
    curves = [(name, one) for name, one in curves if len(one.predicted)]
    if not curves:
        return None
    traces: list[Spec] = []
    for place, (name, one) in enumerate(curves):
        color = STRATEGY if place == len(curves) - 1 else HOLD
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": pack(one.predicted),
                "y": pack(one.observed),
                "customdata": pack(one.counts, "u4"),
                "line": {"color": color, "width": 2},
                "marker": {"color": color, "size": 7},
                "hovertemplate": "said %{x:.3f}, came true %{y:.3f} (%{customdata:,} bars)",
            }
        )
        below = {"type": "bar", "yaxis": "y2", "x": pack(one.predicted), "y": pack(one.counts, "u4")}
        bare = {"marker": {"color": color, "line": {"width": 0}}, "opacity": 0.7, "showlegend": False}
        traces.append({**below, **bare, "hovertemplate": "%{y:,} bars<extra></extra>"})
    known = np.concatenate([np.concatenate((one.predicted, one.observed)) for _, one in curves])
    low, high = float(known.min()), float(known.max())
    return Figure(
        key,
        "Calibration: what was said against what came true",
        traces,
        layout(
            hovermode="closest",
            showlegend=len(curves) > 1,
            xaxis=axis(title=title("said"), anchor="y2", showgrid=False),
            yaxis=axis(domain=[0.36, 1], title=title("came true")),
            yaxis2=axis(domain=[0, 0.26], title=title("bars"), nticks=3),
            shapes=[rule(x0=low, y0=low, x1=high, y1=high)],
            annotations=[mark("perfect", x=high, y=high, xanchor="right", yanchor="bottom")],
        ),
        height=400,
    )


def weights_figure(weights: Weights, names: Sequence[str], key: str) -> Figure:
    """Draw the features that weigh most, heaviest on top, with intervals where there are any."""
    size = np.where(np.isfinite(weights.values), weights.values, -np.inf)
    order = np.argsort(-size, kind="stable")[:MAX_FEATURES]
    order = order[np.isfinite(weights.values[order])][::-1]
    bars: Spec = {
        "type": "bar",
        "orientation": "h",
        "y": [figure_text(names[i]) for i in order],
        "x": pack(weights.values[order], "f8"),
        "marker": {"color": [STRATEGY if weights.values[i] > 0 else HOLD for i in order], "line": {"width": 0}},
        "hovertemplate": "%{y}: %{x:.4~r}<extra></extra>",
    }
    if weights.margin is not None and np.isfinite(weights.margin[order]).any():
        spread = np.where(np.isfinite(weights.margin[order]), weights.margin[order], 0.0)
        bars["error_x"] = {"array": pack(spread, "f8"), "color": MUTED, "thickness": 1.2, "width": 3}
    left = len(names) - len(order)
    notes = (*weights.notes, *([f"The first {len(order)} of {len(names)} features."] if left else []))
    return Figure(
        key,
        weights.said,
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(title=title(weights.unit), nticks=6),
            yaxis=axis(showgrid=False, type="category", dtick=1, tickfont={"color": MUTED, "size": 10}),
            shapes=[rule(yref="paper", x0=0, x1=0, y0=0, y1=1, dash="solid")],
        ),
        height=max(160, 70 + 17 * len(order)),
        notes=notes,
    )


def swarm_figure(swarm: Swarm, key: str) -> Figure:
    """Draw each row's contribution as a dot, thick where many lie, coloured by where the feature stood."""
    count = len(swarm.names)
    levels = np.arange(count)[::-1]
    heights = np.concatenate([level + _spread(row) for level, row in zip(levels, swarm.parts, strict=True)])
    dots: Spec = {
        "type": "scatter",
        "mode": "markers",
        "x": pack(swarm.parts.ravel()),
        "y": pack(heights),
        "customdata": pack(swarm.standing.ravel()),
        "marker": {
            "size": 4,
            "opacity": 0.75,
            "color": pack(swarm.standing.ravel()),
            "colorscale": [[0, UP], [0.5, HOLD], [1, DOWN]],
            "cmin": 0,
            "cmax": 1,
        },
        "hovertemplate": "%{x:+.4~r}, feature at its %{customdata:.0%} point<extra></extra>",
    }
    return Figure(
        key,
        f"What moved single scores: the {count} features that weigh most",
        [dots],
        layout(
            hovermode="closest",
            xaxis=axis(title=title(swarm.unit), nticks=7),
            yaxis=axis(
                showgrid=False,
                tickmode="array",
                tickvals=levels.tolist(),
                ticktext=[figure_text(name) for name in swarm.names],
                range=[-0.7, count - 0.3],
                tickfont={"color": MUTED, "size": 10},
            ),
            shapes=[rule(yref="paper", x0=0, x1=0, y0=0, y1=1, dash="solid")],
        ),
        height=90 + 40 * count,
        notes=(f"{swarm.parts.shape[1]:,} rows, a dot each. Green: the feature was low, orange: it was high.",),
    )


def _spread(values: np.ndarray[Any, Any], bins: int = 80, width: float = 0.4) -> np.ndarray[Any, Any]:
    """Move dots that lie together apart, alternately up and down; the fullest place takes the whole width."""
    span = float(np.ptp(values)) if len(values) else 0.0
    place = np.zeros(len(values), dtype=np.int64)
    if span > 0:
        place = np.minimum(((values - values.min()) / span * bins).astype(np.int64), bins - 1)
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=bins)
    nth = np.empty(len(values), dtype=np.int64)
    nth[order] = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = (nth + 1) // 2 * np.where(nth % 2, 1, -1)
    return np.asarray(step * 2 * width / max(int(counts.max(initial=1)), 2))
