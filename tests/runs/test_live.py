"""`itb live` on the practice exchange: the whole chain, real clients, real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from itb.config import load_config
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.rehearsal import find_exchange
from itb.runs.report_live import report_live
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

SETTINGS = [
    "data.timeframe=1m", "synthetic.bars=1500", "walkforward={train=1000, refit_every=1000, workers=1}",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]", "model.rounds=10",
    "strategy.buy_threshold=0.5", "strategy.sell_threshold=0.49", "strategy.stop_loss=0.002", "live.decide_within=60s",
]  # fmt: skip
BARS = 120
MINUTE = 60_000  # paper books a stop at its bar's open, the practice exchange when its price was met
COMMAND = [sys.executable, "-c", "from itb.cli import main; main()"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose practice exchanges are ended afterwards."""
    folder = tmp_path_factory.mktemp("project")
    yield folder
    end_exchanges(folder)


def workspace(project: Path) -> Workspace:
    return Workspace(load_config(None, [*SETTINGS, f"runs.root={project / 'runs'}"]))


def book_of(folder: Path) -> Book:
    journal = Journal(folder / "journal.sqlite")
    try:
        return Book().replay(journal.events())
    finally:
        journal.close()


def orders_of(folder: Path) -> list[tuple[Any, ...]]:
    book = book_of(folder)
    return [(order.intent.key, order.intent.side, order.intent.qty, str(order.phase)) for order in book.orders.values()]


def fills_of(folder: Path) -> list[tuple[Any, ...]]:
    book = book_of(folder)
    return [
        (order.intent.key, trade.side, trade.qty, pytest.approx(float(trade.price), rel=1e-12), trade.time // MINUTE)
        for order in book.orders.values()
        for trade in order.fills
    ]


def test_paper_and_practice_decide_order_and_fill_alike(project: Path) -> None:
    said = {}
    for is_paper in (True, False):
        launch = Launch(is_paper=is_paper, rehearsal=Rehearsal(speed="lockstep", bars=BARS + 10), bars=BARS)
        said[is_paper] = live(workspace(project), launch, lambda _line: None).data
        assert said[is_paper]["steps"] == BARS
    paper, practice = (
        bot_folder(workspace(project), Launch(is_paper=is_paper, rehearsal=Rehearsal())) for is_paper in (True, False)
    )
    assert len(fills_of(practice)) > 4
    kinds = {key.split("/")[-1].split("|")[0] for key, *_ in orders_of(practice)}
    assert {"entry", "exit", "stop"} <= kinds | {"entry"}
    assert orders_of(paper) == orders_of(practice)
    assert fills_of(paper) == fills_of(practice)
    for folder in (paper, practice):
        report = report_live(workspace(project), folder.name)
        assert report.data["fills"]["same"] == len(fills_of(practice))
        assert (report.data["bars"], report.data["scores_apart"], report.data["differences"]) == (BARS, 0, [])
        assert report.data["prices_bps"]["median"] == pytest.approx(5.0, abs=1e-6)
        assert "Market orders beside the next open" in (folder / "report.html").read_text()


def test_a_killed_bot_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [
        *COMMAND, "live", "--practice", "--speed", "600", "--bars", "80", "--json", "--timeframe", "1m",
        *(part for text in SETTINGS for part in ("--set", text)),
    ]  # fmt: skip
    folder = tmp_path / "runs" / "live" / "bot-practice"
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 240
        while time.monotonic() < end and not (folder.exists() and _ticks(folder) > 15):
            assert first.poll() is None
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        before = orders_of(folder)
        exchange = find_exchange(folder)
        assert exchange is not None
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert json.loads(done.stdout)["status"]["health"] == "NORMAL"
        assert [key for key, *_ in orders_of(folder)][: len(before)] == [key for key, *_ in before]
        assert find_exchange(folder) is not None
        assert find_exchange(folder).pid == exchange.pid  # type: ignore[union-attr]  # it is there, as seen above
        book = book_of(folder)
        assert book.alarms == []
        assert all(order.is_settled or str(order.phase) == "open" for order in book.orders.values())
    finally:
        if first.poll() is None:
            first.kill()
        end_exchanges(folder)


def _ticks(folder: Path) -> int:
    file = folder / "events.jsonl"
    return file.read_text().count('"TICK"') if file.exists() else 0


def test_paper_goes_on_where_it_was(tmp_path: Path) -> None:
    """Two lives on paper are one: what rested meets the bars in between, and nothing is filled twice.

    The second life begins with the last bar of the first, which is its history.
    """
    folders = {name: tmp_path / name for name in ("whole", "halves")}
    rehearsal = Rehearsal(speed="lockstep", bars=90)
    try:
        for name, lives in (("whole", (80,)), ("halves", (35, 46))):
            for bars in lives:
                live(
                    workspace(folders[name]), Launch(is_paper=True, rehearsal=rehearsal, bars=bars), lambda _line: None
                )
        whole, halves = (bot_folder(workspace(folder), Launch(True, rehearsal)) for folder in folders.values())
        assert len(fills_of(whole)) > 2
        assert fills_of(halves) == fills_of(whole)
    finally:
        end_exchanges(tmp_path)
