"""The report in a terminal: headline figures, the account as one line of blocks, the honest notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.charts.wording import number

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType
    from rich.text import Text

    from itb.charts.data import EquityCurve, FoldQuality, MetricRow, ReportData
    from itb.market.bars import FloatArray

_BLOCKS = "▁▂▃▄▅▆▇█"
_TONES = {"plain": "", "good": "green", "bad": "red", "warn": "yellow"}
_SIGNS = {"plain": "·", "good": "✓", "warn": "!", "bad": "✕"}


def terminal_summary(data: ReportData, report: Path | None = None) -> RenderableType:
    """Give what the command line prints after a run; ``report`` is named in the last line.

    Text of the run is shown as it is: square brackets in it mean nothing.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [_head(data)]
    shown = [row for row in data.metrics if row.is_headline] or list(data.metrics)
    if shown:
        parts.append(_metrics(shown))
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column()
    if data.equity is not None and len(data.equity.close_time):
        for name, words in _account(data.equity):
            lines.add_row(name, words)
    for quality in data.folds:
        if len(quality.values):
            lines.add_row("skill", Text(_folds(quality)))
    if data.rejected:
        lines.add_row("rejected", Text(", ".join(f"{count:,} × {reason}" for reason, count in data.rejected)))
    for place, note in enumerate(data.notes):
        sign = Text.assemble(("" if place else "notes").ljust(8), (_SIGNS[note.tone], f"not dim {_TONES[note.tone]}"))
        lines.add_row(sign, Text(note.text))
    if report is not None:
        lines.add_row("report", Text(str(report), style=f"bold link {report.absolute().as_uri()}"))
    return Group(*parts, lines)


def _head(data: ReportData) -> RenderableType:
    from rich.panel import Panel
    from rich.text import Text

    marks = [("SYNTHETIC", "yellow")] if data.is_synthetic else [("REAL", "green")]
    marks += [("ZERO COST", "red")] if data.is_free else []
    marks += [("HOLD-OUT SEEN", "red")] if data.holdout_seen else []
    labels = Text(" ").join(Text(f" {name} ", style=f"reverse {style}") for name, style in marks)
    words = Text.assemble(labels, "  ", (data.title, "bold"), "\n", data.summary)
    return Panel(words, subtitle=Text(data.run_id, style="dim"), subtitle_align="right", expand=False)


def _metrics(rows: list[MetricRow]) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in ("strategy", "buy and hold", "cash"):
        table.add_column(name, justify="right")
    for row in rows:
        own = Text(row.strategy, style=f"bold {_TONES[row.tone]}".strip())
        table.add_row(Text(row.name), own, Text(row.hold), Text(row.cash, style="dim"))
    return table


def _account(curve: EquityCurve) -> list[tuple[str, Text]]:
    from rich.text import Text

    lines = [("equity", curve.strategy, "blue")]
    if curve.hold is not None:
        lines.append(("hold", curve.hold, "not dim"))
    everything = np.concatenate([values for _, values, _ in lines])
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    currency = f" {curve.currency}" if curve.currency else ""
    ends = f" {number(curve.start_cash, 0)} → "
    return [
        (name, Text.assemble((sparkline(values, low, high), style), ends, number(float(values[-1]), 0), currency))
        for name, values, style in lines
    ]


def _folds(quality: FoldQuality) -> str:
    known = quality.values[np.isfinite(quality.values)]
    better = int((known > quality.base).sum())
    pooled = "" if quality.pooled is None else f"{quality.metric} {number(quality.pooled, 3)} pooled, "
    column = f"{quality.column}: " if quality.column else ""
    start = pooled or f"{quality.metric}: "
    return f"{column}{start}above guessing ({number(quality.base, 3)}) in {better} of {len(quality.values)} blocks"


def sparkline(values: FloatArray, low: float, high: float, width: int = 48) -> str:
    """Draw values as at most ``width`` blocks on a scale from ``low`` to ``high``; NaN is a space.

    >>> sparkline(np.array([1.0, 2.0, 3.0, 8.0]), 1.0, 8.0)
    '▁▂▃█'
    """
    places = np.linspace(0, len(values) - 1, min(width, len(values))).round().astype(np.int64)
    reach = high - low or 1.0
    shown = (values[places] - low) / reach
    return "".join(_BLOCKS[round(7 * min(max(float(v), 0.0), 1.0))] if np.isfinite(v) else " " for v in shown)
