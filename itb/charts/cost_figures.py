"""What trading costs do to the result, and the cost at which it vanishes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from itb.charts.encoding import pack
from itb.charts.figure import ACCENT, BAD, MUTED, STRATEGY, Figure, Spec, axis, layout, mark, rule, title
from itb.charts.wording import number

if TYPE_CHECKING:
    from itb.charts.data import CostCurve


def cost_figure(curve: CostCurve) -> Figure:
    """Draw net return over one-way cost with the charged cost and the break-even marked."""
    line: Spec = {
        "type": "scatter",
        "mode": "lines",
        "x": pack(curve.one_way_bps, "f8"),
        "y": pack(curve.net_return, "f8"),
        "line": {"color": STRATEGY, "width": 2},
        "hovertemplate": "%{y:+.2%}<extra>net return</extra>",
    }
    tall: Spec = {"yref": "paper", "y0": 0, "y1": 1}
    shapes = [rule(xref="paper", x0=0, x1=1, y0=0, y1=0, dash="solid")]
    labels: list[Spec] = []
    level, at = curve.charged_bps, curve.break_even_bps
    charged = "" if math.isnan(level) else f" {number(level, 1)} bps were charged."
    if charged:
        shapes.append(rule(x0=level, x1=level, **tall))
        labels.append(mark(f"charged {number(level, 1)} bps", x=level, yref="paper", y=1, yanchor="bottom"))
    if at is None:
        said = f"No cost is low enough: the fills have no gross edge.{charged}"
    else:
        said = f"The same fills end level with cash at {number(at, 1)} bps a side.{charged}"
        color = BAD if charged and at < level else ACCENT
        shapes.append(rule(x0=at, x1=at, color=color, **tall))
        text = mark(f"break-even {number(at, 1)} bps", x=at, yref="paper", y=0.02, yanchor="bottom", xanchor="left")
        labels.append({**text, "xshift": 4, "font": {"color": color, "size": 11}})
    return Figure(
        "cost-curve",
        "Net return of the same fills at other costs",
        [line],
        layout(
            xaxis=axis(title=title("one-way cost, basis points"), ticksuffix="", showgrid=False),
            yaxis=axis(tickformat="+.0~%", title=title("net return"), zerolinecolor=MUTED),
            shapes=shapes,
            annotations=labels,
            margin={"l": 8, "r": 12, "t": 22, "b": 8},
        ),
        height=320,
        notes=(said,),
    )
