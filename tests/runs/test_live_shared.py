"""A bot whose symbols trade one purse: on paper and on the practice exchange what the backtest of all of them does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from itb.config import load_config
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.report_live import report_live
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

BARS = 60
SYMBOLS = ["ETH/USDT", "BTC/USDT", "SOL/USDT"]
SETTINGS = [
    "data.timeframe=1m", f"data.symbols={SYMBOLS}", "synthetic.bars=900",
    "walkforward={train=700, refit_every=700, workers=1}", "model.rounds=10",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "strategy.buy_threshold=0.49", "strategy.sell_threshold=0.48", "strategy.stop_loss=0.002",
    "live.decide_within=60s", "account.shared=true", "account.equity_share=0.6",
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose practice exchanges are ended afterwards."""
    folder = tmp_path_factory.mktemp("project")
    yield folder
    end_exchanges(folder)


def workspace(project: Path, *more: str) -> Workspace:
    return Workspace(load_config(None, [*SETTINGS, f"runs.root={project / 'runs'}", *more]))


def lived(place: Workspace, *, is_paper: bool) -> Path:
    launch = Launch(is_paper=is_paper, rehearsal=Rehearsal(speed="lockstep", bars=BARS + 10), bars=BARS)
    assert live(place, launch, lambda _line: None).data["steps"] == BARS
    return bot_folder(place, Launch(is_paper=is_paper, rehearsal=Rehearsal()))


def entries(folder: Path) -> list[tuple[int, str, float]]:
    """Bar, symbol and worth of each entry, in the order in which they were asked for."""
    journal = Journal(folder / "journal.sqlite")
    try:
        book = Book().replay(journal.events())
    finally:
        journal.close()
    asked = [order.intent for order in book.orders.values() if order.intent.reason == "entry"]
    return [(one.bar_time, one.symbol, float(one.qty * one.reference_price)) for one in asked]


@pytest.mark.parametrize("is_paper", [True, False], ids=["paper", "practice"])
def test_a_shared_purse_is_traded_live_as_in_a_backtest(project: Path, is_paper: bool) -> None:
    place = workspace(project)
    folder = lived(place, is_paper=is_paper)
    report = report_live(place, folder.name)
    assert report.data["scores_apart"] == 0
    if is_paper:
        assert report.data["differences"] == []
    else:  # the exchange books fees to eight decimals: on the edge of a step a quantity differs by it
        assert {one["what"] for one in report.data["differences"]} <= {"quantity"}
        assert len(report.data["differences"]) <= 2
    assert report.data["bars"] == BARS * len(SYMBOLS)
    assert report.data["fills"]["same"] > 10
    asked = entries(folder)
    assert {symbol for _, symbol, _ in asked} >= set(SYMBOLS[:2])
    assert all(worth <= 0.6 * 0.95 * 10_100 for _, _, worth in asked)
    short = [worth for _, _, worth in asked if worth < 0.5 * 0.95 * 10_000]
    assert short, "whoever comes second at a bar gets what is left"
    together = [bar for bar, _, _ in asked if sum(bar == other for other, _, _ in asked) > 1]
    for bar in set(together):
        served = [SYMBOLS.index(symbol) for time, symbol, _ in asked if time == bar]
        assert served == sorted(served)


def test_only_so_many_positions_stand_and_a_new_life_knows_of_them(project: Path) -> None:
    seldom = ("strategy.buy_threshold=0.51", "strategy.sell_threshold=0.5")
    place = workspace(project, "account.max_open_trades=1", "account.equity_share=0", "live.name=one", *seldom)
    folder = lived(place, is_paper=True)
    assert not report_live(place, folder.name).data["differences"]
    journal = Journal(folder / "journal.sqlite")
    try:
        book, most = Book(), 0
        for event in journal.events():
            book.apply(event)
            most = max(most, len({symbol for (_, symbol), size in book.positions.items() if size}))
    finally:
        journal.close()
    assert most == 1
    assert len({symbol for _, symbol, _ in entries(folder)}) > 1
