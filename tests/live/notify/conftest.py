"""What tests of messages share."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from itb.live.notify.mailroom import Mailroom
from itb.live.run import redaction


@pytest.fixture(scope="module")
def journal_file_of() -> Iterator[Callable[[], Path]]:
    """Give the path of a new journal each time."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        numbers = count()
        yield lambda: Path(folder) / f"journal-{next(numbers)}.db"


@pytest.fixture
def mailroom(journal_file: Path) -> Iterator[Mailroom]:
    room = Mailroom(journal_file)
    yield room
    room.close()


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """Hide a test's secrets during the test only, and leave loggers as loud as they were."""
    names = ("httpx", "httpcore", "httpcore.http11", "httpcore.connection", "telegram", "itb", "asyncio")
    levels = {name: logging.getLogger(name).level for name in names}
    before = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook, sys.unraisablehook
    hidden = redaction._Process.redaction
    yield
    redaction._Process.redaction = hidden
    logging.setLogRecordFactory(before[0])
    sys.excepthook, threading.excepthook, sys.unraisablehook = before[1:]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
