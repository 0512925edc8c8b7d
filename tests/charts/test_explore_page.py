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
from itb.charts.data import Calibration, MetricRow, Note, Table
from itb.charts.explore_data import (
    ColumnSight,
    CoverageMap,
    ExploreData,
    HistogramPair,
    LabelSight,
    LikenessMap,
    ProfitLine,
    ScoreLadder,
    Swarm,
    Weights,
)
from itb.charts.explore_figures import likeness_figure
from itb.charts.explore_page import render_explore
from itb.charts.explore_scores import _spread, both_calibrations_figure, profit_figure, weights_figure

BAD = '</script><img src=x onerror="alert(1)">\'&<b>'


def page(words: str = "one") -> ExploreData:
    """Give a page with every part; ``words`` stands wherever a name can."""
    rng = np.random.default_rng(1)
    names = tuple(f"{words} {place}" for place in range(4))
    curve = Calibration(words, np.array([0.2, 0.8]), np.array([0.4, 0.5]), np.array([7, 9]))
    steps = np.linspace(0, 1, 5)
    column = ColumnSight(
        words,
        words,
        ladder=ScoreLadder(steps, steps - 0.5, np.array([0.1, 0.1, np.nan, 0.1, 0.1]), np.full(5, 9), 12),
        profits=tuple(ProfitLine(f"{words} {n}", steps, steps, steps, -steps, steps) for n in range(2)),
        before=curve,
        after=curve,
        features=names,
        weights=(Weights(words, words, rng.random(4)), Weights(words, words, rng.random(4) - 0.5, rng.random(4))),
        swarm=Swarm(names[:2], rng.normal(size=(2, 30)), rng.random((2, 30)), words),
        missing=(words,),
    )
    one = np.array([0.5, 0.4, np.nan])
    return ExploreData(
        words, words, words, is_synthetic=True, created=words, period=words, looks=3,
        facts=(MetricRow(words, words, is_headline=True),),
        notes=(Note(words),),
        coverage=CoverageMap((words, "funding"), np.arange(3) * 86_400_000, np.array([[1, 0.5, 0], [np.nan, 1, 1]]), 1),
        gaps=Table(("from", "to", "bars"), ((words, words, "3"),)),
        drift=Table(("feature", "PSI"), ((words, "0.3"),)),
        drift_lead="Said.",
        histograms=(HistogramPair(words, np.arange(4.0), np.full(3, 1 / 3), np.full(3, 1 / 3), 0.3),),
        likeness=LikenessMap(names, np.eye(4), np.array([0, 0, 1, 2]), (words,)),
        clusters=Table(("cluster",), ((words,),)),
        duplicates=Table(("feature",), ((words,),)),
        labels=(LabelSight(words, words, ("1", "2", words), one, one, one, one, np.array([5, 5, 0]), (words,)),),
        metrics=Table(("score column", "auc"), ((words, "0.5"),)),
        columns=(column, replace(column, name=f"{words} two"), replace(column, name=f"{words} three")),
        manifest={words: {words: words}},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def light_plotly(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "browser" not in request.node.name:
        monkeypatch.setattr(shell, "plotly", lambda: "/* plotly */")


def figures(html: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html)
    assert found is not None
    return list(json.loads(found[1]))


def test_every_figure_has_one_place_on_the_page() -> None:
    html = render_explore(page())
    ids = [figure["id"] for figure in figures(html)]
    assert len(set(ids)) == len(ids) == 2 + 1 + 1 + 3 * (3 + 3)
    assert all(html.count(f'id="{name}"') == 1 for name in ids)


def test_no_word_becomes_markup() -> None:
    html = render_explore(page(BAD))
    assert "<img" not in html
    assert html.count("</script>") == 3
    assert "alert(1)&quot;&gt;" in html


def test_the_same_data_give_the_same_bytes() -> None:
    assert render_explore(page()) == render_explore(page())


def test_the_third_column_waits_to_be_opened() -> None:
    html = render_explore(page())
    assert html.count('<details class="column" open>') == 4
    assert html.count('<details class="column">') == 2


def test_what_is_missing_is_said_instead_of_an_empty_box() -> None:
    why = {"coverage": "no bars", "features": "no features", "likeness": "too few", "labels": "no label",
           "scores": "no model", "importance": "nothing spoke"}  # fmt: skip
    html = render_explore(ExploreData("t", "s", "r", is_synthetic=False, missing=why))
    assert re.findall(r'<p class="empty">(.*?)</p>', html) == list(why.values())
    assert figures(html) == []


def test_a_coverage_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share must be 1 x 2, was \(2, 2\)"):
        CoverageMap(("one",), np.arange(2), np.zeros((2, 2)), 1)


def test_frames_stand_around_clusters_of_several_features_only() -> None:
    like = LikenessMap(("a", "b", "c", "d"), np.eye(4), np.array([0, 0, 1, 2]))
    (frame,) = likeness_figure(like).layout["shapes"]
    assert [frame[edge] for edge in ("x0", "x1", "y0", "y1")] == [-0.5, 1.5, -0.5, 1.5]


def test_a_coin_of_its_own_is_drawn_first_and_thickest_among_several() -> None:
    steps = np.linspace(0, 1, 3)
    lines = [ProfitLine(f"C{n}", steps, steps, steps, steps, steps) for n in range(12)]
    drawn = profit_figure(lines, "C9", "key")
    named = [trace for trace in drawn.data if trace.get("showlegend") is not False]
    assert [trace["line"]["width"] for trace in named][:3] == [2, 2, 1]
    assert named[0]["name"] == "C9 long above"
    assert len(named) == 16
    assert "The first 8 of 12 coins." in drawn.notes


def test_features_without_a_weight_are_not_drawn() -> None:
    drawn = weights_figure(Weights("w", "u", np.array([0.1, np.nan, 0.3])), ("a", "b", "c"), "key")
    assert drawn.data[0]["y"] == ["a", "c"]


def test_without_a_curve_there_is_no_calibration() -> None:
    assert both_calibrations_figure(None, None, "key") is None


def test_dots_that_lie_apart_stay_on_their_line_and_crowds_stay_in_their_lane() -> None:
    assert _spread(np.arange(5.0)).tolist() == [0] * 5
    crowd = _spread(np.zeros(99))
    assert len(set(crowd.tolist())) == 99
    assert np.abs(crowd).max() <= 0.45
    assert len(_spread(np.zeros(0))) == 0


def test_browser_draws_every_figure_of_the_page(tmp_path: Path, browse: Callable[..., Any]) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_explore(replace(page(BAD), columns=page(BAD).columns[:2])))
    seen = browse(path, 9000)
    assert seen.stdout.count('class="plot js-plotly-plot"') == 4 + 2 * 6
    assert not re.findall(r"CONSOLE.*", seen.stderr)
