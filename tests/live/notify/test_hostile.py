"""Bar 3: whatever strangers, groups, old phones and broken bytes send, nothing happens and nobody is answered."""

from __future__ import annotations

import json
import random
import re
import statistics
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.journal.store import Journal
from itb.live.notify.chat.dialogue import Dialogue
from itb.live.notify.chat.gate import Gate, Role
from itb.live.notify.chat.incoming import Incoming, read_update
from itb.live.notify.people import People
from itb.live.orders.events import Halted
from tests.live.notify.bot_api import OWNER, READER, STRANGER, BotApi, message, person
from tests.live.notify.cockpit import LedgerCockpit
from tests.live.notify.test_bot import GATE, Talk

NOW = 1_700_000_000
BOMBS = [
    "/stop", "/forceexit all", "/status", "/help", "/forceenter BTC long", "/STOP", "/stop@the_bot", " /stop", "/ stop",
    "/stop\x00", "\u202e/pots", "/sto\u0440", "/status " + "A" * 900, "<b>" * 300, "&lt;" * 100, "/status {{ 7*7 }}",
    "/status %s%n", "\u0000\uffff\u200b", "💣" * 500, "/status ' OR 1=1 --", "/chart ../../etc/passwd",
    "/logs 99999999999",
    "Z̸̨̛͓a̴l̵g̶o̷" * 50, "/show_config\n/stop", "/" * 1000,
]  # fmt: skip


def hostile(draw: random.Random, nonces: list[str]) -> Any:
    """One update that must have no effect, of any of the kinds that are known."""
    text = draw.choice(BOMBS)
    user = draw.choice([STRANGER, 6667, -5, 0, 2**40])
    group = {"id": -100500, "type": draw.choice(["group", "supergroup", "channel"])}
    forwards: list[dict[str, Any]] = [
        {"forward_date": NOW}, {"forward_origin": {"type": "user"}}, {"forward_from": person(OWNER)},
        {"forward_sender_name": "x"}, {"via_bot": {"id": 1, "is_bot": True}}, {"sender_chat": group},
        {"is_automatic_forward": True}, {"edit_date": NOW}, {"business_connection_id": "b"},
    ]  # fmt: skip
    data = draw.choice(["y:" + draw.choice(nonces), "n:x", "c:status", "c:stop"])
    press = {
        "id": "p1", "from": person(user), "data": data,
        "message": {"message_id": 5, "date": NOW, "chat": {"id": user, "type": "private"}},
    }  # fmt: skip
    whole, absent = message(text, OWNER, NOW), draw.choice(["from", "chat", "date", "text"])
    kinds: list[dict[str, Any]] = [
        {"message": message(text, user, NOW)},  # strangers
        {"message": message(text, OWNER, NOW, chat=group)},  # the owner in a group that is not named
        {"message": message(text, STRANGER, NOW, chat={"id": OWNER, "type": "private"})},
        {"message": message(text, OWNER, NOW, chat={"id": STRANGER, "type": "private"})},
        {"message": message(text, OWNER, NOW, **{"from": {**person(OWNER), "is_bot": True}})},
        {"message": message(text, OWNER, NOW, **{"from": person(STRANGER)})},
        {"edited_message": message(text, OWNER, NOW, edit_date=NOW)},
        {"message": message(text, OWNER, NOW, **draw.choice(forwards))},
        {"message": message(text, OWNER, NOW - draw.randint(61, 10**6))},  # stale
        {"message": message(text, OWNER, NOW + draw.randint(61, 10**6))},  # from the future
        {"channel_post": message(text, OWNER, NOW)},
        {"callback_query": press},  # foreign
        {"callback_query": {**press, "from": person(OWNER), "message": None}},
        {"callback_query": {**press, "from": person(OWNER)}},  # the owner's press in another's chat
        {"callback_query": {**press, "data": "y:" + "x" * 100}},
        {"my_chat_member": {"chat": group, "from": person(STRANGER)}},
        {"message": draw.choice([None, 5, "text", [], {}, {"text": text}, {"from": 7, "chat": 7, "text": text}])},
        {"message": {**message(text, OWNER, NOW), "date": draw.choice([None, "now", 1e300, True, -1])}},
        {"message": {**whole, "chat": draw.choice([None, OWNER, {"id": str(OWNER)}, {"id": True}])}},
        {"message": {**whole, "text": draw.choice([None, 5, ["/stop"], {"a": "/stop"}, "x" * 2000])}},
        {"message": {name: value for name, value in whole.items() if name != absent}},
        {"message": {**whole, "from": draw.choice([None, {"id": OWNER}])}},
        {},
    ]
    return {**draw.choice(kinds), "update_id": "next"}


