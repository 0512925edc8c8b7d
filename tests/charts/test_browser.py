from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.charts.data import ReportData
from itb.charts.report import write_report

COMMAND = Path(__file__).parents[2] / "docs" / "report_picture.py"


@pytest.mark.parametrize("kind", ["full", "hostile"])
def test_browser_draws_every_figure_without_a_complaint(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, browse: Callable[..., Any]
) -> None:
    data: ReportData = request.getfixturevalue(kind)
    path = write_report(data, tmp_path / "report.html")
    seen = browse(path, 7000)
    assert seen.stdout.count('class="plot js-plotly-plot"') == 9
    assert not re.findall(r"CONSOLE.*", seen.stderr)


def asked(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": ""}
    command = [sys.executable, str(COMMAND), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_picture_without_a_browser_says_which_would_do() -> None:
    told = asked("report.html")
    assert told.returncode == 2
    assert "no browser found; install one of chromium" in told.stderr
