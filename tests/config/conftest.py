from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder that is the working folder, without ITB variables around it."""
    import os

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("ITB_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def write(project: Path) -> Write:
    """Write ``itb.toml`` in the project folder."""

    def writer(text: str) -> Path:
        path = project / "itb.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return writer
