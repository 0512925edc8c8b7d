"""The tutorial works as it stands, top to bottom."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.cli import main

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run one line of a shell block in the project's folder; its comment may say that it fails."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> str:
        command = shlex.split(line, comments=True)
        if command[0] == "python":
            return subprocess.run([sys.executable, *command[1:]], capture_output=True, check=True, text=True).stdout
        assert command[0] == "itb", line
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as left:
            main()
        printed = "".join(capsys.readouterr())
        assert (left.value.code or 0) == (2 if "# fails" in line else 0), f"{line}\n{printed}"
        return printed

    return run


def test_the_tutorial_works_top_to_bottom(tmp_path: Path, run: Callable[[str], str]) -> None:
    said: dict[str, str] = {}
    for language, title, text in BLOCK.findall(TUTORIAL.read_text()):
        if title:
            (tmp_path / title).write_text(text)
        elif language == "sh":
            said |= {line: run(line) for line in text.splitlines() if line.strip()}
    assert len(said) > 10
    backtest = said["itb backtest"]
    assert "SYNTHETIC" in backtest
    assert re.search(r"runs/\S+", backtest)
    assert "buy_threshold" in next(output for line, output in said.items() if "# fails" in line)
    assert list(tmp_path.glob("runs/*/report.html"))


def test_the_features_of_one_s_own_on_the_page_of_features_keep_the_laws(
    tmp_path: Path, run: Callable[[str], str]
) -> None:
    for language, title, text in BLOCK.findall((ROOT / "docs" / "concepts" / "features.md").read_text()):
        if title:
            (tmp_path / title).write_text(text)
        elif language == "sh" and "itb check" in text:
            said = {line: run(line) for line in text.splitlines()}
    assert "checks hold" in said["itb check"]
    names = (tmp_path / "own.csv").read_text().partition("\n")[0].replace('"', "")
    assert names == "timestamp,momentum_12,4h_momentum_12,own_3,own_48"


@pytest.mark.parametrize("page", sorted(TUTORIAL.parent.rglob("*.md")), ids=lambda page: page.name)
def test_every_python_example_compiles(page: Path) -> None:
    for language, _, text in BLOCK.findall(page.read_text()):
        if language == "python":
            compile(text, page.name, "exec")


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_the_strategy_on_the_first_pages_trades(page: str, tmp_path: Path, run: Callable[[str], str]) -> None:
    blocks = [text for language, _, text in BLOCK.findall((ROOT / page).read_text()) if language == "python"]
    (tmp_path / "eager.py").write_text(blocks[0])
    short = "--set synthetic.bars=2000 --set walkforward.train=1000 --set model.rounds=20"
    said = run(f"itb backtest --strategy eager.py:Eager {short}")
    assert re.search(r"in\s+[1-9]\d*\s+trades?", re.sub(r"[^\w\s.,]", " ", said)), said
