"""The event log keeps every line whole, stays small, and lets trading be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.live.run import event_log
from itb.live.run.event_log import EventLog, Kind, read_events
from itb.live.run.redaction import hide

START = 1_709_251_200_123


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def log(file: Path) -> Iterator[EventLog]:
    log = EventLog(file, lambda: START, bot="demo")
    yield log
    log.close()


def test_an_event_is_a_line_with_every_digit(log: EventLog, file: Path) -> None:
    price = Decimal("61234.123456789012345678")
    log.write(Kind.FILL, symbol="BTC/USDT", qty=Decimal("1E-8"), price=price, score=0.1 + 0.2, bad=float("nan"))
    log.write(Kind.TICK, time=START + 877, value=np.float64(1 / 3), count=np.int64(3), none=None, legs=(1, {"a": True}))
    assert log.flush()
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert first == {
        "time": "2024-03-01T00:00:00.123Z", "event": "FILL", "bot": "demo", "symbol": "BTC/USDT",
        "qty": "0.00000001", "price": "61234.123456789012345678", "score": 0.30000000000000004, "bad": None,
    }  # fmt: skip
    assert Decimal(first["price"]) == price
    assert second["time"] == "2024-03-01T00:00:01.000Z"
    assert (second["value"], second["count"], second["none"], second["legs"]) == (1 / 3, 3, None, [1, {"a": True}])


def test_no_field_can_pass_for_the_head(log: EventLog, file: Path) -> None:
    log.write(Kind.NOTE, event="FILL", bot="other", text="line\nbreak")
    log.flush()
    (event,) = read_events(file)
    assert (event["event"], event["bot"], event["text"]) == ("NOTE", "demo", "line\nbreak")


def test_secrets_are_hidden_in_lines_and_in_memory(log: EventLog, file: Path) -> None:
    undo = hide(["cAnArY-k3y"])
    try:
        log.write(Kind.NOTE, text="cAnArY-k3y", deep={"x": ["signature=deadbeef", "cAnArY-k3y"]}, api_key="tell-tale")
        log.flush()
    finally:
        undo()
    for said in (file.read_text(), str(log.recent)):
        assert "cAnArY" not in said
        assert "deadbeef" not in said
        assert "tell-tale" not in said


class Spiteful:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_values_that_cannot_be_written_cost_one_line_only(log: EventLog, file: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    log.write(Kind.NOTE, what=Spiteful())
    log.write(Kind.NOTE, loop=loop, raw=b"\xff", surrogate="\ud800", big=10**40)
    log.flush()
    lost, event = read_events(file)
    assert (lost["event"], lost["lines"]) == ("LOST", 1)
    assert event["big"] == 10**40


def test_a_torn_last_line_is_cut_off_and_read_over(file: Path) -> None:
    file.write_text('{"event": "TICK", "n": 1}\n{"event": "TICK", "n": 2}\n{"event": "TI')
    assert [event["n"] for event in read_events(file)] == [1, 2]
    log = EventLog(file, lambda: START)
    log.write(Kind.TICK, n=3)
    log.close()
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()] == [1, 2, 3]


def test_a_file_that_is_one_torn_line_begins_anew(file: Path) -> None:
    file.write_bytes(b"x" * 200_000)
    log = EventLog(file, lambda: START)
    log.write(Kind.TICK, n=1)
    log.close()
    assert [event["n"] for event in read_events(file)] == [1]
    assert file.stat().st_size < 200


def test_older_files_go_and_the_whole_stays_small(file: Path) -> None:
    log = EventLog(file, lambda: START, most_bytes=2_000, files=3)
    for n in range(200):
        log.write(Kind.TICK, n=n)
    log.close()
    files = sorted(file.parent.iterdir())
    assert [path.name for path in files] == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert all(path.stat().st_size <= 2_000 for path in files)
    numbers = [event["n"] for event in read_events(file)]
    assert numbers == list(range(numbers[0], 200))
    assert [event["n"] for event in read_events(file, 5)] == [195, 196, 197, 198, 199]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 400), max_size=40), st.integers(100, 1000), st.integers(1, 4))
def test_rotation_loses_only_the_oldest(tmp_path_factory: Any, sizes: list[int], most: int, files: int) -> None:
    file = tmp_path_factory.mktemp("log") / "events.jsonl"
    log = EventLog(file, lambda: START, most_bytes=most, files=files)
    for n, size in enumerate(sizes):
        log.write(Kind.NOTE, n=n, text="x" * size)
    log.close()
    numbers = [event["n"] for event in read_events(file)]
    assert numbers == list(range(len(sizes)))[len(sizes) - len(numbers) :]
    assert not sizes or numbers
    assert len(list(file.parent.iterdir())) <= files


def test_a_disk_that_is_full_costs_lines_and_nothing_else(
    log: EventLog, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    log.write(Kind.NOTE, n=1)
    assert log.flush()

    def torn(handle: int, line: bytes) -> int:
        return write(handle, line[:7])

    def full(handle: int, line: bytes) -> int:
        raise OSError(28, "No space left on device")

    for failing in (torn, full):
        monkeypatch.setattr(os, "write", failing)
        log.write(Kind.NOTE, n=2)
        assert not log.flush()
        assert "not written until there is room" in log.trouble
        monkeypatch.setattr(os, "write", write)
    log.write(Kind.NOTE, n=3)
    assert log.flush()
    assert (log.trouble, log.lost) == ("", 2)
    assert [(event["event"], event.get("n"), event.get("lines")) for event in read_events(file)] == [
        ("NOTE", 1, None), ("LOST", None, 2), ("NOTE", 3, None),
    ]  # fmt: skip


def test_a_limit_on_the_size_of_files_is_a_full_disk_too(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from itb.live.run import event_log
from itb.live.run.event_log import EventLog, Kind
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
log = EventLog(Path(sys.argv[1]), lambda: 0)
for n in range(100):
    log.write(Kind.TICK, n=n)
log.close()
print(log.lost)
"""
    file = tmp_path / "events.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    lines = file.read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(len(lines)))
    assert len(lines) + int(done.stdout) == 100


