"""What a study keeps of the settings it was begun with, so that whoever goes on with it needs none of them."""

from pathlib import Path

import pytest

from itb.config import load_config
from itb.errors import RunError
from itb.runs.optimize import Asked, apply, optimize, worker
from itb.runs.workspace import Workspace
from tests.runs.searched import workspace


def test_study_is_gone_on_with_in_the_way_it_was_begun(tmp_path):
    asked = Asked(trials=8, name="mine")
    other = ("search.sampler=random", "search.objectives=['calmar']", "search.seed=3", "search.windows=5")
    first = optimize(workspace(tmp_path, *other), asked).data["studies"][0]
    base = workspace(tmp_path)
    base = Workspace(base.config.of(None, tmp_path, base.config.origins))

    assert apply(base, Asked(name="mine")).data["trial"] == first["best"]["trial"]
    assert worker(base, Asked(trials=10, name="mine")).data["trials"] == 10
    assert sum(look.trials for look in base.register.looks()) == 10


def test_study_brings_the_settings_it_was_begun_with(tmp_path):
    more = "search.space.strategy.score=['up_12_0bps_lightgbm']"  # a list behind tables
    first = optimize(workspace(tmp_path, "costs.slippage_bps=7", more), Asked(trials=6, name="mine")).data["studies"][0]
    bare = load_config(overrides=[f"runs.root={tmp_path / 'runs'}"], folder=tmp_path, environ={})

    told = apply(Workspace(bare), Asked(name="mine")).data

    assert told["trial"] == first["best"]["trial"]
    picked = load_config(Path(told["file"]), environ={})
    assert picked.costs.slippage_bps == 7
    assert picked.synthetic.settings["bars"] == 3000
    assert worker(Workspace(bare), Asked(trials=8, name="mine")).data["trials"] == 8


def test_what_the_command_line_asks_otherwise_is_refused_by_a_study(tmp_path):
    optimize(workspace(tmp_path), Asked(trials=4, name="mine"))
    other = [f"runs.root={tmp_path / 'runs'}", "costs.slippage_bps=7"]

    told = r"was begun with other settings \({.costs.slippage_bps.: 5.0}\) than is asked for \({.costs.slippage_bps.: 7"
    with pytest.raises(RunError, match=told):
        apply(Workspace(load_config(overrides=other, folder=tmp_path, environ={})), Asked(name="mine"))
