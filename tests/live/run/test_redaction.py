"""Secrets never leave, whatever form they take and whoever writes."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.live.run.redaction import HIDDEN, Redaction, cleaned, hide, hide_in_uncaught, shown

CANARY = "cAnArY-k3y/with+odd=signs&more"
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=64)


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """What a handler of somebody else's writes while the canary is hidden and every logger is at DEBUG."""
    undo = hide([CANARY])
    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    undo()


@given(secrets, st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_shows_in_no_form(secret: str, before: str, after: str) -> None:
    redaction = Redaction([secret])
    for form in (secret, quote(secret, safe=""), quote_plus(secret), repr(secret), secret.encode().decode("latin-1")):
        assert secret not in redaction(f"{before}{form}{after}").replace(HIDDEN, "\0")


@given(st.text(max_size=200))
def test_what_holds_no_secret_is_left_alone_by_what_is_known(text: str) -> None:
    assert Redaction([]).known(text) == text
    assert Redaction(["\x01" * 9]).known(text) == text


def test_short_secrets_are_hidden_as_words_and_leave_other_words_whole() -> None:
    assert Redaction(["key1"])("key1, monkey12 and 'key1'") == f"{HIDDEN}, monkey12 and '{HIDDEN}'"


@pytest.mark.parametrize(
    "text",
    [
        "GET https://api.example/order?symbol=BTC&signature=deadbeef00&timestamp=5",
        "{'X-MBX-APIKEY': 'deadbeef00', 'User-Agent': 'x'}",
        '{"api_key": "deadbeef00"}',
        "OK-ACCESS-PASSPHRASE: deadbeef00",
        "KC-API-SIGN=deadbeef00",
        "Authorization: Bearer deadbeef00",
        "'Authorization': 'Basic deadbeef00'",
        "postgresql://trader:deadbeef00@db/itb",
        "listenKey=deadbeef00",
        "password = deadbeef00",
        '"{\\"secret\\": \\"deadbeef00\\"}"',
        "-----BEGIN PRIVATE KEY-----\ndeadbeef00\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\ndeadbeef00 and it is cut",
        "https://api.telegram.org/bot123456789:AAdeadbeef00-deadbeef00_deadbeef00xx/getMe",
    ],
)
def test_what_looks_like_a_secret_is_hidden_though_nobody_told_it(text: str) -> None:
    assert "deadbeef00" in text
    assert "deadbeef00" not in Redaction()(text)


@pytest.mark.parametrize(
    "text",
    [
        "BTC/USDT 1h: 3 bars missing, first 2024-03-10 02:00 UTC.",
        "signal: 0.71 of design: x, assigned: yes",
        "order demo|BTC/USDT|1700000000000|entry|1 x-itb-0123456789abcdef: rejected",
        "http://127.0.0.1:8000/api/v3/time",
    ],
)
def test_usual_lines_stay_as_they_are(text: str) -> None:
    assert Redaction([CANARY])(text) == text


def test_a_key_file_shows_no_line_of_it() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
    redaction = Redaction([key])
    assert "AQEFAASCBKcwggSjAgEAAoIB" not in redaction("line 2 is AQEFAASCBKcwggSjAgEAAoIB")
    assert "MIIEvQIBADANBgkqhkiG9w0B" not in redaction(repr({"key": key}))


def test_records_of_any_logger_are_clean_for_any_handler(told: io.StringIO) -> None:
    logging.getLogger("urllib3.connectionpool").debug("GET /api?key=%s", CANARY)
    logging.getLogger("ccxt").debug({"headers": {"X-MBX-APIKEY": CANARY}})
    logging.getLogger("mixed").info("%s and %s", quote_plus(CANARY), [CANARY])
    logging.getLogger("broken").info("%d", CANARY)
    said = told.getvalue()
    assert said.count(HIDDEN) == 4
    assert CANARY not in said
    assert quote_plus(CANARY) not in said


def test_traces_stacks_and_causes_are_clean(told: io.StringIO) -> None:
    def sign() -> None:
        raise ValueError(f"signed {CANARY}")

    def send() -> None:
        try:
            sign()
        except ValueError as error:
            raise RuntimeError(f"while sending {quote(CANARY, safe='')}") from error

    try:
        send()
    except RuntimeError:
        logging.getLogger("deep").exception("failed with %s", CANARY, stack_info=True)
    said = told.getvalue()
    assert "RuntimeError" in said
    assert "ValueError" in said
    assert CANARY not in said
    assert quote(CANARY, safe="") not in said


def test_a_loop_in_debug_mode_tells_no_secret(told: io.StringIO) -> None:
    async def lost() -> None:
        raise OSError(f"dialling wss://stream/{CANARY}")

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.call_exception_handler({"message": f"task of {CANARY} failed", "exception": OSError(CANARY)})
        with pytest.raises(OSError, match="dialling"):
            await lost()

    asyncio.run(scene())
    assert "asyncio" in told.getvalue()
    assert CANARY not in told.getvalue()


def test_uncaught_exceptions_are_clean(told: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    def fail() -> None:
        raise KeyError(CANARY)

    undo = hide_in_uncaught()
    try:
        fail()
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    undo()
    assert stream.getvalue().count("Traceback") == 2
    assert CANARY not in stream.getvalue()


def test_more_can_be_hidden_and_undone() -> None:
    first = hide(["first-secret"])
    second = hide(["other-secret"])
    assert shown("first-secret other-secret") == f"{HIDDEN} {HIDDEN}"
    second()
    first()
    assert shown("first-secret other-secret") == "first-secret other-secret"


def test_nests_are_cleaned_and_stay_what_they_are() -> None:
    undo = hide([CANARY])
    try:
        nest = {"a": [CANARY, ("x", {"b": f"<{CANARY}>"})], "token": "tell-tale", CANARY: 1, "n": 1.5, "none": None}
        assert cleaned(nest) == {
            "a": [HIDDEN, ["x", {"b": f"<{HIDDEN}>"}]], "token": HIDDEN, HIDDEN: 1, "n": 1.5, "none": None,
        }  # fmt: skip
    finally:
        undo()


def test_its_own_picture_tells_nothing() -> None:
    assert CANARY not in repr(Redaction([CANARY]))
