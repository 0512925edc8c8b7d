"""Pictures are drawn in a process of their own: the same picture, and whatever befalls the process costs it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from itb.charts.easel import of_plain
from itb.charts.equity_picture import EquityPicture
from itb.charts.score_blocks import ScoreBlocks
from itb.charts.score_picture import Mark, ScorePicture
from itb.live.notify.artist import Artist, NotDrawnError
from itb.live.notify.clerk import Output
from itb.live.notify.diagram_notifier import Diagram
from itb.live.notify.events import ScoreSaid, SignalSent
from itb.live.notify.herald import Herald
from itb.live.notify.mailroom import Mailroom
from itb.live.notify.trade_notifier import Signals
from tests.live.notify.test_outbox import HOUR, UTC, Clock
from tests.live.notify.ways import Receiver, patient_herald

AT = np.arange(48, dtype=np.int64) * 3_600_000
WAVE = np.sin(np.arange(48) / 5)
SCORE = np.where(np.arange(48) % 7 == 3, np.nan, WAVE / 3)
PICTURE = ScorePicture(
    "BTC/USDT 1h", "two days", ScoreBlocks(AT, 101 + WAVE, 99 + WAVE, 100 + WAVE, SCORE), (0.2, -0.2), (6,), (12, 3),
    (Mark(int(AT[9]), 100.5, "buy"), Mark(int(AT[30]), 99.5, "sell")), 0.0, "Europe/Berlin",
)  # fmt: skip
ACCOUNT = EquityPicture("Account", "two days", AT, 1000 + WAVE, "USDT", 1000 - WAVE, "UTC")
DIES = (sys.executable, "-c", "import os, sys; sys.stdin.buffer.read(4); os._exit(9)")
HANGS = (sys.executable, "-c", "import time; time.sleep(999)")


@pytest.fixture(scope="module")
def artist() -> Iterator[Artist]:
    """One for all, which draws again after whatever a test does to its process."""
    drawing = Artist({**os.environ}, within_s=120)
    yield drawing
    drawing.close()


def child_of(artist: Artist) -> subprocess.Popen[bytes]:
    child = artist._child
    assert child is not None
    return child


@pytest.mark.parametrize("picture", [PICTURE, ACCOUNT, replace(ACCOUNT, hold=None)])
def test_a_picture_is_the_same_as_drawn_here(artist: Artist, picture: ScorePicture | EquityPicture) -> None:
    assert artist.draw(picture, "light") == picture.png("light")
    assert of_plain(picture.plain()).plain()["title"] == picture.title


def test_one_process_draws_and_a_dead_one_is_replaced(artist: Artist) -> None:
    first = artist.draw(PICTURE, "dark")
    child = child_of(artist)
    assert artist.draw(PICTURE, "dark") == first
    assert child_of(artist).pid == child.pid
    assert os.getpriority(os.PRIO_PROCESS, child.pid) >= 10
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert artist.draw(PICTURE, "dark") == first
    assert child_of(artist).pid != child.pid


def test_a_picture_that_cannot_be_drawn_costs_no_other(artist: Artist) -> None:
    with pytest.raises(NotDrawnError, match="ZoneInfoNotFoundError"):
        artist.draw(replace(PICTURE, zone="Nowhere/Land"), "dark")
    assert artist.draw(ACCOUNT, "dark").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "within_s", "why"),
    [
        (DIES, 60.0, "no pictures: the process that draws ended with 9"),
        (HANGS, 0.2, "no pictures: the process that draws took more than 0.2 s"),
    ],
)
def test_a_process_that_dies_or_hangs_is_told_once_and_rests(
    command: tuple[str, ...], within_s: float, why: str
) -> None:
    told: list[str] = []
    artist = Artist({}, told.append, within_s=within_s, command=command)
    for _ in range(3):
        with pytest.raises(NotDrawnError, match=why):
            artist.draw(PICTURE, "dark")
    assert told == [why]
    assert artist._child is None  # none is tried while it rests
    artist._command, artist._resting_until, artist._environment = Artist({})._command, 0.0, {**os.environ}
    artist._within_s = 120
    assert artist.draw(ACCOUNT, "dark").startswith(b"\x89PNG")
    assert told == [why, ""]
    artist.close()


def test_closing_ends_a_picture_that_hangs_and_tells_no_trouble() -> None:
    told: list[str] = []
    artist = Artist({}, told.append, within_s=600, command=HANGS)
    failed: list[Exception] = []

    def draw() -> None:
        try:
            artist.draw(PICTURE, "dark")
        except NotDrawnError as error:
            failed.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    end = time.monotonic() + 60
    while artist._child is None and time.monotonic() < end:
        time.sleep(0.01)
    artist.close()
    thread.join(60)
    assert not thread.is_alive()
    assert len(failed) == 1
    assert told == []


def test_a_message_whose_picture_hangs_goes_without_and_those_after_it_go_on(mailroom: Mailroom) -> None:
    artist, way = Artist({}, within_s=0.2, command=HANGS), Receiver()
    outputs = [Output("picture", Diagram(every="1h"), ("phone",)), Output("signals", Signals(), ("phone",))]
    with patient_herald(mailroom, outputs, {"phone": way}, UTC, Clock(), artist=artist) as herald:
        for n in (1, 2):
            herald.tell(ScoreSaid(n * HOUR, "BTC/USDT", "1h", 1, 1, 1, 24000, {"a": 0.5}))
            herald.tell(SignalSent(n * HOUR, "BTC/USDT", "buy", 24000, 0.5))
    assert [message.topic for message in way.arrived] == ["diagram", "signal"] * 2
    assert [message.picture for message in way.arrived] == [None] * 4


def test_a_herald_ends_although_a_picture_hangs(mailroom: Mailroom) -> None:
    artist, way = Artist({}, within_s=600, command=HANGS), Receiver()
    outputs = [Output("picture", Diagram(every="1h"), ("phone",))]
    herald = Herald(mailroom, outputs, {"phone": way}, UTC, Clock(), artist=artist, patience_s=0.5)
    herald.start()
    herald.tell(ScoreSaid(HOUR, "BTC/USDT", "1h", 1, 1, 1, 24000, {"a": 0.5}))
    herald.stop()
    assert herald._thread is not None
    herald._thread.join(60)
    assert not herald._thread.is_alive()


def test_drawing_brings_nothing_into_this_process_and_takes_no_keys_along(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from itb.live.notify.artist import Artist; "
        "from itb.runs.children import keyless_environment; from itb.runs.try_ways import sample_picture; "
        "artist = Artist(keyless_environment(), within_s=120); assert artist.draw(sample_picture(), 'dark'); "
        "known = Path(f'/proc/{artist._child.pid}/environ').read_bytes(); assert b'PATH' in known; "
        "assert b'canary' not in known; assert 'matplotlib' not in sys.modules; artist.close()"
    )
    environment = {**os.environ, "ITB_TELEGRAM_TOKEN": "canary"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=tmp_path)