def storm(count: int, seed: int) -> None:
    draw = random.Random(seed)
    with BotApi() as api:
        api.now = NOW
        cockpit = LedgerCockpit()
        talking = Talk(api, cockpit)
        talking.ask("/stop")
        shown = json.loads(api.sent()[-1].said["reply_markup"])
        nonce = shown["inline_keyboard"][0][0]["callback_data"].partition(":")[2]
        talking.silence()
        asked, said = cockpit.asked, len([c for c in api.calls if c.method != "getUpdates"])
        for _ in range(count):
            api.hear(hostile(draw, [nonce, "abc", ""]))
        talking.silence()  # the owner is still heard, after all of them
        talking.until(lambda: len(api.updates) <= 1)
        effects = [call for call in api.calls if call.method != "getUpdates"][said:]
        assert [plain.said.get("text", "")[:4] for plain in effects] == ["itb "]
        assert cockpit.ordered == []
        assert cockpit.asked == 2 * asked  # twice the owner's own question, and nobody else's
        talking.press_data(f"y:{nonce}")  # and the question still waits for the owner alone
        assert [what for what, *_ in cockpit.ordered] == ["stop"]
        talking.end()


def test_a_thousand_hostile_updates_have_no_effect_and_no_answer() -> None:
    storm(1_000, seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 6))
def test_ten_thousand_hostile_updates_have_no_effect_and_no_answer(seed: int) -> None:
    storm(10_000, seed)


@pytest.mark.soak
def test_a_storm_of_strangers_leaves_the_latency_of_the_journal_as_it_was(tmp_path) -> None:
    """A/B/B/A in one run: the median time of a journal's commit, with and without a storm beside it."""
    draw = random.Random(9)
    with BotApi() as api, Journal(tmp_path / "journal.db") as journal:
        api.now = NOW
        talking = Talk(api, LedgerCockpit())
        medians: dict[str, list[float]] = {"calm": [], "storm": []}
        for phase in ("calm", "storm", "storm", "calm"):
            stop = threading.Event()

            def blow(stop: threading.Event = stop) -> None:
                while not stop.wait(0.01):
                    for _ in range(20):
                        api.hear(hostile(draw, ["abc"]))

            blower = threading.Thread(target=blow)
            if phase == "storm":
                blower.start()
            times = []
            for number in range(300):
                began = time.perf_counter()
                journal.append([Halted(number, "a commit")])
                times.append(time.perf_counter() - began)
                stop.wait(0.005)
            stop.set()
            if phase == "storm":
                blower.join()
                talking.silence()
            medians[phase].append(statistics.median(times))
        talking.end()
    print(f"median commit in ms, calm {[round(1e3 * m, 3) for m in medians['calm']]}, "
          f"storm {[round(1e3 * m, 3) for m in medians['storm']]}")  # fmt: skip
    assert min(medians["storm"]) < 5 * max(medians["calm"])


# -- the gate, whatever comes

IDS = st.sampled_from([OWNER, READER, STRANGER, -100500, 0])


@given(IDS, IDS, st.booleans(), st.integers(-200_000, 200_000), st.sampled_from(["", "press"]), st.sets(IDS))
def test_only_an_owner_or_reader_at_home_and_now_is_let_in(
    user: int, chat: int, is_private: bool, age: int, pressed: str, groups: set[int]
) -> None:
    gate = Gate(frozenset({OWNER}), frozenset({READER}), frozenset(groups), max_age_s=60)
    time_ms = 0 if pressed else 10_000_000 - age
    role = gate.admit(Incoming(1, user, chat, is_private, "/stop", time_ms, pressed=pressed), now=10_000_000)
    at_home = chat == user if is_private else chat in groups
    fresh = bool(pressed) or -60_000 <= age <= 60_000
    expected = {OWNER: Role.OWNER, READER: Role.READER}.get(user) if at_home and fresh else None
    assert role == expected


KEYS = [
    "update_id", "message", "callback_query", "from", "chat", "id", "text", "date", "type", "is_bot", "data",
    "message_id", "private", "edited_message",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_read_or_passed_over(raw: Any) -> None:
    said = read_update(raw)
    if said is not None:
        assert GATE.admit(said, NOW * 1000) in (None, Role.OWNER, Role.READER)
    dialogue = Dialogue(LedgerCockpit(), GATE, People())
    if said is not None and said.user not in (OWNER, READER):
        assert dialogue.hear(said, NOW * 1000) is None


@given(st.text(max_size=60))
def test_whatever_the_owner_says_is_answered_in_markup_that_can_be_read(text: str) -> None:
    cockpit = LedgerCockpit()
    reply = Dialogue(cockpit, GATE, People()).hear(Incoming(1, OWNER, OWNER, True, f"/{text}", NOW * 1000), NOW * 1000)
    assert reply is not None
    assert reply.answer is not None
    assert re.sub(r"</?(?:b|i|code|pre)>|&(?:amp|lt|gt|quot|#x27);", "", reply.answer.text).count("<") == 0
    assert cockpit.ordered == []
