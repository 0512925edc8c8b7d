"""One life of a bot follows another in the same process, and nobody who writes to it meanwhile is passed over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from itb.live.notify.chat.bridge import Report
from itb.live.notify.chat.dialogue import Reply
from itb.live.notify.chat.incoming import Heard
from tests.live.notify.bot_api import BotApi
from tests.live.notify.cockpit import LedgerCockpit
from tests.live.notify.test_bot import Talk


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi() as served:
        yield served


def test_what_is_said_between_two_lives_is_heard_by_the_next(api: BotApi) -> None:
    heard = Heard()
    first = Talk(api, LedgerCockpit(), heard=heard)
    first.ask("/version")
    first.end()
    api.say("/count")
    second = Talk(api, LedgerCockpit(), heard=heard)
    second.until(lambda: len(api.sent()) == 2)
    second.silence()
    second.end()
    assert [text[:5] for text in api.texts()] == ["itb 0", "0 pos", "itb 0"]
    assert api.dropped == 0


def test_what_a_life_has_heard_and_not_decided_is_decided_by_the_next(api: BotApi) -> None:
    heard, asked = Heard(), threading.Event()

    async def never(_act: Callable[[], Reply | None]) -> Reply | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    first = Talk(api, LedgerCockpit(), heard=heard, call=never)
    api.say("/count")
    assert asked.wait(60)
    first.end()
    second = Talk(api, LedgerCockpit(), heard=heard)
    second.until(lambda: len(api.sent()) == 1)
    second.end()
    assert api.texts() == ["0 positions, 0 open orders, 2 markets"]


def test_what_a_life_has_decided_is_said_although_it_ends(api: BotApi) -> None:
    talks: list[Talk] = []

    async def last(act: Callable[[], Reply | None]) -> Reply | None:
        talks[0].bot_task.cancel()
        return act()

    talks.append(Talk(api, LedgerCockpit(), call=last))
    assert talks[0].ask("/count") == "0 positions, 0 open orders, 2 markets"
    talks[0].end()


def test_a_longer_work_that_ends_with_the_bot_is_told(api: BotApi) -> None:
    cockpit, begun = LedgerCockpit(), threading.Event()

    async def endless() -> Report:
        begun.set()
        await asyncio.Event().wait()
        return Report("")

    cockpit.search = endless  # type: ignore[method-assign]
    talk = Talk(api, cockpit)
    assert talk.ask("/optimize status") == "The studies are being read."
    assert begun.wait(60)
    talk.end()
    assert api.texts()[1:] == ["It was not finished: the bot has ended or begun anew. Ask again."]
