import importlib
import pkgutil
import sys

import backtrader as bt
import pytest

from itb import strategies as room
from itb.errors import StrategyError
from itb.strategies.base import Strategy
from itb.strategies.loading import STRATEGIES, load_strategy
from itb.strategies.ml_threshold import MLThreshold
from itb.strategies.scheduled import ScheduledThreshold
from itb.strategies.trader import Trader

SOURCE = "import backtrader as bt\n\nclass Mine(bt.Strategy):\n    pass\n\nNOT_ONE = 3\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import backtrader\n1 / 0\n")
    return tmp_path


def test_a_built_in_is_found_by_name():
    assert load_strategy("MLThreshold") is MLThreshold


def test_every_strategy_that_a_person_may_name_is_in_the_table_by_its_name():
    bases = {Strategy, Trader}
    scheduled = {ScheduledThreshold}  # made by a walk-forward search, from settings that no config can hold
    modules = [importlib.import_module(f"itb.strategies.{found.name}") for found in pkgutil.iter_modules(room.__path__)]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    own = {kind for kind in kinds if issubclass(kind, bt.Strategy) and kind.__module__.startswith("itb.")}
    assert set(STRATEGIES.values()) == own - bases - scheduled
    assert all(kind.__name__ == name for name, kind in STRATEGIES.items())


def test_a_misspelt_built_in_gets_a_suggestion():
    with pytest.raises(StrategyError, match='did you mean "MLThreshold"'):
        load_strategy("MLTreshold")


def test_a_class_is_found_in_a_file_seen_from_the_project(folder):
    assert issubclass(load_strategy("mine.py:Mine", folder), bt.Strategy)


def test_a_class_is_found_in_a_module(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    assert load_strategy("mine:Mine").__module__ == "mine"
    sys.modules.pop("mine")


def test_a_class_that_is_not_there_names_those_that_are(folder):
    with pytest.raises(StrategyError, match="no 'Yours'; its strategies are Mine"):
        load_strategy("mine.py:Yours", folder)


def test_something_else_than_a_strategy_is_refused(folder):
    with pytest.raises(StrategyError, match=r"NOT_ONE is not a backtrader\.Strategy"):
        load_strategy("mine.py:NOT_ONE", folder)


def test_a_missing_file_is_named(folder):
    with pytest.raises(StrategyError, match=r"no file .*gone\.py"):
        load_strategy("gone.py:Mine", folder)


def test_a_missing_module_is_named():
    with pytest.raises(StrategyError, match="no module 'no_such_module_here'"):
        load_strategy("no_such_module_here:Mine")


def test_a_file_that_fails_says_how(folder):
    with pytest.raises(StrategyError, match=r"running broken\.py failed: ZeroDivisionError"):
        load_strategy("broken.py:Mine", folder)


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(StrategyError, match=r"built in are MLThreshold, SignalStrategy; your own is"):
        load_strategy("zzzzzz")
