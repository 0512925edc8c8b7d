"""A finished backtest can be told as a live run would have told it."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from itb.backtest.result import SharedResult
from itb.config import load_config
from itb.errors import ConfigError
from itb.live.notify.events import EquityAt, FillSeen, ScoreSaid, SignalSent, TradeClosed
from itb.runs.backtest import BacktestRun, backtest
from itb.runs.graded import expected_of, graded_labels
from itb.runs.notify import preview
from itb.runs.retold import retell
from itb.runs.workspace import Workspace
from tests.runs.conftest import NOW, SMALL

OUTPUTS = (
    "outputs=[{kind='score_bands', positive_bands=[{edge=0.5, sign='up'}]}, {kind='signals'}, {kind='trades'}, "
    "{kind='diagram', every='12h', middle=0.5}, {kind='summary'}]"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, BacktestRun]:
    settings = [*SMALL, OUTPUTS, "strategy.buy_threshold=0.505", "strategy.sell_threshold=0.495"]
    config = load_config(overrides=settings, folder=tmp_path_factory.mktemp("project"), environ={})
    place = Workspace(config, clock=lambda: NOW)
    return place, backtest(place)[0]


def test_a_backtest_is_retold_whole_and_in_order(run) -> None:
    place, made = run
    result = made.outcome.result
    events = list(retell(place, made.capsule))
    counts = Counter(type(event) for event in events)
    assert counts[ScoreSaid] == len(result.bars)
    assert counts[EquityAt] == len(result.bars) - result.start
    assert counts[FillSeen] == len(result.fills) > 4
    assert counts[TradeClosed] == sum(not trade.is_open for trade in result.trades) > 2
    assert counts[SignalSent] >= counts[FillSeen]
    assert len({event.key for event in events}) == len(events)
    bars = [event.time for event in events if isinstance(event, ScoreSaid)]
    assert bars == sorted(bars)
    assert [event.equity for event in events if isinstance(event, EquityAt)] == result.equity[result.start :].tolist()
    sold = sum(event.pnl for event in events if isinstance(event, TradeClosed))
    assert sold == pytest.approx(sum(trade.pnl for trade in result.trades if not trade.is_open))


def test_a_fill_is_told_after_the_signal_that_caused_it_and_before_the_next_bar(run) -> None:
    place, made = run
    events = list(retell(place, made.capsule))
    at, fill = next((n, event) for n, event in enumerate(events) if isinstance(event, FillSeen))
    wish = next(event for event in reversed(events[:at]) if isinstance(event, SignalSent))
    assert (wish.side, wish.time) == (fill.side, fill.time)
    assert isinstance(events[at + 1], ScoreSaid | TradeClosed)


def test_a_preview_is_a_chat_a_list_and_pictures(run, tmp_path) -> None:
    place, _ = run
    said = preview(place, "last", tmp_path / "chat", days=3)
    lines = [json.loads(line) for line in (tmp_path / "chat" / "messages.jsonl").read_text().splitlines()]
    assert Counter(line["topic"] for line in lines) == said.data["messages"]
    assert {"score", "signal", "trade", "diagram", "summary"} == set(said.data["messages"])
    pictures = {line["picture"] for line in lines if line["picture"]}
    assert {path.name for path in (tmp_path / "chat").glob("*.png")} == pictures
    assert all((tmp_path / "chat" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    page = (tmp_path / "chat" / "chat.html").read_text()
    assert page.count('class="message') == len(lines)
    assert all(name in page for name in pictures)


def test_a_preview_grades_what_it_would_have_sent(run) -> None:
    place, made = run
    signals = [event for event in retell(place, made.capsule) if isinstance(event, SignalSent)]
    board = str(preview(place, "last", None, days=1).data["scoreboard"])
    column = signals[0].column
    assert f"signals of {column}: " in board
    (line,) = [one for one in expected_of(place, made.capsule) if one.kind == "signal"]
    label = graded_labels(place.config)[column]
    bars = made.outcome.result.bars
    values, times, until, hits = label(bars).values, bars.close_time.tolist(), 0, []
    for event in signals:
        row = times.index(event.time)
        if event.time >= until and not np.isnan(values[row]):
            until = times[row + label.horizon]
            hits.append((values[row] == 1) == (event.side == "buy"))
    assert (line.count, line.hits) == (len(hits), sum(hits))
    assert line.count > 3


def test_several_symbols_on_one_account_are_retold_together(tmp_path) -> None:
    settings = [*SMALL, "data.symbols=['BTC/USDT', 'ETH/USDT']", "account.shared=true", "strategy.buy_threshold=0.505",
                "strategy.sell_threshold=0.495"]  # fmt: skip
    place = Workspace(load_config(overrides=settings, folder=tmp_path, environ={}), clock=lambda: NOW)
    (made,) = backtest(place)
    result = made.outcome.result
    assert isinstance(result, SharedResult)
    events = list(retell(place, made.capsule))
    wishes = {(event.symbol, event.time, event.side) for event in events if isinstance(event, SignalSent)}
    entries = [event for event in events if isinstance(event, FillSeen) and event.reason == "entry"]
    assert {(event.symbol, event.time, event.side) for event in entries} <= wishes
    fills = Counter(event.symbol for event in events if isinstance(event, FillSeen))
    assert fills == Counter(fill.symbol for fill in result.fills)
    assert len(fills) == 2
    said = Counter(event.symbol for event in events if isinstance(event, ScoreSaid))
    assert said == {symbol: len(part.bars) for symbol, part in result.parts.items()}
    assert [event.equity for event in events if isinstance(event, EquityAt)] == result.equity[result.start :].tolist()
    assert len({event.key for event in events}) == len(events)
    closes = [event.time for event in events if isinstance(event, ScoreSaid | EquityAt | SignalSent)]
    assert closes == sorted(closes)
    assert preview(place, "last", None, days=1).data["messages"]


def test_a_preview_of_no_days_is_refused(workspace) -> None:
    with pytest.raises(ConfigError, match="--days 0: expected 1 or more"):
        preview(workspace(), "last", None, days=0)


def test_without_outputs_the_usual_ones_are_shown(workspace, tmp_path) -> None:
    place = workspace()
    backtest(place)
    assert {"diagram", "summary"} <= set(preview(place, "last", None, days=1).data["messages"])
    assert list((place.runs / "notify").glob("*/chat.html"))
