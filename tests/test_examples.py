"""Every example is a config that itb accepts, and its page names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.config import load_config
from itb.runs.strategy import check_settings

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "examples").glob("*/itb.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_every_example_passes_its_check(path: Path) -> None:
    check_settings(load_config(path, environ={}))


def test_every_example_is_on_its_page() -> None:
    page = (ROOT / "docs" / "examples.md").read_text()
    assert [folder.name for folder in (ROOT / "examples").iterdir() if f"`{folder.name}`" not in page] == []
