from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from itb.charts.data import ReportData
from itb.charts.report import write_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COMMAND = Path(__file__).parents[2] / "docs" / "report_picture.py"
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--virtual-time-budget=20000", "--enable-logging=stderr",
    "--window-size=1280,7000",
]  # fmt: skip


@pytest.mark.skipif(BROWSER is None, reason="no chromium here: the page's script is checked where there is one")
@pytest.mark.parametrize("kind", ["full", "hostile"])
def test_browser_draws_every_figure_without_a_complaint(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    data: ReportData = request.getfixturevalue(kind)
    path = write_report(data, tmp_path / "report.html")
    command = [str(BROWSER), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
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
