from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.charts import page, shell
from itb.charts.data import EquityCurve, FoldQuality, MarketPanel, ReportData, ScoreLine, Table
from itb.charts.report import write_report
from itb.market.bars import Bars

FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction"}


class Reader(HTMLParser):
    """Keep tags with their attributes, the text of figures, and what a person reads."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.figures = ""
        self.words = ""
        self._inside: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        where = self._inside[-1] if self._inside else ("", None)
        if where == ("script", "figures"):
            self.figures += data
        elif where[0] not in ("script", "style"):
            self.words += data


@pytest.fixture(autouse=True)
def light_plotly(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "with_plotly" not in request.fixturenames:
        monkeypatch.setattr(shell, "plotly", lambda: "/* plotly */")


@pytest.fixture
def with_plotly() -> None:
    """Ask for the real library in the page."""


def read(data: ReportData) -> Reader:
    reader = Reader()
    reader.feed(page.render(data))
    return reader


def drawn(data: ReportData) -> list[dict[str, Any]]:
    figures: list[dict[str, Any]] = json.loads(read(data).figures)
    return figures


def test_report_asks_for_nothing_from_outside(full: ReportData) -> None:
    reader = read(full)
    asked = [(tag, value) for tag, attrs in reader.tags for name, value in attrs.items() if name in FETCHING]
    assert all(value is not None and value.startswith("#") for _, value in asked)
    assert not [tag for tag, _ in reader.tags if tag in {"link", "iframe", "object", "embed", "base", "img", "form"}]


def test_report_forbids_itself_the_network(full: ReportData) -> None:
    policies = [str(attrs["content"]) for tag, attrs in read(full).tags if attrs.get("http-equiv")]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "http" not in policies[0]


def test_own_style_and_script_name_no_address() -> None:
    for name in ("report.css", "report.js"):
        text = shell.asset(name)
        assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", text)
        assert "</script" not in text
        assert "</style" not in text


@pytest.mark.usefixtures("with_plotly")
def test_plotly_stands_in_the_page_once_and_cannot_end_its_script(full: ReportData) -> None:
    text = page.render(full)
    assert text.count("plotly.js v") == 1
    assert text.count("</script>") == 3


def test_same_data_give_the_same_bytes(
    full: ReportData, make_report: Callable[[int, int], ReportData], tmp_path: Path
) -> None:
    first = write_report(full, tmp_path / "a.html").read_bytes()
    assert write_report(make_report(3_000, 40), tmp_path / "b.html").read_bytes() == first


def test_figures_are_valid_json_with_one_place_each(full: ReportData) -> None:
    reader = read(full)
    figures = json.loads(reader.figures)
    places = [attrs["id"] for tag, attrs in reader.tags if attrs.get("class") == "plot"]
    assert [figure["id"] for figure in figures] == places
    assert len(set(places)) == len(places) == 9
    assert "NaN" not in reader.figures


def test_every_target_of_the_navigation_exists(full: ReportData) -> None:
    tags = read(full).tags
    ids = {attrs["id"] for _, attrs in tags if attrs.get("id")}
    targets = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert len(targets) == 11
    assert all(target is not None and target[1:] in ids for target in targets)


def test_hostile_strings_stay_text(hostile: ReportData) -> None:
    reader = read(hostile)
    assert not [tag for tag, attrs in reader.tags if tag == "img" or "onerror" in attrs]
    assert sum(tag == "script" for tag, _ in reader.tags) == 3
    assert "<img" not in json.dumps(json.loads(reader.figures))
    assert hostile.title in reader.words


def test_page_says_what_nobody_may_overlook(full: ReportData) -> None:
    marked = read(replace(full, is_synthetic=False, is_free=True, holdout_seen=True)).words
    for words in ("real data", "zero cost", "hold-out seen", "look no. 3", full.summary, full.run_id):
        assert words in marked
    assert "synthetic data" in read(full).words


def test_scenarios_are_called_scenarios_and_not_bounds(full: ReportData) -> None:
    assert "They are scenarios, not bounds." in read(full).words


def test_report_with_nothing_but_a_title_is_a_page() -> None:
    reader = read(ReportData("t", "s", "r", is_synthetic=True))
    assert json.loads(reader.figures) == []
    assert not [tag for tag, _ in reader.tags if tag == "section"]


def test_run_without_trades_or_score_or_model_says_so(make_report: Callable[[int, int], ReportData]) -> None:
    data = replace(make_report(500, 0), folds=(), calibrations=(), importances=(), scenarios=None)
    data = replace(data, markets=(MarketPanel(data.markets[0].bars),), ambiguous=Table(("Entered",), ()))
    reader = read(data)
    assert "No trade was closed." in reader.words
    assert "No trade was ambiguous." in reader.words
    assert [figure["id"] for figure in json.loads(reader.figures)] == ["equity", "market-0", "cost-curve"]


def test_run_of_one_bar_is_drawn(make_bars: Callable[[int], Bars]) -> None:
    bars = make_bars(1)
    score = ScoreLine("s", np.array([np.nan]), {"buy": 0.5})
    curve = EquityCurve(bars.close_time, np.array([10.0]), 10.0)
    data = ReportData("t", "s", "r", is_synthetic=True, equity=curve, markets=(MarketPanel(bars, (score,)),), trades=())
    assert [figure["id"] for figure in drawn(data)] == ["equity", "market-0"]


def test_run_of_no_bars_is_a_page(make_bars: Callable[[int], Bars]) -> None:
    bars = make_bars(5).head(0)
    empty = EquityCurve(bars.close_time, np.empty(0), 10.0)
    data = ReportData("t", "s", "r", is_synthetic=True, equity=empty, markets=(MarketPanel(bars),))
    assert drawn(data) == []


def test_open_trade_has_an_entry_but_no_exit(full: ReportData) -> None:
    assert full.trades is not None
    waiting = replace(full, trades=(full.trades[1]._replace(is_open=True, exit_reason="open"),))
    market = next(figure for figure in drawn(waiting) if figure["id"] == "market-0")
    named = [trace.get("name") for trace in market["data"]]
    assert "long entry" in named
    assert not [name for name in named if name and name.startswith("exit")]


def test_trades_of_another_symbol_are_not_drawn(full: ReportData) -> None:
    assert full.trades is not None
    others = replace(full, trades=tuple(trade._replace(symbol="ETH/USDT") for trade in full.trades))
    market = next(figure for figure in drawn(others) if figure["id"] == "market-0")
    assert not [trace for trace in market["data"] if trace.get("lod") == "points"]


def test_most_trades_are_left_undrawn_with_a_note(make_report: Callable[[int, int], ReportData]) -> None:
    data = make_report(20_000, 5_000)
    reader = read(data)
    market = next(figure for figure in json.loads(reader.figures) if figure["id"] == "market-0")
    assert sum(len(trace["text"]) for trace in market["data"] if trace.get("lod") == "points") == 2_000
    assert "the 1,000 trades with the largest profit or loss of 5,000" in reader.words


def test_long_table_is_cut_with_a_note(full: ReportData) -> None:
    long = Table(("Entered", "Result"), tuple((str(i), "+1 %") for i in range(250)))
    assert "50 more rows" in read(replace(full, ambiguous=long)).words


def test_infinite_and_unknown_values_are_drawn(full: ReportData) -> None:
    odd = FoldQuality("IC", ("1", "2"), np.array([np.nan, np.nan]), 0.0, float("nan"))
    manifest = {"worst": float("nan"), "deep": [np.float64(1.5), np.arange(2), None, Path("x")]}
    reader = read(replace(full, folds=(odd,), manifest=manifest))
    assert '"worst": null' not in reader.figures
    assert "1.5" in reader.words


def test_columns_of_different_lengths_are_refused(make_bars: Callable[[int], Bars]) -> None:
    bars = make_bars(3)
    with pytest.raises(ValueError, match=r"strategy must have 3 values, had 2"):
        EquityCurve(bars.close_time, np.ones(2), 1.0)
    with pytest.raises(ValueError, match=r"score 's' must have 3 values, had 4"):
        MarketPanel(bars, (ScoreLine("s", np.ones(4)),))
    with pytest.raises(ValueError, match=r"a row must have 2 cells"):
        Table(("a", "b"), (("1",),))


@pytest.mark.usefixtures("with_plotly")
def test_million_bars_make_a_file_below_15_megabytes_in_less_than_4_seconds(
    make_report: Callable[[int, int], ReportData], tmp_path: Path
) -> None:
    data = make_report(1_000_000, 20_000)
    began = time.process_time()
    path = write_report(data, tmp_path / "deep" / "report.html")
    assert time.process_time() - began < 4
    assert path.stat().st_size < 15_000_000


def test_failed_write_leaves_the_old_report(full: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(full, tmp_path / "report.html")
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_report(replace(full, title="other"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
