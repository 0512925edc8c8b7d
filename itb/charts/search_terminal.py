"""A search in a terminal: the verdict's word in its colour, the numbers that decided, everything else below."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from itb.charts.search_data import Fact, VerdictWords

_TONES = {"plain": "", "good": "green", "bad": "red", "warn": "yellow"}
_SIGNS = {"plain": "·", "good": "✓", "warn": "!", "bad": "✕"}


def search_summary(
    title: str,
    summary: str,
    said: VerdictWords,
    settings: tuple[tuple[str, str], ...],
    *,
    report: Path,
    command: str,
) -> RenderableType:
    """Give what the command line prints after a search.

    ``settings`` are those of the best trial; ``command`` writes them as a config. Square brackets mean nothing.
    """
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    tone = _TONES[said.tone]
    word = Text(f" {said.word.upper()} ", style=f"bold reverse {tone}".strip())
    head = Text.assemble(word, "  ", (title, "bold"), "\n", said.line.removeprefix(f"{said.word}: "), "\n", summary)
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column()
    for name, text in said.rows:
        lines.add_row(name.lower(), Text(text))
    for place, note in enumerate(said.remarks):
        sign = Text.assemble(("" if place else "notes").ljust(8), (_SIGNS[note.tone], f"not dim {_TONES[note.tone]}"))
        lines.add_row(sign, Text(note.text))
    for place, (name, value) in enumerate(settings):
        lines.add_row("" if place else "best", Text.assemble((f"{name} = ", "dim"), value))
    lines.add_row("settings", Text(command))
    lines.add_row("report", Text(str(report), style=f"bold link {report.absolute().as_uri()}"))
    return Group(Panel(head, border_style=tone, expand=False), _facts(said.facts), lines)


def _facts(facts: tuple[Fact, ...]) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in (("what decides", "left"), ("found", "right"), ("", "left"), ("rule", "left")):
        table.add_column(name, justify="right" if side == "right" else "left")
    for fact in facts:
        style = _TONES[fact.tone]
        table.add_row(
            Text(fact.name),
            Text(fact.value, style=f"bold {style}".strip()),
            Text(_SIGNS[fact.tone], style=style),
            Text(fact.wanted, style="dim"),
        )
    return table
