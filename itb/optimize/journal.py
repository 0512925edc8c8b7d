"""Optuna's journal file, made to survive ``kill -9`` and a full disk at any byte."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock that the system gives back when its holder dies, unlike a lock file that stays."""
    with file.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


class JournalFile(BaseJournalBackend):
    """One JSON object a line, appended and flushed to the disk under a lock.

    A line that a dying writer left torn is cut before the next is appended (Optuna's own file joins them, and every
    later load fails); what was cut is kept beside the file as ``.torn``. Where the disk is full, the file is cut back
    to what it held before, and the ``OSError`` goes to the caller.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._lock = file.with_name(file.name + ".lock")
        self._places: dict[int, int] = {0: 0}
        self._is_batch = False
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=True)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Wait for the disk once, when the block ends, instead of after each append."""
        self._is_batch = True
        try:
            yield
        finally:
            self._is_batch = False
        with self._path.open("rb") as stream:
            os.fsync(stream.fileno())

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Give the entries from a number on; a torn last line is not there yet."""
        known = max(number for number in self._places if number <= log_number_from)
        with self._path.open("rb") as stream:
            stream.seek(self._places[known])
            number, place = known, self._places[known]
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                place += len(line)
                number += 1
                self._places[number] = place
                if number > log_number_from:
                    yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries, all or none, and wait until they are on the disk."""
        content = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with locked(self._lock), self._path.open("r+b", buffering=0) as stream:  # what a full disk refused stays out
            size = self._cut_torn(stream)
            try:
                stream.seek(size)
                while content:
                    content = content[stream.write(content) :]
                if not self._is_batch:
                    os.fsync(stream.fileno())
            except OSError:
                os.truncate(self._path, size)
                raise

    def _cut_torn(self, stream: IO[bytes]) -> int:
        """Cut what follows the last newline; give the size that is left."""
        size = stream.seek(0, os.SEEK_END)
        if not size:
            return 0
        stream.seek(size - 1)
        if stream.read(1) == b"\n":
            return size
        stream.seek(0)
        whole = stream.read()
        kept = whole.rfind(b"\n") + 1
        with self._path.with_name(self._path.name + ".torn").open("ab") as torn:
            torn.write(whole[kept:] + b"\n")
        os.truncate(self._path, kept)
        return kept


def journal_storage(file: Path) -> JournalStorage:
    """Open the journal as an Optuna storage."""
    return JournalStorage(JournalFile(file))
