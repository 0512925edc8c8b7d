"""Steering by socket: the owner alone, whatever comes down the line, and whatever was left there before."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itb.errors import ItbError
from itb.live.run.control import OPERATIONS, ControlServer, RemoteCockpit, request
from itb.live.run.redaction import hide
from itb.live.run.socket_file import SOCKET, NotRunningError, dial, listen, private_folder
from tests.live.run.steering import ORDER, Bot, Panel, running


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    with running(tmp_path / "demo", patience_s=60.0) as bot:
        yield bot


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Bot]:
    """A bot that leaves whoever says nothing for a while."""
    with running(tmp_path / "demo", patience_s=1.5) as bot:
        yield bot


def raw(folder: Path, sent: bytes, *, end: bool = True) -> bytes:
    """Send bytes as they are and give all that comes back."""
    with dial(folder, 60.0) as connection:
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(sent)
            if end:
                connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                received += part
        return received


def test_what_is_asked_comes_back_equal(bot: Bot) -> None:
    far = RemoteCockpit(bot.folder)
    assert far.status() == bot.panel.status()
    assert far.orders() == (ORDER,)
    assert far.orders(2) == (ORDER,) * 3
    assert far.pause("terminal") == "No new risk is taken."
    assert far.close("terminal", symbol="BTC/USDT") == "Closing."
    assert far.stop("terminal", cancel=True) == "Stopping."
    assert bot.panel.asked[-2:] == [("close", ("terminal", "BTC/USDT", "")), ("stop", ("terminal", True))]
    assert [ask for ask, _, _ in bot.commands] == ["pause", "close", "stop"]


def test_refusals_and_faults_come_back_as_words_without_secrets(bot: Bot) -> None:
    far = RemoteCockpit(bot.folder)
    undo = hide(["cAnArY-k3y"])
    try:
        with pytest.raises(ItbError, match=r"^cannot read 7$"):
            far.trades(7)
        with pytest.raises(ItbError, match=r"^balance: unexpected ZeroDivisionError: with \*\*\* inside$"):
            far.balance()
    finally:
        undo()
    assert far.resume("terminal") == "resumed by terminal, signature=***"
    assert far.status().bot == "demo"


def test_only_the_owner_may_open_it(bot: Bot) -> None:
    assert stat.S_IMODE(bot.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((bot.folder / SOCKET).stat().st_mode) == 0o600


def test_a_folder_that_others_may_enter_is_closed_and_a_stranger_s_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    assert stat.S_IMODE(private_folder(folder).stat().st_mode) == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(ItbError, match="belongs to user"):
        private_folder(folder)


def test_whom_the_system_turns_away_is_told_why(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ItbError, match="only its owner may steer this bot"):
        RemoteCockpit(bot.folder).status()


@pytest.mark.parametrize(
    "sent",
    [
        b"\n", b"\0\n", b"null\n", b"[]\n", b'{"ask": 5}\n', b'{"ask": "__class__"}\n', b'{"ask": "kill"}\n',
        b'{"ask": "status", "with": []}\n', b'{"ask": "status", "with": {"ended": 1}}\n',
        b'{"ask": "status", "x": 1}\n',
        b'{"ask": "orders", "with": {"ended": "5"}}\n', b'{"ask": "orders", "with": {"ended": true}}\n',
        b'{"ask": "orders", "with": {"ended": -1}}\n', b'{"ask": "orders", "with": {"ended": 1e3}}\n',
        b'{"ask": "orders", "with": {"ended": 9999999999}}\n', b'{"ask": "stop", "with": {"cancel": "yes"}}\n',
        b'{"ask": "close", "with": {"symbol": null}}\n', b"\xff\xfe\n", b"[" * 50_000 + b"\n", b"{" * 1000 + b"\n",
        b'{"ask": ["status"]}\n', b'{"ask": "status"}{"ask": "stop"}\n',
    ],
)  # fmt: skip
def test_a_line_that_is_no_request_is_answered_and_does_nothing(bot: Bot, sent: bytes) -> None:
    answer = json.loads(raw(bot.folder, sent))
    assert set(answer) == {"error"}
    assert len(answer["error"]) < 400
    assert bot.panel.asked == []
    assert bot.commands == []


def test_half_a_line_does_nothing(bot: Bot) -> None:
    assert raw(bot.folder, b'{"ask": "stop"}') == b""
    assert raw(bot.folder, b'{"ask": "stop"') == b""
    assert bot.panel.asked == []


def test_several_requests_of_one_connection_are_answered_in_order(bot: Bot) -> None:
    answers = raw(bot.folder, b'{"ask": "pause"}\nnonsense\n{"ask": "orders"}\n{"ask": "stop"').splitlines()
    assert [next(iter(json.loads(answer))) for answer in answers] == ["said", "error", "said"]
    assert bot.panel.asked == [("pause", "terminal"), ("orders", 0)]


def test_a_line_without_end_is_left(bot: Bot) -> None:
    answer = raw(bot.folder, b"x" * 200_000, end=False)
    assert not answer or "at most" in json.loads(answer)["error"]
    assert RemoteCockpit(bot.folder).status().bot == "demo"


def test_who_says_nothing_is_left(impatient: Bot) -> None:
    assert raw(impatient.folder, b"", end=False) == b""
    assert raw(impatient.folder, b'{"ask"', end=False) == b""


def test_who_does_not_read_is_left_and_holds_nobody_up(impatient: Bot) -> None:
    with dial(impatient.folder, 60.0) as deaf:
        deaf.sendall(b'{"ask": "orders", "with": {"ended": 3000}}\n')
        assert RemoteCockpit(impatient.folder).status().bot == "demo"
        while impatient.run(asyncio.to_thread(lambda: impatient.server.connections)):
            pass  # until its patience is over
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := deaf.recv(1_000_000):
                received += part
    assert received
    assert not received.endswith(b"\n")
    assert RemoteCockpit(impatient.folder).status().bot == "demo"


def test_too_many_connections_are_turned_away_and_places_come_back(tmp_path: Path) -> None:
    with running(tmp_path / "demo", most=3, patience_s=60.0) as bot:
        open_ones = [dial(bot.folder, 60.0) for _ in range(3)]
        for one in open_ones:
            one.sendall(b'{"ask": "orders"}\n')
            assert one.recv(65_536)
        with pytest.raises(NotRunningError, match="went away"):
            RemoteCockpit(bot.folder).status()
        for one in open_ones:
            one.close()
        for _ in range(5_000):
            with contextlib.suppress(NotRunningError):
                if RemoteCockpit(bot.folder).status().bot == "demo":
                    break
        else:
            pytest.fail("no place came back")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([b'{"ask": "stop', b'"}\n', b"\n"])), max_size=5))
def test_no_junk_ends_the_server(bot: Bot, parts: list[bytes]) -> None:
    raw(bot.folder, b"".join(parts))
    assert json.loads(raw(bot.folder, b'{"ask": "status"}\n'))["said"]["bot"] == "demo"


@given(st.binary(max_size=300))
def test_any_line_has_an_answer_that_json_can_say(line: bytes) -> None:
    server = ControlServer(Panel(), Path("/nowhere"))
    assert set(json.loads(json.dumps(server.answer(line)))) == {"error"}


def test_every_operation_of_the_port_is_served() -> None:
    names = {name for name, value in vars(Panel).items() if not name.startswith("_") and callable(value)}
    assert set(OPERATIONS) == names == {name for name in vars(RemoteCockpit) if not name.startswith("_")}


@pytest.mark.parametrize("length", [90, 104, 109, 400])
def test_the_path_may_have_any_length(tmp_path: Path, length: int) -> None:
    folder = tmp_path
    while len(str(folder / SOCKET)) < length:
        folder /= "x" * min(200, max(1, length - len(str(folder / SOCKET)) - 1))
    with running(folder) as bot:
        assert RemoteCockpit(folder).status().bot == "demo"
        assert bot.server is not None
    assert not (folder / SOCKET).exists()


def test_where_nobody_runs_it_is_said(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotRunningError, match="no bot runs here; start it with `itb live`"):
            RemoteCockpit(folder).status()


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from itb.live.run.socket_file import listen
listening = listen(Path(sys.argv[1]))
print("listening", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / SOCKET).exists()
    with pytest.raises(NotRunningError):
        RemoteCockpit(tmp_path).status()
    with running(tmp_path):
        assert RemoteCockpit(tmp_path).status().bot == "demo"


def test_a_bot_that_dies_while_it_is_asked_or_says_nonsense(tmp_path: Path) -> None:
    listening = listen(tmp_path)
    listening.settimeout(60)
    answers = [b"", b'{"said"', b"5\n", b'{"said": {"x": 1}}\n', b"{}\n"]

    def serve() -> None:
        for answer in answers:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    for expected in ("went away", "went away", "without words", "other words", "without words"):
        with pytest.raises(ItbError, match=expected):
            RemoteCockpit(tmp_path).status()
    thread.join()
    listening.close()


def test_a_bot_that_does_not_answer_is_not_waited_for_long(tmp_path: Path) -> None:
    listening = listen(tmp_path)
    with pytest.raises(ItbError, match=r"has not answered for 0.05 s"):
        request(tmp_path, {"ask": "status"}, 0.05)
    listening.close()
