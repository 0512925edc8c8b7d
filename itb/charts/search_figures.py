"""What a search found: its worth beside the crowd, its history, and what became of the best out of sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack, pack_times
from itb.charts.figure import (
    ACCENT,
    BAD,
    GRID,
    HOLD,
    INK,
    MUTED,
    STRATEGY,
    Figure,
    Spec,
    axis,
    layout,
    mark,
    rule,
    time_axis,
    title,
)
from itb.charts.thinning import thin_line
from itb.charts.wording import number, percent

if TYPE_CHECKING:
    from itb.charts.search_data import Crowd, DailyLine, Halves, Trials
    from itb.market.bars import FloatArray, IntArray

MOST_POINTS = 4_000
_THREAD_POINTS = 400
_FAN, _THREAD = "var(--fan)", "var(--thread)"


def worth_figure(lines: tuple[DailyLine, ...], crowd: Crowd | None = None) -> Figure:
    """Draw what 1 became: the headline and what it is compared with, over the fan of all trials."""
    traces = [] if crowd is None else _fan(crowd)
    colors = (STRATEGY, *("var(--warn)" for _ in lines[1:-1]), HOLD)  # the last of several is what all are held against
    for line, color in reversed(list(zip(lines, colors, strict=False))):
        kept = thin_line(line.worth)
        traces.append(
            {
                "type": "scatter",
                "lod": "line",
                "name": figure_text(line.name),
                "x": pack_times(line.day[kept]),
                "y": pack(line.worth[kept]),
                "mode": "lines",
                "line": {"color": color, "width": 2.6 if line is lines[0] else 1.6},
                "hovertemplate": "%{y:.3f}",
            }
        )
    shapes, labels = [], []
    whole = min((int(line.day[0]) for line in lines[1:] if len(line.day)), default=None)
    if lines and len(lines[0].day) and whole is not None and int(lines[0].day[0]) > whole:
        begins = int(lines[0].day[0])
        shapes.append(rule(x0=begins, x1=begins, yref="paper", y0=0, y1=1))
        words = f"{figure_text(lines[0].name.partition(',')[0])} begins"
        labels.append(mark(words, x=begins, yref="paper", y=0, xanchor="left", yanchor="bottom", xshift=4))
    return Figure(
        "worth",
        "What 1 became" + ("" if crowd is None else f", over the crowd of {crowd.trials:,} trials"),
        traces,
        layout(
            xaxis=time_axis(),
            yaxis=axis(title=title("worth of 1"), tickformat=".2f"),
            showlegend=True,
            shapes=shapes,
            annotations=labels,
        ),
        height=440,
        is_timeline=True,
        has_log=all(bool((line.worth > 0).all()) for line in lines),
        notes=() if crowd is None else (_about(crowd),),
    )


def _about(crowd: Crowd) -> str:
    return (
        f"Bands hold the middle {_span(crowd, 0)} and {_span(crowd, 1)} of all trials on each day; thin lines are "
        f"{len(crowd.lines)} of them."
    )


def _span(crowd: Crowd, place: int) -> str:
    return percent(crowd.quantiles[-1 - place] - crowd.quantiles[place], 0, signed=False)


def _fan(crowd: Crowd) -> list[Spec]:
    """Draw bands between opposite quantiles, the median, and threads: one trace, broken between trials."""
    traces: list[Spec] = []
    if len(crowd.lines):
        kept = [thin_line(line, _THREAD_POINTS) for line in crowd.lines]
        gap = np.array([np.nan])
        x = np.concatenate([part for k in kept for part in (crowd.day[k].astype(np.float64), gap)])
        y = np.concatenate([part for line, k in zip(crowd.lines, kept, strict=True) for part in (line[k], gap)])
        traces.append(
            {
                "type": "scatter",
                "name": "some trials",
                "x": pack(x, "f8"),
                "y": pack(y),
                "mode": "lines",
                "line": {"color": _THREAD, "width": 0.8},
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    count = len(crowd.quantiles)
    for place in range(count // 2):
        traces.append({**_edge(crowd, place), "showlegend": False})
        name = f"middle {_span(crowd, place)} of trials"
        filled = {"fill": "tonexty", "fillcolor": _FAN, "name": name, "showlegend": False}
        traces.append({**_edge(crowd, count - 1 - place), **filled})
    if count % 2:
        middle = {"name": "median trial", "line": {"color": MUTED, "width": 1, "dash": "dot"}}
        traces.append({**_edge(crowd, count // 2), **middle, "hoverinfo": "all", "hovertemplate": "%{y:.3f}"})
    return traces


def _edge(crowd: Crowd, place: int) -> Spec:
    return {
        "type": "scatter",
        "lod": "line",
        "name": "",
        "x": pack_times(crowd.day),
        "y": pack(crowd.shares[:, place]),
        "mode": "lines",
        "line": {"color": _FAN, "width": 0},
        "hoverinfo": "skip",
    }


def history_figure(trials: Trials) -> Figure:
    """Draw the objective of every trial as it came, and the best so far; what has no result stands in a strip below."""
    value, state = trials.objective, np.array(trials.state)
    sign = trials.directions[0]
    counted = (state == "complete") & np.isfinite(value)
    improving = np.maximum.accumulate(np.where(counted, sign * value, -np.inf))
    steps = np.flatnonzero(improving > np.concatenate(([-np.inf], improving[:-1])))
    traces = []
    for name, places, look in (
        ("breaks a constraint", np.flatnonzero((state == "infeasible") & np.isfinite(value)), _hollow),
        ("trial", np.flatnonzero(counted), {"color": STRATEGY, "size": 5, "opacity": 0.55}),
    ):
        if len(places):
            kept = evenly(places, MOST_POINTS, steps)
            traces.append(dots(name, trials.number[kept], trials.number[kept], value[kept], look))
    if len(steps):
        last = int(trials.number[-1])
        traces.append(
            {
                "type": "scatter",
                "name": "best so far",
                "x": pack(np.append(trials.number[steps], last), "u4"),
                "y": pack(np.append(value[steps], value[steps[-1]]), "f8"),
                "mode": "lines",
                "line": {"color": ACCENT, "width": 2, "shape": "hv"},
                "hoverinfo": "skip",
            }
        )
        traces.append(_ring(trials, trials.number, value))
    lost = [(name, color) for name, color in (("failed", BAD), ("pruned", HOLD)) if (state == name).any()]
    for name, color in lost:
        places = evenly(np.flatnonzero(state == name), MOST_POINTS)
        cross = {"color": color, "size": 6, "symbol": "x-thin", "line": {"color": color, "width": 1.5}}
        strip = dots(name, trials.number[places], trials.number[places], np.zeros(len(places)), cross)
        traces.append({**strip, "yaxis": "y2", "hovertemplate": f"trial %{{x}} {name}<extra></extra>"})
    reach, note = robust_range(value[np.isfinite(value)], sign)
    more = {"yaxis2": axis(domain=[0, 0.07], showticklabels=False, showgrid=False, range=[-1, 1])} if lost else {}
    named = figure_text(trials.objectives[0])
    return Figure(
        "history",
        f"{trials.objectives[0]} by trial, and the best so far",
        traces,
        layout(
            hovermode="closest",
            xaxis=axis(title=title("trial"), showgrid=False, anchor="y2" if lost else "y"),
            yaxis=axis(title=title(named), domain=[0.12 if lost else 0, 1], **reach),
            showlegend=True,
            **more,
        ),
        height=340,
        notes=note,
    )


_hollow: Spec = {"color": "rgba(0,0,0,0)", "size": 6, "line": {"color": HOLD, "width": 1.2}}


def halves_figure(halves: Halves) -> Figure:
    """Draw what each trial did in the second half of the days against what it did in the first."""
    kept = evenly(np.arange(len(halves.number)), MOST_POINTS)
    look = {"color": STRATEGY, "size": 6, "opacity": 0.5}
    number_of = halves.number[kept]
    traces = [dots("trial", number_of, halves.inside[kept], halves.outside[kept], look, digits=".2f")]
    if halves.best is not None:
        at = halves.best
        traces.append(star("best", halves.inside[at : at + 1], halves.outside[at : at + 1]))
    both = np.concatenate((halves.inside, halves.outside))
    both = both[np.isfinite(both)]
    low, high = (float(q) for q in np.quantile(both, (0.0, 1.0))) if len(both) else (0.0, 1.0)
    return Figure(
        "halves",
        f"{halves.figure}: second half of the days against the first",
        traces,
        layout(
            hovermode="closest",
            xaxis=axis(title=title("first half (to choose by)"), zeroline=True, zerolinecolor=MUTED, showgrid=False),
            yaxis=axis(title=title("second half (what came)"), zeroline=True, zerolinecolor=MUTED),
            shapes=[rule(x0=low, y0=low, x1=high, y1=high)],
            showlegend=halves.best is not None,
        ),
        height=380,
        notes=(_about_halves(halves),) if np.isfinite(halves.correlation) else (),
    )


def _about_halves(halves: Halves) -> str:
    return (
        f"Rank correlation of the two halves: {number(halves.correlation, 2, signed=True)}. Where choosing works, "
        "points lie along the rising diagonal; a cloud or a falling line is luck."
    )


def logits_figure(logits: FloatArray) -> Figure:
    """Draw how the best of one half of the days ranked in the other, over all ways to halve them."""
    width = max(float(np.ptp(logits)) / 40, 1e-3)
    slot = np.ceil(logits / width).astype(np.int64) - 1  # 0 itself is overfit and stands on that side
    first = int(slot.min())
    counts = np.bincount(slot - first)
    centres = (first + np.arange(len(counts)) + 0.5) * width
    bars: Spec = {
        "type": "bar",
        "x": pack(centres, "f8"),
        "y": pack(counts / len(logits), "f8"),
        "width": width * 0.92,
        "marker": {"color": [STRATEGY if centre > 0 else BAD for centre in centres], "line": {"width": 0}},
        "hovertemplate": "%{y:.1%} of splits around %{x:.2f}<extra></extra>",
    }
    share = float(np.mean(logits <= 0))
    return Figure(
        "logits",
        f"Where the best of one half ranks in the other: {percent(share, 0, signed=False)} below the middle (PBO)",
        [bars],
        layout(
            hovermode="closest",
            xaxis=axis(title=title("logit of the rank out of sample: 0 is the middle"), showgrid=False),
            yaxis=axis(title=title("share of splits"), tickformat=".0%"),
            shapes=[rule(x0=0, x1=0, yref="paper", y0=0, y1=1, color=INK)],
        ),
        height=380,
        notes=(f"{len(logits):,} ways to halve the days. Left of the line choosing was worse than drawing lots.",),
    )


def front_figures(trials: Trials) -> tuple[Figure, ...]:
    """Draw the first objective against each other one, the trials that no other beats joined into a front."""
    if trials.front is None or len(trials.objectives) < 2:
        return ()
    known = np.isfinite(trials.values).all(axis=1)
    figures = []
    for place in range(1, len(trials.objectives)):
        x, y = trials.values[:, 0], trials.values[:, place]
        rest = evenly(np.flatnonzero(known & ~trials.front), MOST_POINTS)
        front = np.flatnonzero(known & trials.front)
        front = front[np.argsort(x[front], kind="stable")]
        traces = [
            dots("trial", trials.number[rest], x[rest], y[rest], {"color": HOLD, "size": 5, "opacity": 0.5}),
            {
                **dots("front", trials.number[front], x[front], y[front], {"color": ACCENT, "size": 8}),
                "mode": "lines+markers" if len(trials.objectives) == 2 else "markers",
                "line": {"color": ACCENT, "width": 1},
            },
        ]
        names = [figure_text(trials.objectives[i]) for i in (0, place)]
        figures.append(
            Figure(
                f"front-{place}",
                f"{trials.objectives[place]} against {trials.objectives[0]}, and the trials that nothing beats",
                traces,
                layout(
                    hovermode="closest",
                    xaxis=axis(title=title(names[0]), showgrid=False),
                    yaxis=axis(title=title(names[1])),
                    showlegend=True,
                ),
                height=360,
            )
        )
    return tuple(figures)


def evenly(places: IntArray, limit: int, always: IntArray | None = None) -> IntArray:
    """Keep at most ``limit`` of some places at even steps, and those that must stay.

    >>> evenly(np.arange(10), 3, np.array([7])).tolist()
    [0, 4, 7, 9]
    """
    if len(places) <= limit:
        return places
    kept = places[np.linspace(0, len(places) - 1, limit).astype(np.int64)]
    return kept if always is None else np.union1d(kept, np.intersect1d(always, places))


def robust_range(values: FloatArray, sign: int) -> tuple[Spec, tuple[str, ...]]:
    """Give the range of an axis that does not let a few bad trials flatten all others, and the note that says so."""
    if len(values) < 20:
        return {}, ()
    scaled = sign * values
    low, high = float(np.quantile(scaled, 0.05)), float(scaled.max())
    floor = low - 0.5 * (high - low)
    beyond = int((scaled < floor).sum())
    if not beyond or high <= low:
        return {}, ()
    ends = sorted((sign * floor, sign * (high + 0.12 * (high - low))))
    return {"range": ends, "autorange": False}, (f"{beyond:,} of the worst trials lie beyond the edge.",)


def dots(name: str, trial: IntArray, x: FloatArray | IntArray, y: FloatArray, look: Spec, digits: str = ".4~g") -> Spec:
    """Give trials as points, each with its number to be read at the pointer."""
    return {
        "type": "scatter",
        "name": name,
        "x": pack(x, "f8"),
        "y": pack(y, "f8"),
        "customdata": pack(trial, "u4"),
        "mode": "markers",
        "marker": look,
        "hovertemplate": f"trial %{{customdata}}: %{{x:{digits}}}, %{{y:{digits}}}<extra></extra>",
    }


def _ring(trials: Trials, x: FloatArray | IntArray, y: FloatArray) -> Spec:
    return star("best", x[trials.best : trials.best + 1], y[trials.best : trials.best + 1])


def star(name: str, x: FloatArray | IntArray, y: FloatArray) -> Spec:
    """Mark one point as the claimed best."""
    return {
        "type": "scatter",
        "name": name,
        "x": pack(x, "f8"),
        "y": pack(y, "f8"),
        "mode": "markers",
        "marker": {"color": "var(--warn)", "size": 13, "symbol": "star", "line": {"color": GRID, "width": 1}},
        "hovertemplate": f"{name}: %{{x:.4~g}}, %{{y:.4~g}}<extra></extra>",
    }
