"""How a bot's life ends: in order, never without a word, and without leaving a position naked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from itb.config import load_config
from itb.errors import ConfigError, ItbError
from itb.live.bars.timekeeper import Timekeeper
from itb.live.journal.store import Journal
from itb.live.notify.events import StateChanged
from itb.live.orders.book import Book
from itb.live.run.chronicle import Chronicle
from itb.live.run.event_log import read_events
from itb.runs import live_audience, live_bot
from itb.runs.live import Launch, bot_folder, live
from itb.runs.live_bot import Bot
from itb.runs.live_parts import journal_of
from itb.runs.practice import Rehearsal
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

SETTINGS = (
    "data.timeframe=1m", "synthetic.bars=2000",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "label={horizon=3, threshold=0.0, alias='up'}", "model.algorithm=logistic",
    "walkforward={train=900, refit_every=1000, workers=1, min_train_rows=100}", "live.retrain=false",
    "strategy.buy_threshold=0.3", "strategy.sell_threshold=0.01", "strategy.stop_loss=0.3", "live.decide_within=60s",
)  # fmt: skip
REHEARSAL = Rehearsal(speed="lockstep", bars=60)
PRACTICE = Launch(is_paper=False, rehearsal=REHEARSAL, bars=12)


def place(root: Path, *more: str) -> Workspace:
    return Workspace(load_config(None, [*SETTINGS, f"runs.root={root / 'runs'}", *more], folder=root, environ={}))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder whose practice exchanges are ended afterwards."""
    yield tmp_path
    end_exchanges(tmp_path)


def book_of(folder: Path) -> Book:
    with Journal(folder / "journal.sqlite") as journal:
        return Book().replay(journal.events())


def test_a_stop_that_cancels_leaves_what_protects_a_position_where_it_rests(root: Path) -> None:
    workspace = place(root, "live.on_stop=cancel")
    live(workspace, PRACTICE, lambda _line: None)
    book = book_of(bot_folder(workspace, PRACTICE))
    assert any(book.positions.values())
    stops = [order for order in book.orders.values() if order.intent.kind == "stop"]
    assert [(str(order.phase), order.cancel) for order in stops] == [("open", "")]


def test_a_position_that_another_config_would_leave_to_nobody_is_kept_or_told(root: Path) -> None:
    live(place(root), PRACTICE, lambda _line: None)
    folder = bot_folder(place(root), PRACTICE)
    ((lane, held),) = book_of(folder).positions.items()
    renamed = "live.strategies=[{called='other'}]"
    bot = Bot(place(root), Launch(reload=lambda: place(root, renamed)), root, {}, None, lambda _line: None)
    with pytest.raises(ConfigError, match=f"{held:f} {lane[1]} of {lane[0]} would be left to nobody: close it first"):
        bot.reload({lane: held})
    live(place(root, renamed), PRACTICE, lambda _line: None)
    assert f"nobody watches {held:f} {lane[1]} of {lane[0]}" in (folder / "events.jsonl").read_text()


def test_what_ends_a_bot_is_written_and_all_of_it_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Any, ticked: Any) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(Chronicle, "tick", fail)
    workspace = place(root)
    with pytest.raises(ItbError, match="ended by ZeroDivisionError: on purpose"):
        live(workspace, PRACTICE, lambda _line: None)
    folder = bot_folder(workspace, PRACTICE)
    (stopped,) = (event for event in read_events(folder / "events.jsonl") if event["event"] == "STOP")
    assert stopped["why"] == "ZeroDivisionError: on purpose"
    assert book_of(folder).alarms == []


def test_a_terminal_that_goes_away_does_not_end_the_bot(root: Path) -> None:
    def tell(line: str) -> None:
        if "state in" in line:
            raise BrokenPipeError

    assert live(place(root), PRACTICE, tell).data["steps"] == 12


