"""Long texts are split without losing a letter, and events come back as they were written."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import JournalError
from itb.live.notify.events import (
    EVENTS,
    EquityAt,
    Event,
    FillSeen,
    ScoreSaid,
    SignalSent,
    StateChanged,
    TradeClosed,
    decode,
    encode,
)
from itb.live.notify.message import plain, size, split

WORDS = st.lists(
    st.tuples(st.sampled_from(["", "b", "i", "code"]), st.text("ab \n₿📈&<>", max_size=12)), max_size=12
).map(lambda parts: "".join(f"<{tag}>{_escape(text)}</{tag}>" if tag else _escape(text) for tag, text in parts))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@given(WORDS, st.integers(2, 20))
def test_parts_of_a_split_text_are_short_well_formed_and_lose_only_blank_lines(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(size(part) <= limit for part in parts)
    assert re.sub(r"\s", "", "".join(plain(part) for part in parts)) == re.sub(r"\s", "", plain(text))
    for part in parts:
        open_tags: list[str] = []
        for close, tag in re.findall(r"<(/?)(\w+)>", part):
            if close:
                assert open_tags.pop() == tag
            else:
                open_tags.append(tag)
        assert open_tags == []


def test_a_text_is_split_at_line_ends() -> None:
    text = "\n".join(f"line {n}" for n in range(100))
    parts = split(text, 50)
    assert all(re.fullmatch(r"(line \d+\n?)+", part) for part in parts)
    assert "\n".join(parts) == text


EXAMPLES: list[Event] = [
    ScoreSaid(1, "BTC/USDT", "1h", 1.0, 2.0, 0.5, 1.5, {"a": 0.25, "b": math.inf}),
    SignalSent(1, "BTC/USDT", "buy", 1.5, -0.5, "a"),
    FillSeen(1, "BTC/USDT", "sell", 0.1, 1.5, 0.01, "stop", "77"),
    TradeClosed(9, "BTC/USDT", "short", 1, 0.1, 1.5, 1.4, 0.01, 0.009, 0.06, "signal"),
    EquityAt(1, 1000.0, "USDT"),
    StateChanged(1, "degraded", "no bars", "feed", 0, 3),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was_written(event: Event) -> None:
    assert decode(*encode(event)) == event


def test_every_kind_of_event_is_tried() -> None:
    assert [type(event) for event in EXAMPLES] == list(EVENTS.values())


def test_a_score_that_is_no_number_comes_back() -> None:
    kind, body = encode(ScoreSaid(1, "BTC/USDT", "1h", 1.0, 2.0, 0.5, 1.5, {"a": math.nan}))
    back = decode(kind, body)
    assert isinstance(back, ScoreSaid)
    assert math.isnan(back.scores["a"])


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("dream", "{}", "unknown event 'dream'"),
        ("equity", '{"time":"x","equity":1,"currency":"USDT"}', "event 'equity' cannot be read: time"),
        ("equity", "{", "event 'equity' cannot be read"),
    ],
)
def test_what_is_no_event_is_refused(kind: str, body: str, message: str) -> None:
    with pytest.raises(JournalError, match=message):
        decode(kind, body)
