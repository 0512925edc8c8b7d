"""Still pictures for chats, drawn by matplotlib to be read on a phone: 3 pixels for each of its 390 points of width."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import numpy as np

from itb.charts.wording import number, percent, significant

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from itb.market.bars import IntArray

Theme = Literal["dark", "light"]
WIDTH_POINTS, PIXELS_EACH = 390, 3
_SMALL, _HEAD = 10.5, 16.0  # of the phone's points
_DPI = 100.0 * PIXELS_EACH
_FONT = "DejaVu Sans"  # comes with matplotlib: the same letters on every machine


@dataclass(frozen=True)
class Colours:
    """The colours of the report, for one theme."""

    page: str
    ink: str
    muted: str
    grid: str
    line: str
    second: str
    third: str
    up: str
    down: str
    warn: str


THEMES: dict[Theme, Colours] = {
    "dark": Colours(
        "#181b21", "#e9eaec", "#9aa1ab", "#2a2e36", "#8ea2ff", "#b794f0", "#4cc3d9", "#3fb5a0", "#f28b63", "#e7b74c"
    ),
    "light": Colours(
        "#ffffff", "#1b1e23", "#626972", "#e6e4dd", "#3b55d9", "#8a63c9", "#0e8fa8", "#0b7d69", "#c2461f", "#8d6200"
    ),
}


def change(fraction: float) -> str:
    """Write a change with as many digits as show that there was one.

    >>> change(0.1234), change(-0.0004)
    ('+12.3 %', '−0.04 %')
    """
    return percent(fraction, 1 if abs(fraction) >= 0.005 else 2)


def points(size: float) -> float:
    """Give a size on the phone's screen as matplotlib counts type: at 72 to the inch, whatever the resolution."""
    return size * 72 * PIXELS_EACH / _DPI


def sheet(height: int, colours: Colours) -> Figure:
    """Begin a picture that is as wide as a phone and ``height`` of its points high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_POINTS / 100, height / 100), dpi=_DPI, facecolor=colours.page)
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, colours: Colours, title: str, value: str, note: str, *, tone: str) -> None:
    """Write what the picture shows at the top left, its newest value at the top right, and a line below."""
    left, right, top = 0.035, 0.965, 1 - 12 / (figure.get_figheight() * 100)
    below = top - 21 / (figure.get_figheight() * 100)
    said = [
        figure.text(left, top, title, size=points(_HEAD), weight="bold", color=colours.ink),
        figure.text(right, top, value, size=points(_HEAD), weight="bold", color=tone, ha="right"),
        figure.text(left, below, note, size=points(_SMALL), color=colours.muted),
    ]
    for text in said:
        text.set(family=_FONT, va="top", parse_math=False)


def panel(figure: Figure, colours: Colours, bottom: int, height: int, *, labels: bool) -> Axes:
    """Add a panel ``height`` phone points high, ``bottom`` above the picture's lower edge, its scale at the right."""
    full = figure.get_figheight() * 100
    axes = figure.add_axes((0.035, bottom / full, 0.80, height / full), facecolor=colours.page)
    for side in ("top", "left", "bottom", "right"):
        axes.spines[side].set_visible(False)
    axes.yaxis.tick_right()
    axes.tick_params(
        length=0, labelsize=points(_SMALL), labelcolor=colours.muted, labelfontfamily=_FONT, pad=3, labelbottom=labels
    )
    axes.grid(visible=True, axis="y", color=colours.grid, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(x=0.0)
    return axes


def price_scale(axes: Axes, *, steps: int = 5) -> None:
    """Write prices or amounts at the right as people write them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    return number(value, 0) if abs(value) >= 1000 else significant(value, 4)


def time_scale(axes: Axes, time: IntArray, zone: str, *, most: int = 5) -> None:
    """Write days or hours of a zone below positions ``0 … n-1``, each a bar that opened at its ``time``."""
    span = int(time[-1] - time[0]) if len(time) > 1 else 0
    local = ZoneInfo(zone)
    offset = np.array([_offset(int(t), local) for t in time], dtype=np.int64)
    wall = time + offset
    step, form = next((one for one in _STEPS if span / one[0] <= most), _STEPS[-1])
    units = wall // step
    starts = np.flatnonzero(np.diff(units, prepend=units[:1] - 1) > 0)[1:]
    starts = starts[(starts > 0.04 * len(time)) & (starts < 0.96 * len(time))]
    if len(starts) > most + 2:
        starts = starts[:: -(-len(starts) // (most + 2))]
    axes.set_xticks(starts, [_stamp(int(wall[i]), form) for i in starts])


_MINUTE, _DAY = 60_000, 86_400_000
_STEPS: tuple[tuple[int, str], ...] = (
    (15 * _MINUTE, "%H:%M"), (60 * _MINUTE, "%H:%M"), (4 * 60 * _MINUTE, "%H:%M"), (_DAY // 2, "%a %H:%M"),
    (_DAY, "%a %-d"), (2 * _DAY, "%-d %b"), (7 * _DAY, "%-d %b"), (28 * _DAY, "%b %y"), (91 * _DAY, "%b %y"),
    (365 * _DAY, "%Y"),
)  # fmt: skip


def _offset(time: int, zone: ZoneInfo) -> int:
    from datetime import datetime

    shift = datetime.fromtimestamp(time / 1000, zone).utcoffset()
    return 0 if shift is None else round(shift.total_seconds() * 1000)


def _stamp(wall: int, form: str) -> str:
    from datetime import UTC, datetime

    time = datetime.fromtimestamp(wall / 1000, UTC)
    return time.strftime(form.replace("%-d", str(time.day)))  # "%-d" itself is not known everywhere


def legend(axes: Axes, entries: list[tuple[str, str]]) -> None:
    """Name coloured lines in a row above a panel; (colour, name) each."""
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    areas: list[Artist] = [
        TextArea(name, textprops={"color": colour, "size": points(_SMALL), "family": _FONT, "weight": "bold"})
        for colour, name in entries
    ]
    row = HPacker(children=areas, align="baseline", pad=0, sep=points(10))
    box = AnchoredOffsetbox(
        "lower left", child=row, pad=0.0, borderpad=0.2, frameon=False, bbox_to_anchor=(0, 1),
        bbox_transform=axes.transAxes,
    )  # fmt: skip
    axes.add_artist(box)


def png(figure: Figure) -> bytes:
    """Draw; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return stream.getvalue()
