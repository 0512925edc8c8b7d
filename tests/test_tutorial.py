"""The tutorial works as it stands, top to bottom."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


def run(line: str, folder: Path) -> str:
    """Run one line of a shell block; its comment may say that it fails."""
    command = shlex.split(line, comments=True)
    tools = Path(sys.executable).parent
    program = sys.executable if command[0] == "python" else str(tools / command[0])
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, capture_output=True, check=False, text=True, env=environment, timeout=240
    )
    assert done.returncode == (2 if "# fails" in line else 0), f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_the_tutorial_works_top_to_bottom(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    for language, title, text in BLOCK.findall(TUTORIAL.read_text()):
        if title:
            (tmp_path / title).write_text(text)
        elif language == "sh":
            said |= {line: run(line, tmp_path) for line in text.splitlines() if line.strip()}
    assert len(said) > 10
    backtest = said["itb backtest"]
    assert "SYNTHETIC" in backtest
    assert re.search(r"runs/\S+", backtest)
    assert "buy_threshold" in next(output for line, output in said.items() if "# fails" in line)
    assert list(tmp_path.glob("runs/*/report.html"))


@pytest.mark.parametrize("page", sorted(TUTORIAL.parent.rglob("*.md")), ids=lambda page: page.name)
def test_every_python_example_compiles(page: Path) -> None:
    for language, _, text in BLOCK.findall(page.read_text()):
        if language == "python":
            compile(text, page.name, "exec")
