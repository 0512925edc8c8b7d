"""Promises of the repository as a whole: size, floors, doors, locks, no trace of one machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import itb

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "itb"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "benchmarks/requirements.lock")
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Which rooms or files may import a heavy package; everyone else asks there.
DOORS = {
    "aiohttp": {"live"},
    "backtrader": {"engine", "indicators", "strategies", "backtest", "live"},
    "ccxt": {"datafeeds", "live"},
    "joblib": {"mlmodels"},
    "lightgbm": {"mlmodels"},
    "matplotlib": {"charts"},
    "plotly": {"charts"},
    "skops": {"mlmodels"},
    "sklearn": {"mlmodels"},
    "talib": {"indicators", "doctor.py"},
    "optuna": {"optimize"},
    "telegram": {"telegram.py"},
    "onnxruntime": {"mlmodels"},
    "torch": {"mlmodels"},
    "tsfresh": {"indicators"},
    "typer": {"cli.py", "commands"},
    "vectorbt": {"optimize"},
    "vectorbt_rust": {"optimize"},
    "pickle": set(),
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text file that git has or would take, by path."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: the list of tracked files is unknown")
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (content := path.read_bytes()):
            found[name] = content.decode()
    return found


def imports(path: Path) -> Iterator[str]:
    """Top-level names of the packages that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_no_python_file_is_longer_than_400_lines(texts: dict[str, str]) -> None:
    lengths = {name: text.count("\n") for name, text in texts.items() if name.endswith(".py")}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_no_file_names_a_registry_or_a_place_on_one_machine(texts: dict[str, str]) -> None:
    forbidden = re.compile(
        "|".join(
            [
                r"(?<!no-emit-)(?:extra-)?index-" + "url",
                r"(?<!no-emit-)find-" + "links",
                r"pypi\." + "org",
                "python" + "hosted",
                "registry.npm" + "js",
                "/opt/" + "pypi",
                r"(?<![\w.])/(?:work|root|home)/" + r"\w",
                r"/tmp/" + "env",
            ]
        )
    )
    traces = {name: match.group() for name, text in texts.items() if (match := forbidden.search(text))}
    assert traces == {}


def test_no_file_puts_work_off(texts: dict[str, str]) -> None:
    forbidden = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b")
    assert [name for name, text in texts.items() if forbidden.search(text)] == []


def test_the_version_is_said_once() -> None:
    assert itb.__version__ == PROJECT["project"]["version"] == version("itb")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_a_hash_and_the_lock_has_no_option(lock: str) -> None:
    entries = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
    pins = [line for line in entries if line and not line.lstrip().startswith("#")]
    assert len(pins) > 10
    assert [pin for pin in pins if not re.match(r"[A-Za-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin)] == []


def test_the_lock_holds_everything_that_is_asked_for_and_the_build_back_end() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    project = PROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]]
    names = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in [*asked, "editables"]}
    assert [name for name in names if not re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE | re.IGNORECASE)] == []


def test_imports_go_downward_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_comes_in_by_its_door_only(package: str) -> None:
    users = [path.relative_to(PACKAGE) for path in SOURCES if package in imports(path)]
    assert [str(path) for path in users if not DOORS[package] & {path.parts[0], path.name}] == []


def test_ccxt_has_one_door_in_each_room() -> None:
    users = [str(path.relative_to(PACKAGE)) for path in SOURCES if "ccxt" in imports(path)]
    assert users == ["datafeeds/ccxt_history.py", "live/gateways/ccxt_line.py"]


# What scikit-learn cuts at random: neighbours in time, whose labels share bars, would come to lie on both sides.
RANDOM_SPLITS = {
    "CalibratedClassifierCV", "train_test_split", "KFold", "StratifiedKFold", "ShuffleSplit", "StratifiedShuffleSplit",
    "cross_val_score", "cross_val_predict", "cross_validate", "GridSearchCV", "RandomizedSearchCV", "RidgeCV",
    "LassoCV", "ElasticNetCV", "LogisticRegressionCV", "StackingClassifier", "StackingRegressor",
}  # fmt: skip
RANDOM_SPLIT_OPTIONS = {"probability", "early_stopping", "validation_fraction", "oob_score"}


def random_splits(source: str) -> Iterator[str]:
    """Places where a library is asked to split rows by itself: its names, and its options unless they are off."""
    options = RANDOM_SPLIT_OPTIONS if "sklearn" in source else set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (f"{alias.name} (line {node.lineno})" for alias in node.names if alias.name in RANDOM_SPLITS)
        elif isinstance(node, ast.Attribute) and node.attr in RANDOM_SPLITS:
            yield f"{node.attr} (line {node.lineno})"
        elif isinstance(node, ast.Call):
            for option in node.keywords:
                is_off = isinstance(option.value, ast.Constant) and option.value.value is False
                if option.arg in options and not is_off:
                    yield f"{option.arg} (line {node.lineno})"


@pytest.mark.parametrize(
    "source",
    [
        "from sklearn.calibration import CalibratedClassifierCV",
        "from sklearn.svm import SVC; SVC(C=1, probability=True)",
        "import sklearn; kind(early_stopping=is_wanted)",
        "model_selection.train_test_split(x)",
        "from sklearn import ensemble; ensemble.RandomForestClassifier(oob_score=True)",
    ],
)
def test_a_random_split_would_be_found(source: str) -> None:
    assert len(list(random_splits(source))) == 1


def test_no_library_splits_rows_at_random() -> None:
    found = {str(path.relative_to(ROOT)): list(random_splits(path.read_text())) for path in SOURCES}
    assert {name: places for name, places in found.items() if places} == {}


def test_every_room_says_what_it_is_for() -> None:
    rooms = sorted({path.parent for path in SOURCES})
    silent = [room for room in rooms if not _docstring(room / "__init__.py")]
    assert [str(room.relative_to(ROOT)) for room in silent] == []


def test_no_room_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "common", "helpers", "core", "misc"}
    assert [str(path) for path in SOURCES if drawers & {path.stem, *path.relative_to(PACKAGE).parts[:-1]}] == []


def test_the_stubs_name_nothing_that_backtrader_does_not_have() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "backtrader", "--ignore-missing-stub", "--concise"]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "stubs")}
    tested = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, env=environment)
    delegated = {  # answered by __getattr__ or by the old iteration protocol
        f"backtrader.lineseries.LineSeries.{name}" for name in ("_getlinealias", "buflen", "fullsize", "size")
    } | {"backtrader.metabase.ItemCollection.__getattr__", "backtrader.metabase.ItemCollection.__iter__"}
    absent = re.findall(r"^(\S+) is not present at runtime", tested.stdout, re.MULTILINE)
    assert delegated <= set(absent), tested.stdout + tested.stderr
    assert set(absent) - delegated == set()


def test_every_command_of_the_makefile_is_listed_by_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)) == phony
    assert {"backtest", "test", "check", "bench", "docs", "lock", "soak", "clean"} <= phony


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text())) if path.exists() else None