def test_a_bot_that_still_waits_for_its_exchange_can_be_stopped(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_self: Timekeeper, times: int = 1) -> bool:
        del times
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    monkeypatch.setattr(Timekeeper, "sample", silent)
    workspace = place(root, "live.exchange=binance")
    bot = Bot(workspace, Launch(), root, {}, None, lambda _line: None)

    async def run() -> Any:
        async with asyncio.timeout(60):
            return await bot.run()

    assert "before it began" in asyncio.run(run()).lines[0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("strategy.buy_threshold=7", "buy_threshold"), ("live.name=other", "live.name"),
        ("live.exchange=kraken", "live.exchange"), ("live.sandbox=true", "live.sandbox"),
        ("conformal.method=split", "conformal"),
        ("account.shared=true", r"account\.shared: was False .* stop the bot and start it anew"),
        ("account.tranches=2", r"account\.tranches: was 0 .* stop the bot and start it anew"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_worked_by_is_refused_while_the_bot_goes_on(
    root: Path, changed: str, told: str
) -> None:
    workspace = place(root)
    bot = Bot(workspace, Launch(reload=lambda: place(root, changed)), root, {}, None, lambda _line: None)
    with pytest.raises(ConfigError, match=told):
        bot.reload({})
    assert bot.next_life is None


def test_paper_never_writes_into_the_journal_of_the_real_account(root: Path) -> None:
    url = f"sqlite:///{root / 'shared.sqlite'}"
    config = place(root, f"live.journal={url}").config
    runs = root / "runs" / "live"
    assert journal_of(config, runs / "bot") == url
    assert journal_of(config, runs / "bot-paper") == runs / "bot-paper" / "journal.sqlite"
    live(Workspace(config), PRACTICE, lambda _line: None)
    assert not (root / "shared.sqlite").exists()


def test_models_of_a_rehearsal_that_never_began_are_not_taken_into_an_earlier_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have learned from what is replayed now."""

    def refuse(*_: Any) -> Any:
        raise ItbError("no port")

    workspace = place(root)
    folder = bot_folder(workspace, PRACTICE)
    with monkeypatch.context() as broken:
        broken.setattr("itb.runs.live.start_exchange", refuse)
        with pytest.raises(ItbError, match="no port"):
            live(workspace, PRACTICE, lambda _line: None)
    assert list((folder / "models").rglob("columns.json"))
    live(workspace, PRACTICE, lambda _line: None)
    assert list((folder / "earlier-1" / "models").rglob("columns.json"))


def test_a_new_config_that_nothing_can_be_trained_by_gives_way_to_the_one_before(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bots: list[Bot] = []

    class Seen(Bot):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            bots.append(self)

        async def _after(self, step: Any) -> None:
            await super()._after(step)
            if len(bots) == 1 and self.is_up and step.open_time % 300_000 == 0:
                self.reload({})

    monkeypatch.setattr(live_bot, "Bot", Seen)
    told: list[str] = []
    launch = Launch(
        False, REHEARSAL, 12, lambda: place(root, "walkforward.train=50000", "walkforward.min_train_rows=50000")
    )
    live(place(root), launch, told.append)
    assert [line for line in told if "going on with the one before" in line]
    assert len(bots) == 2
    assert bots[1].config == bots[0].config


def test_people_hear_why_a_bot_has_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Recorder:
        def tell(self, *events: Any) -> None:
            told.extend(event.text for event in events if isinstance(event, StateChanged))

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            told.append("herald gone")

    def fail(_self: Any, ticked: Any) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(Chronicle, "tick", fail)
    monkeypatch.setattr(live_audience, "build_herald", lambda *_, **__: Recorder())
    with pytest.raises(ItbError, match="on purpose"):
        live(place(root, "outputs=[{kind='alerts'}]"), PRACTICE, lambda _line: None)
    assert told[-1] == "herald gone"
    assert "ended by ZeroDivisionError: on purpose" in told[-2]