def test_a_folder_that_nobody_may_write_is_told_and_survived(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = EventLog(tmp_path / "file" / "events.jsonl", lambda: START)
    log.write(Kind.NOTE)
    assert not log.flush()
    assert "Not a directory" in log.trouble or "File exists" in log.trouble
    log.close()


def test_a_disk_that_hangs_makes_nobody_wait(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, hung = os.write, [True]

    def hanging(handle: int, line: bytes) -> int:
        while hung[0]:
            time.sleep(0.001)
        return write(handle, line)

    monkeypatch.setattr(os, "write", hanging)
    log = EventLog(file, lambda: START, most_waiting=10)
    for n in range(1000):
        log.write(Kind.TICK, n=n)
    assert log.lost >= 988
    log.close(timeout_s=0.01)
    hung[0] = False


def test_what_was_written_before_a_kill_is_there(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from itb.live.run import event_log
from itb.live.run.event_log import EventLog, Kind
log = EventLog(Path(sys.argv[1]), lambda: 0)
n = 0
while True:
    log.write(Kind.TICK, n=n, text="x" * 300)
    n += 1
    if n == 200:
        log.flush()
        print("go", flush=True)
    time.sleep(0.0001)
"""
    file = tmp_path / "events.jsonl"
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = [event["n"] for event in read_events(file)]
    assert before == list(range(len(before)))
    assert len(before) >= 200
    log = EventLog(file, lambda: START)
    log.write(Kind.TICK, n=-1)
    log.close()
    assert [event["n"] for event in read_events(file)] == [*before, -1]


def test_the_newest_are_read_without_the_rest(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(file, lambda: START, most_bytes=400_000, files=3)
    for n in range(10_000):
        log.write(Kind.NOTE, n=n, text="x" * 20)
        if n % 5_000 == 0:
            log.flush()
    log.close()
    assert log.lost == 0
    everything = [event["n"] for event in read_events(file)]
    assert everything == list(range(everything[0], 10_000))
    newest = len(file.read_bytes().splitlines())
    for most in (0, 1, 7, 1_000, newest - 1, newest, newest + 1, newest + 2_000):
        assert [event["n"] for event in read_events(file, most)] == everything[len(everything) - most :]
    with monkeypatch.context() as patch:
        patch.setattr(event_log, "_BLOCK", 100)
        assert [event["n"] for event in read_events(file, 5)] == everything[-5:]
        patch.setattr(Path, "read_bytes", None)
        assert len(read_events(file, 5)) == 5


def test_nothing_is_written_after_the_end(log: EventLog, file: Path) -> None:
    log.close()
    log.write(Kind.NOTE)
    log.close()
    assert read_events(file) == []
    assert read_events(file.with_name("other")) == []


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_sizes_that_make_no_sense_are_refused(file: Path, sizes: tuple[int, int, int]) -> None:
    most_bytes, files, waiting = sizes
    with pytest.raises(ValueError, match="above 0"):
        EventLog(file, lambda: START, most_bytes=most_bytes, files=files, most_waiting=waiting)
