"""The project's own files: run once, in order, and found by the stem of their name."""

from __future__ import annotations

import pytest

from itb.config.plugins import load_plugins
from itb.errors import ConfigError, StrategyError
from itb.runs.inputs import inputs
from itb.runs.market import load_bars, load_market
from itb.runs.strategy import choose_strategy

SOURCE = "import backtrader as bt\n\n\nclass Mine(bt.Strategy):\n    params = (('speed', 1),)\n"


@pytest.fixture
def project(workspace, tmp_path):
    """Write files into the project and give a workspace whose config lists them."""

    def make(*settings, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return workspace(f"plugins.files={[f'{name}.py' for name in files]}", *settings)

    return make


def test_a_strategy_of_a_plugin_is_named_by_the_stem_of_its_file(project):
    place = project("strategy.name=own:Mine", "strategy.speed=3", own=SOURCE)
    chosen = choose_strategy(place, load_bars(place, "BTC/USDT"))
    assert (chosen.strategy.__name__, dict(chosen.settings)) == ("Mine", {"speed": 3})


def test_a_class_that_no_plugin_has_is_named_with_those_that_are_there(project):
    place = project("strategy.name=own:Yours", own=SOURCE)
    with pytest.raises(StrategyError, match="own has no 'Yours'; its strategies are Mine"):
        choose_strategy(place, load_bars(place, "BTC/USDT"))


def test_plugins_are_run_once_and_in_order(project, tmp_path):
    note = f"with open({str(tmp_path / 'log')!r}, 'a') as log:\n    log.write(__name__.split('_')[2])\n"
    place = project(b=note, a=note)
    assert list(load_plugins(place.config)) == ["b", "a"]
    load_plugins(place.config)
    assert (tmp_path / "log").read_text() == "ba"


def test_two_plugins_of_one_name_are_refused(workspace, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").touch()
    place = workspace('plugins.files=["one/own.py", "two/own.py"]')
    with pytest.raises(ConfigError, match=r"plugins\.files\[2\]: .*two/own\.py has the same name as .*one/own\.py"):
        load_plugins(place.config)


def test_a_plugin_that_cannot_be_parsed_is_told(project):
    with pytest.raises(StrategyError, match=r"plugins\.files 'own\.py': running own\.py failed: SyntaxError"):
        load_plugins(project(own="def\n").config)


def test_what_is_in_plugins_is_among_the_inputs_of_a_run(project):
    place = project(own=SOURCE, other="X = 1\n")
    market = load_market(place, "BTC/USDT", run_id="r", command="test")
    strategy = choose_strategy(place, market.bars).strategy
    before = inputs(place.config, market, strategy)
    assert {"plugin own.py", "plugin other.py"} <= set(before)
    project(own=SOURCE, other="X = 2\n")
    after = inputs(place.config, market, strategy)
    assert {name for name in before if before[name] != after[name]} == {"plugin other.py"}
