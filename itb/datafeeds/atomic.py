"""Files that are replaced whole or not at all, and a lock that dies with its process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from itb.errors import BarsError

LOCK = ".lock"
_SUFFIX = ".tmp"
_RETRY_S = 0.05


def make_folder(folder: Path) -> None:
    """Create a folder and its parents so that they survive a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries (new names, renames) are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file beside ``path``, wait until it is on the disk, then put it in its place in one step.

    A reader, or whoever comes after a crash at any moment, sees the old file or the new one, never a part. Call
    :func:`sync_folder` before telling anyone that the new one is there to stay. Hold :func:`locked` while writing:
    two writers would share the temporary file.
    """
    draft = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        with draft.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> int:
    """Remove what killed writers left behind in ``folder``, and say how many files that were; hold the lock."""
    leftovers = list(folder.glob(f".*{_SUFFIX}"))
    for draft in leftovers:
        draft.unlink()
    return len(leftovers)


@contextmanager
def locked(folder: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the folder's lock; wait for another writer, and after ``timeout_s`` raise :class:`BarsError`.

    The operating system releases the lock of a process that dies, however it dies. POSIX only.
    """
    import fcntl

    deadline = time.monotonic() + timeout_s
    with (folder / LOCK).open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BarsError(
                        f"{folder}: another process has been writing here for {timeout_s:g} s; "
                        "wait until it is done, or stop it, and run again"
                    ) from None
                time.sleep(_RETRY_S)
        yield
