from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.charts import shell
from itb.charts.data import Importance, Note, Table
from itb.charts.search_data import (
    Crowd,
    DailyLine,
    Drift,
    Fact,
    Halves,
    Parameter,
    SearchReport,
    Trials,
    VerdictWords,
    WindowReturns,
)
from itb.charts.search_page import plane, render_search

BAD = '</script><img src=x onerror="alert(1)">\'&<b>'


@pytest.fixture(autouse=True)
def light_plotly(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "browser" not in request.node.name:
        monkeypatch.setattr(shell, "plotly", lambda: "/* plotly */")


def report(word: str = "", name: str = "p") -> SearchReport:
    """Fill every part, with ``name`` wherever a string can stand."""
    day = np.arange(3, dtype=np.int64) * 86_400_000
    table = Table((name, name), ((name, "1"),))
    two = np.array([0.1, 0.2])
    trials = Trials(
        np.arange(2), (name, "b"), (1, -1), np.array([[0.1, 1.0], [0.2, 2.0]]), ("complete", "complete"), 1,
        (Parameter(name, two), Parameter(name + "2", two), Parameter(name + "3", np.zeros(2), (name,))),
        np.array([0]), np.array([True, True]),
    )  # fmt: skip
    return SearchReport(
        title=name, summary=name, study=name, is_synthetic=True,
        verdict=VerdictWords(word or name, f"{word}: {name}", "bad", (Fact(name, name, name),), ((name, name),),
                             (Note(name),)),
        created=name, period=name,
        lines=(DailyLine(name, day, np.ones(3)),),
        crowd=Crowd(day, (0.1, 0.5, 0.9), np.ones((3, 3)), np.ones((2, 3)), 2),
        trials=trials,
        halves=Halves(name, np.arange(2), two, two, 1, 0.5),
        logits=np.array([-1.0, 1.0]),
        windows=WindowReturns((name,), np.arange(2), two[:, None], np.array([0.1])),
        importance=Importance((name,), np.ones(1), name),
        drift=Drift((name,), (name,), np.zeros((1, 1)), ((name,),)),
        choices=table, best=table, engines=table, failures=table, holdout=table,
        notes=(Note(name, "warn"),), manifest={name: {name: name}},
    )  # fmt: skip


def figures(page: str) -> list[str]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return [figure["id"] for figure in json.loads(found.group(1))]


def test_page_asks_in_the_order_of_a_sceptic() -> None:
    page = render_search(report())
    keys = re.findall(r'<section id="([\w-]+)"', page)
    assert keys == [
        "verdict", "equity-section", "history-section", "choosing", "windows", "settings", "front", "drift-section",
        "best", "evaluation", "manifest",
    ]  # fmt: skip
    assert re.findall(r'<a href="#([\w-]+)"', page) == keys


def test_every_figure_has_one_place() -> None:
    page = render_search(report())
    places = re.findall(r'class="plot" id="([\w-]+)"', page)
    assert figures(page) == places
    assert len(set(places)) == len(places) == 11


def test_verdict_stands_large_with_its_reason() -> None:
    page = render_search(report("overfit", "probability 0.60 > 0.5"))
    assert '<div class="verdict bad"><p class="word">overfit</p><p>Probability 0.60 &gt; 0.5.</p></div>' in page


def test_result_without_a_word_shows_its_numbers_only() -> None:
    full = report()
    assert full.verdict is not None
    page = render_search(replace(full, verdict=replace(full.verdict, word="")))
    assert 'class="word"' not in page
    assert "<h2>Result</h2>" in page


def test_hostile_strings_stay_text() -> None:
    page = render_search(report(name=BAD))
    assert "<img" not in page
    assert page.count("</script>") == 3


def test_page_of_nothing_is_a_page() -> None:
    page = render_search(SearchReport("t", "s", "study", is_synthetic=False))
    assert figures(page) == []
    assert "<section" not in page
    assert "real data" in page


def test_trials_without_a_result_have_a_history_and_no_settings() -> None:
    full = report()
    assert full.trials is not None
    none = replace(full.trials, values=np.full((2, 2), np.nan), state=("failed", "failed"))
    drawn = figures(render_search(replace(full, trials=none)))
    assert "history" in drawn
    assert not [key for key in drawn if key.startswith(("slice", "importance", "plateau"))]


def test_missing_importance_is_said_in_a_sentence() -> None:
    page = render_search(replace(report(), importance="Importances need at least 10 trials."))
    assert "Importances need at least 10 trials." in page
    assert "importance" not in figures(page)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("a", "strategy.sell_threshold", "strategy.buy_threshold"), (2, 1)),
        (("a", "b", "c"), (0, 1)),
        (("a",), None),
    ],
)
def test_thresholds_are_the_plane_where_there_are_two(names: tuple[str, ...], wanted: tuple[int, int] | None) -> None:
    values = np.arange(5.0)
    parameters = tuple(Parameter(name, values) for name in names)
    trials = Trials(np.arange(5), ("sharpe",), (1,), values[:, None], ("complete",) * 5, 4, parameters)
    assert plane(trials) == wanted


@pytest.mark.parametrize("name", ["p", BAD])
def test_browser_draws_every_figure_of_the_page(name: str, tmp_path: Path, browse: Callable[..., Any]) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_search(report(name=name)))
    seen = browse(path, 9000)
    assert seen.stdout.count('class="plot js-plotly-plot"') == len(figures(path.read_text()))
    assert not re.findall(r"CONSOLE.*", seen.stderr)
