"""The page on searching says what the code does."""

import re
import tomllib
from pathlib import Path

from itb.config import load_config
from itb.optimize.objectives import OBJECTIVES
from itb.optimize.proposals import SAMPLERS
from itb.runs.model import score_ranges
from itb.runs.search_space import search_space

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "search.md").read_text()


def test_every_objective_stands_in_the_table_with_its_direction():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (more|less) \|$", PAGE, re.MULTILINE)
    better = {1.0: "more", -1.0: "less"}
    assert rows == [(objective.name, objective.said, better[objective.sign]) for objective in OBJECTIVES.values()]


def test_every_sampler_stands_in_the_table():
    table = PAGE[PAGE.index("| `search.sampler`") : PAGE.index("## What is striven for")]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(SAMPLERS)


def test_space_that_is_shown_can_be_searched(tmp_path):
    (shown,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "itb.toml"
    file.write_text(shown)
    config = load_config(file, environ={})
    space = search_space(config, score_ranges(config))
    named = tomllib.loads(shown)["search"]["space"]
    assert len(space.dimensions) == 3 + len(named["model"]) + len(named["strategy"])
    assert [dimension.name for dimension in space.dimensions if dimension.when] == ["strategy.cooldown_bars"]
