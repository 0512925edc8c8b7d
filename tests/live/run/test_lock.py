"""One bot at a time, whatever becomes of the one before."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from itb.live.run.lock import Holder, InstanceLock, RunningError, account_lock_file, holder

HOLD = """
import sys, time
from pathlib import Path
from itb.live.run.lock import InstanceLock
lock = InstanceLock(Path(sys.argv[1]), "bot demo").acquire()
{more}
print("held", flush=True)
time.sleep(60)
"""


def start(file: Path, more: str = "") -> subprocess.Popen[str]:
    code = textwrap.dedent(HOLD).format(more=textwrap.dedent(more))
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_second_one_is_refused_and_told_who_was_first(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with InstanceLock(file, "bot demo") as first:
        assert first.is_held
        with pytest.raises(RunningError, match=rf"bot other: process {os.getpid()} \(bot demo\) holds .*itb live stop"):
            InstanceLock(file, "bot other").acquire()
        found = holder(file)
        assert found is not None
        assert (found.pid, found.what) == (os.getpid(), "bot demo")
    assert holder(file) is None
    InstanceLock(file).acquire().release()


def test_a_killed_holder_lets_go_and_its_words_mean_nothing(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    process = start(file)
    found = holder(file)
    assert found is not None
    assert found.pid == process.pid
    with pytest.raises(RunningError, match=f"process {process.pid}"):
        InstanceLock(file).acquire()
    end(process)
    assert holder(file) is None
    with InstanceLock(file) as lock:
        assert lock.is_held


def test_children_that_outlive_a_killed_bot_do_not_hold_it(tmp_path: Path) -> None:
    forked, spawned = tmp_path / "forked", tmp_path / "spawned"
    more = f"""
        import os, subprocess
        child = os.fork()
        if not child:
            time.sleep(60)
        Path({str(forked)!r}).write_text(str(child))
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
        Path({str(spawned)!r}).write_text(str(other.pid))
    """
    process = start(tmp_path / "lock", more)
    process.kill()
    process.wait()
    try:
        with InstanceLock(tmp_path / "lock") as lock:
            assert lock.is_held
    finally:
        for note in (forked, spawned):
            with contextlib.suppress(ProcessLookupError):  # a minute has passed
                os.kill(int(note.read_text()), signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b'{"who": 1}', b"\xff\xfe", b"x" * 10_000])
def test_whatever_a_lock_file_says_it_is_free_when_nobody_holds_it(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "lock"
    file.write_bytes(content)
    assert holder(file) is None
    with InstanceLock(file, "bot") as lock:
        assert lock.is_held
        assert holder(file) == Holder(os.getpid(), holder(file).since, "bot")  # type: ignore[union-attr]
        file.write_bytes(content)
        assert holder(file) is not None


def test_letting_go_twice_is_no_error_and_does_not_free_the_next_one(tmp_path: Path) -> None:
    first, second = InstanceLock(tmp_path / "lock").acquire(), InstanceLock(tmp_path / "lock")
    first.release()
    with second:
        first.release()
        assert holder(tmp_path / "lock") is not None


def test_bots_of_one_account_meet_wherever_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = account_lock_file("binance", "my-key")
    assert file == account_lock_file("binance", "my-key") != account_lock_file("binance", "other")
    assert "my-key" not in str(file)
    assert file.parent.stat().st_mode & 0o077 == 0
