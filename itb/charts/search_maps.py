"""Where good settings lie: windows, parameters, the plateau of the thresholds, and how the choice wandered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.encoding import figure_text, pack
from itb.charts.figure import DOWN, GRID, INK, MUTED, PANEL, STRATEGY, UP, Figure, Spec, axis, layout, title
from itb.charts.search_figures import dots, evenly, robust_range, star

if TYPE_CHECKING:
    import numpy.typing as npt

    from itb.charts.search_data import Drift, Parameter, Trials, WindowReturns
    from itb.market.bars import FloatArray

MOST_ROWS = 300
MOST_DOTS = 1_500
_GRID, _WIDTH = 41, 0.09
_GAIN: list[list[object]] = [[0, DOWN], [0.5, PANEL], [1, UP]]
_ABOUT_PLATEAU = (
    "The surface is the weighted mean of the trials around each point, blank where there is none. Trials also differ "
    "in settings that are not on the axes; the ringed neighbours are the nearest to the best in all of them."
)
_BAR: Spec = {"thickness": 8, "outlinewidth": 0, "tickfont": {"color": MUTED, "size": 10}, "xpad": 4, "nticks": 5}


def window_map(found: WindowReturns) -> Figure:
    """Draw the return of each trial in each window, best trial on top, and what the nested replay earned there."""
    rows = evenly(np.arange(len(found.number)), MOST_ROWS)
    table = found.returns[rows]
    known = np.abs(found.returns[np.isfinite(found.returns)])
    depth = max(float(np.quantile(known, 0.98)), 1e-6) if len(known) else 1.0
    names = [figure_text(name) for name in found.windows]
    common: Spec = {
        "type": "heatmap",
        "x": names,
        "zmin": -depth,
        "zmax": depth,
        "colorscale": _GAIN,
        "xgap": 1,
    }
    traces: list[Spec] = [
        {
            **common,
            "y": pack(rows + 1, "u4"),
            "z": shaped(table),
            "colorbar": {**_BAR, "tickformat": ".0%", "len": 1},
            "hovertemplate": "%{x}: rank %{y} earned %{z:.2%}<extra></extra>",
        }
    ]
    top = 1.0
    more: Spec = {}
    if found.nested is not None:
        top = 0.9
        strip = {"z": shaped(found.nested[None, :]), "y": ["nested"], "yaxis": "y2", "showscale": False}
        traces.append({**common, **strip, "hovertemplate": "%{x}: the nested replay earned %{z:.2%}<extra></extra>"})
        more = {"yaxis2": axis(domain=[0.94, 1], showgrid=False)}
    left = len(found.number) - len(rows)
    return Figure(
        "window-map",
        "Return of every trial in every window, best objective on top",
        traces,
        layout(
            hovermode="closest",
            xaxis=axis(showgrid=False, type="category", nticks=4, tickangle=0),
            yaxis=axis(title=title("rank of the trial"), domain=[0, top], autorange="reversed", showgrid=False),
            **more,
        ),
        height=420,
        notes=(
            "A good trial that is green in one column only was lucky once; columns that are red from top to bottom are "
            "times that no setting survived." + (f" {len(rows)} of {len(found.number):,} rows." if left else ""),
        ),
    )


def slice_figures(trials: Trials) -> tuple[Figure, ...]:
    """Draw the objective against each parameter, later trials darker; the best is starred."""
    known = np.flatnonzero(np.isfinite(trials.objective))
    if not len(known):
        return ()
    reach, _ = robust_range(trials.objective[known], trials.directions[0])
    return tuple(_slice(trials, place, reach) for place in range(len(trials.parameters)))


def _slice(trials: Trials, place: int, reach: Spec) -> Figure:
    parameter = trials.parameters[place]
    shown = np.flatnonzero(np.isfinite(trials.objective) & np.isfinite(parameter.values))
    shown = evenly(shown, MOST_DOTS)
    x = parameter.values
    if parameter.choices:
        x = x + ((trials.number * 0.618034) % 1 - 0.5) * 0.5  # beside each other, not on each other
    look = {
        "color": pack(trials.number[shown], "u4"),
        "colorscale": [[0, "var(--early)"], [1, STRATEGY]],
        "size": 5,
        "opacity": 0.75,
    }
    traces = [dots("trial", trials.number[shown], x[shown], trials.objective[shown], look)]
    if np.isfinite(parameter.values[trials.best]):
        at = slice(trials.best, trials.best + 1)
        traces.append(star("best", x[at], trials.objective[at]))
    return Figure(
        f"slice-{place}",
        parameter.name,
        traces,
        layout(
            hovermode="closest",
            xaxis=parameter_axis(parameter),
            yaxis=axis(title=title(figure_text(trials.objectives[0])), nticks=5, **reach),
        ),
        height=230,
    )


def parameter_axis(parameter: Parameter, **extra: object) -> Spec:
    """Give the axis of a parameter: its choices by name, logarithmic where it was searched so."""
    if parameter.choices:
        names = [figure_text(name if len(name) <= 18 else name[:17] + "…") for name in parameter.choices]
        ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
        return axis(showgrid=False, range=[-0.6, len(names) - 0.4], **ticks, **extra)
    if parameter.is_log:
        at = round_values(parameter.values)
        ticks = {"tickmode": "array", "tickvals": at, "ticktext": [f"{value:g}" for value in at]}
        return axis(showgrid=False, type="log", tickangle=0, **ticks, **extra)
    return axis(showgrid=False, nticks=5, tickangle=0, **extra)


def round_values(values: FloatArray) -> list[float]:
    """Give 1, 2 and 5 times the powers of ten among some values: ticks of a logarithmic axis.

    >>> round_values(np.array([4.0, 48.0]))
    [5.0, 10.0, 20.0]
    """
    known = values[np.isfinite(values) & (values > 0)]
    if not len(known):
        return []
    low, high = float(known.min()), float(known.max())
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    listed = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    return [value for value in listed if low <= value <= high] or [low]


def plateau_figure(trials: Trials, across: int, up: int) -> Figure:
    """Draw the objective over two parameters, smoothed, with the trials on it and the neighbours of the best ringed."""
    x, y = trials.parameters[across], trials.parameters[up]
    known = np.isfinite(trials.objective) & np.isfinite(x.values) & np.isfinite(y.values)
    shown = evenly(np.flatnonzero(known), MOST_DOTS)
    value = trials.objective
    reach, note = robust_range(value[known], trials.directions[0])
    low, high = reach.get("range") or (float(value[known].min()), float(value[known].max()))
    middle = 0.0 if low < 0 < high else (low + high) / 2
    half = max(high - middle, middle - low, 1e-9)
    scale = _GAIN if trials.directions[0] > 0 else [[0, UP], [0.5, PANEL], [1, DOWN]]
    places, z = smoothed(x.values[known], y.values[known], np.clip(value[known], low, high))
    colors: Spec = {"colorscale": scale, "zmin": middle - half, "zmax": middle + half}
    traces: list[Spec] = [
        {
            "type": "contour",
            "x": pack(places[0], "f8"),
            "y": pack(places[1], "f8"),
            "z": shaped(z),
            **colors,
            "contours": {"coloring": "heatmap"},
            "line": {"width": 0.5, "color": GRID},
            "connectgaps": False,
            "colorbar": {**_BAR, "len": 1},
            "hoverinfo": "skip",
        },
        {
            **dots("trial", trials.number[shown], x.values[shown], y.values[shown], {"color": MUTED, "size": 3.5}),
            "text": [f"{v:.4g}" for v in value[shown]],
            "hovertemplate": "trial %{customdata} at %{x:.4~g}, %{y:.4~g}: %{text}<extra></extra>",
        },
    ]
    near = trials.neighbours[known[trials.neighbours]] if len(trials.neighbours) else trials.neighbours
    if len(near):
        ring = {"color": "rgba(0,0,0,0)", "size": 11, "line": {"color": INK, "width": 1.6}}
        traces.append(dots("its neighbours", trials.number[near], x.values[near], y.values[near], ring))
    if known[trials.best]:
        at = slice(trials.best, trials.best + 1)
        traces.append(star("best", x.values[at], y.values[at]))
    return Figure(
        "plateau",
        f"{trials.objectives[0]} over {x.short} and {y.short}",
        traces,
        layout(
            hovermode="closest",
            xaxis=axis(title=title(figure_text(x.name)), showgrid=False, nticks=7),
            yaxis=axis(title=title(figure_text(y.name)), showgrid=False),
            showlegend=len(near) > 0,
        ),
        height=460,
        notes=(_ABOUT_PLATEAU, *note),
    )


def smoothed(
    x: FloatArray, y: FloatArray, value: FloatArray
) -> tuple[tuple[FloatArray, FloatArray], npt.NDArray[np.float64]]:
    """Lay a surface over scattered values: a Gaussian kernel's mean on a grid; NaN where no trial is near.

    Give the places of the grid along both axes, and the surface (rows are ``y``). A picture only.

    >>> places, surface = smoothed(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([3.0, 5.0]))
    >>> surface[0, 0] == 3, surface[-1, -1] == 5, np.isnan(surface[0, -1])
    (np.True_, np.True_, np.True_)
    """
    grid = np.linspace(0.0, 1.0, _GRID)
    weights = []
    for values in (x, y):
        extent = float(np.ptp(values)) or 1.0
        distance = (grid[:, None] - (values - values.min()) / extent) / _WIDTH
        weights.append(np.exp(-0.5 * distance**2))
    total = weights[1] @ weights[0].T
    summed = weights[1] @ (weights[0] * value).T
    surface = np.divide(summed, total, out=np.full_like(total, np.nan), where=total > 0.5)
    places = tuple(values.min() + grid * (float(np.ptp(values)) or 1.0) for values in (x, y))
    return (places[0], places[1]), surface


def drift_map(drift: Drift, key: str = "drift") -> Figure:
    """Draw where in its range each parameter lay that was chosen for a window."""
    cells: Spec = {
        "type": "heatmap",
        "x": [figure_text(name) for name in drift.windows],
        "y": [figure_text(name) for name in drift.parameters],
        "z": shaped(drift.shares),
        "text": [[figure_text(word) for word in row] for row in drift.words],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "var(--early)"], [1, STRATEGY]],
        "colorbar": {**_BAR, "tickvals": [0, 1], "ticktext": ["low", "high"], "len": 1},
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "%{x}: %{y} = %{text}<extra></extra>",
    }
    return Figure(
        key,
        "Settings chosen for each window, by where they lie in their range",
        [cells],
        layout(
            hovermode="closest",
            xaxis=axis(showgrid=False, type="category", nticks=4, tickangle=0),
            yaxis=axis(showgrid=False, type="category", autorange="reversed", dtick=1),
        ),
        height=90 + 30 * len(drift.parameters),
        notes=("Rows that keep their colour mean that the data ask for the same again; a flicker is noise.",),
    )


def shaped(table: npt.NDArray[np.float64]) -> Spec:
    """Pack a table for plotly.js.

    >>> shaped(np.zeros((2, 1)))["shape"]
    '2, 1'
    """
    return {**pack(table), "shape": f"{table.shape[0]}, {table.shape[1]}"}
