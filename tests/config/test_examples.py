"""Every example's config is one that itb takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.config import load_config
from itb.config.check import check

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/itb.toml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_every_example_can_be_built(file: Path) -> None:
    check(load_config(file, environ={}))
