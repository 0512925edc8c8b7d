from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from itb.charts.data import EquityCurve, ReportData
from itb.charts.terminal import sparkline, terminal_summary


def printed(data: ReportData, report: Path | None = None) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(terminal_summary(data, report))
    return out.getvalue()


def test_summary_says_figures_notes_and_where_the_report_is(full: ReportData, tmp_path: Path) -> None:
    text = printed(full, tmp_path / "report.html")
    for words in (
        "SYNTHETIC", full.summary, full.run_id, "Total return", "+1.0 %", "+2.0 %", "buy and hold",
        "AUC 0.505 pooled, above guessing (0.500) in 1 of 3 blocks", "3 × notional below the minimum",
        "Borrowing is not charged.", "10,000 →", "report.html",
    ):  # fmt: skip
        assert words in text


def test_labels_name_free_trading_and_a_seen_holdout(full: ReportData) -> None:
    text = printed(replace(full, is_synthetic=False, is_free=True, holdout_seen=True))
    assert all(label in text for label in ("REAL", "ZERO COST", "HOLD-OUT SEEN"))


def test_square_brackets_are_text(hostile: ReportData) -> None:
    assert "[red]x[/red]" in printed(replace(hostile, title="[red]x[/red]", summary="[/]"))


def test_bare_run_prints_its_title() -> None:
    text = printed(ReportData("my run", "nothing happened", "r1", is_synthetic=False))
    assert "my run" in text
    assert "equity" not in text


def test_run_of_one_bar_prints(full: ReportData) -> None:
    assert "equity" in printed(replace(full, equity=EquityCurve(np.array([60_000]), np.array([10.0]), 10.0)))


def test_sparkline_shows_unknown_values_as_spaces_and_a_flat_line_low() -> None:
    assert sparkline(np.array([np.nan, 1.0, 1.0]), 1.0, 1.0) == " ▁▁"
    assert len(sparkline(np.arange(1000.0), 0, 999, width=30)) == 30
