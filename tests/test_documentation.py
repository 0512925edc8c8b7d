"""The documentation says everything, says it truly, and asks no other machine for anything."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from itb.config import load_config
from itb.errors import ItbError
from itb.indicators.series import SERIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, env=environment)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def commands(reference: ModuleType) -> dict[str, Any]:
    return dict(reference.command_tree())


@pytest.fixture(scope="module")
def tables(reference: ModuleType) -> list[Any]:
    """Every section of the config and every part that a section can name."""
    return list(reference.tables())


def words(page: Path) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.read_text())).split())


def blocks(page: Path, language: str) -> Iterator[str]:
    """Code blocks of one language on a page."""
    yield from re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def lines(page: Path, word: str) -> Iterator[list[str]]:
    """Shell lines on a page that begin with a word, without comments, as words."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            parts = line.split("  #")[0].split(" # ")[0].split()
            if parts[:1] == [word]:
                yield parts


def test_the_site_asks_no_other_machine_for_anything(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\b(?:src|data)=[\"']?(?:https?:)?//[^\s\"'>]+"
        r"|<link\b[^>]*\bhref=[\"']?(?:https?:)?//[^\s\"'>]+"
    )
    imports = re.compile(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//[^\s\"')]+")
    pages = {page: page.read_text() for page in site.rglob("*.html")}
    sheets = {sheet: sheet.read_text() for sheet in site.rglob("*.css")}
    assert len(pages) > 5
    found = [match for text in pages.values() for match in loads.findall(text)]
    found += [match for text in [*pages.values(), *sheets.values()] for match in imports.findall(text)]
    assert found == []


def test_every_command_and_option_is_documented(site: Path, commands: dict[str, Any]) -> None:
    page = words(site / "reference" / "commands.html")
    assert len(commands) > 10
    for name, command in commands.items():
        assert name in page
        assert command.help, f"{name} has no help text"
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else []:
                assert option in page, f"{name} {option}"
                assert parameter.help or option == "--help", f"{name} {option} has no help text"


def test_every_key_is_documented_and_has_a_meaning(site: Path, tables: list[Any]) -> None:
    page = (site / "reference" / "configuration.html").read_text()
    keys = [(table.section, table.part, key) for table in tables for key in table.keys]
    assert len(keys) > 50
    assert [(section, key.name) for section, _, key in keys if f"<code>{key.name}</code>" not in page] == []
    assert [(section, part, key.name) for section, part, key in keys if not key.meaning] == []


def test_no_meaning_is_kept_for_a_key_that_is_gone(reference: ModuleType, tables: list[Any]) -> None:
    known = {(table.section, key.name) for table in tables for key in table.keys}
    assert {(section, name) for section, names in reference.MEANINGS.items() for name in names} - known == set()


def test_every_series_is_documented(site: Path) -> None:
    page = (site / "reference" / "configuration.html").read_text()
    assert [name for name in SERIES if f"<code>{name}</code>" not in page] == []


def test_every_error_is_documented(site: Path, reference: ModuleType) -> None:
    page = words(site / "reference" / "errors.html")
    errors = reference.error_classes()
    assert errors[0] is ItbError
    assert [error.__name__ for error in errors if f"{error.__name__}" not in page or not error.__doc__] == []


def test_every_benchmark_has_its_place() -> None:
    page = (DOCS / "benchmarks.md").read_text()
    names = {path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")}
    assert set(re.findall(r"^<!-- (\w+) -->\n(?:.*?\n)??<!-- end -->$", page, re.MULTILINE | re.DOTALL)) == names


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_line_that_is_shown_exists(page: Path, commands: dict[str, Any]) -> None:
    for shown in lines(page, "itb"):
        depth = max(n for n in range(1, len(shown) + 1) if " ".join(shown[:n]) in commands)
        command = commands[" ".join(shown[:depth])]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        asked = {word.partition("=")[0] for word in shown[depth:] if word.startswith("-")}
        assert asked <= options, " ".join(shown)
        assert depth > 1 or asked, f"no such command: {' '.join(shown)}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_make_target_that_is_shown_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    spoken = set(re.findall(r"`make ([a-z]+)", page.read_text()))
    assert spoken | {shown[1] for shown in lines(page, "make")} <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_config_that_is_shown_is_valid(page: Path, tmp_path: Path) -> None:
    for title, text in re.findall(r'^```python title="([^"]+)"\n(.*?)^```', page.read_text(), re.MULTILINE | re.DOTALL):
        (tmp_path / title).write_text(text)  # a config may name a file that the page shows
    for number, block in enumerate(blocks(page, "toml")):
        tomllib.loads(block)
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        load_config(path, environ={})


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_key_that_is_spoken_of_exists(page: Path, tables: list[Any]) -> None:
    keys = {f"{table.section}.{key.name}" for table in tables for key in table.keys}
    sections = "|".join({table.section for table in tables})
    text = page.read_text()
    spoken = set(re.findall(rf"`((?:{sections})\.[a-z_]+)\b[^`(]*`", text))
    for line in text.splitlines():
        if "# fails" not in line and "--strategy" not in line:  # wrong on purpose, or a key of the user's own strategy
            spoken |= set(re.findall(rf"--set ((?:{sections})\.[a-z_]+)=", line))
    assert spoken - keys == set()
