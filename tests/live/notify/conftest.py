"""What tests of messages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from itb.live.notify.mailroom import Mailroom


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
